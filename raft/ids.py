"""The numbers that name things: replicas, groups, terms, log positions.

All are plain integers of 64 bits. The aliases are for the reader of a signature; at run time they cost
nothing, which matters on paths that run per entry.
"""

from typing import Final, TypeAlias

Term: TypeAlias = int
Index: TypeAlias = int
ReplicaId: TypeAlias = int
GroupId: TypeAlias = int

NO_REPLICA: Final[ReplicaId] = 0
"""No replica: the id of an unknown leader and of a vote not cast. Real ids start at 1."""

LOCAL_APPEND: Final[ReplicaId] = 2**64 - 1
"""Stands as sender or receiver for the writer that makes the log durable. Never a replica's id."""

LOCAL_APPLY: Final[ReplicaId] = 2**64 - 2
"""Stands as sender or receiver for the state machine that applies entries. Never a replica's id."""
