"""shards/cli."""
