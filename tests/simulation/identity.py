"""Who a simulated node is: the node file on its disk."""

from dataclasses import replace
from pathlib import Path

from multiraft.engine import nodefile
from multiraft.engine.datadir import _identity_problem
from multiraft.engine.errors import ClusterMismatch
from multiraft.engine.nodefile import NodeFile

from .disk import Mount

NODE_FILE = Path("node")


class Identity:
    """The node file, as :class:`~multiraft.engine.datadir.DataDir` keeps it."""

    def __init__(self, mount: Mount, cluster: str, digest: bytes) -> None:
        self._mount = mount
        content, node_id = mount.disk.contents.node, mount.node_id
        if content is None:
            uuid = mount.disk.random.randbytes(16)
            self._node = NodeFile(node_id, uuid, cluster, digest, None, incarnation=1)
        else:
            known = nodefile.decode(content, NODE_FILE)
            problem = _identity_problem(known, node_id, cluster, digest)
            if problem:
                raise ClusterMismatch(f"the disk belongs to {problem}")
            self._node = replace(known, incarnation=known.incarnation + 1)
        self._write()

    def _write(self) -> None:
        self._mount.refuse()
        self._mount.disk.contents.node = nodefile.encode(self._node)

    @property
    def store_uuid(self) -> bytes:
        return self._node.store_uuid

    @property
    def bootstrap_digest(self) -> bytes:
        return self._node.bootstrap_digest

    @property
    def cluster_uuid(self) -> bytes | None:
        return self._node.cluster_uuid

    @property
    def incarnation(self) -> int:
        return self._node.incarnation

    def set_cluster_uuid(self, cluster_uuid: bytes) -> None:
        if self._node.cluster_uuid not in {None, cluster_uuid}:
            raise ClusterMismatch("the disk belongs to another cluster")
        self._node = replace(self._node, cluster_uuid=cluster_uuid)
        self._write()

    def release_ballast(self) -> bool:
        return self._mount.disk.release_ballast()

    def restore_ballast(self) -> bool:
        return self._mount.disk.restore_ballast()

    def check_fork(self) -> None:
        pass

    def close(self) -> None:
        pass
