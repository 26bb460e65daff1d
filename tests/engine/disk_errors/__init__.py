"""A real node on a real file system whose writes and flushes fail to order."""
