"""Which process speaks for which node: the duel rule of design §7, with a memory.

The memory matters. If only live connections were compared, two processes on copies of one data directory
could take turns, each voting as the same replicas while the other is disconnected.
"""

from typing import NamedTuple

from ..errors import ClusterMismatch
from .hello import Hello


class _Process(NamedTuple):
    store_uuid: bytes
    incarnation: int
    nonce: int


class Roster:
    """The newest process that was admitted for each node id, kept for the life of this process."""

    def __init__(self) -> None:
        self._newest: dict[int, _Process] = {}

    def duel(self, hello: Hello) -> ClusterMismatch | None:
        """The reason to refuse a peer in favour of the one known by its id, or None if it may replace it.

        A higher incarnation wins. The same process may come back (its old connection is dead, whether or not
        that was noticed). An equal incarnation with another nonce is a copy, a lower one an old state.
        """
        known = self._newest.get(hello.node_id)
        if known is None:
            return None
        if hello.store_uuid != known.store_uuid:
            return ClusterMismatch(
                f"node {hello.node_id} has come with another store: it was wiped or copied", replaced=True
            )
        if hello.incarnation < known.incarnation:
            return ClusterMismatch(
                f"node {hello.node_id} has come with incarnation {hello.incarnation}, "
                f"after {known.incarnation}: an old copy of its data directory",
                replaced=True,
            )
        if hello.incarnation == known.incarnation and hello.nonce != known.nonce:
            return ClusterMismatch(
                f"two processes are node {hello.node_id}, incarnation {hello.incarnation}: "
                "its data directory was copied",
                replaced=True,
            )
        return None

    def enrol(self, hello: Hello) -> None:
        """Remember an admitted peer. Precondition: ``duel(hello)`` is None."""
        self._newest[hello.node_id] = _Process(hello.store_uuid, hello.incarnation, hello.nonce)
