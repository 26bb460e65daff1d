"""Looking at a stopped node's files, and never changing them: inspection, verification and backups.

Nothing here opens an environment through LMDB, which trusts its file and dies of a damaged one. Pages are
read as bytes (:mod:`.lmdbfile`), so that what is whole can be shown beside what is not.
"""
