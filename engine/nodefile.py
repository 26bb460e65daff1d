"""``DIR/node``: who this data directory is, as one checked and atomically replaced text file.

Two lines: a JSON object, and the CRC-32C of that line. Later format versions keep this frame, so that an
older program can tell a newer file (refused) from a damaged one (reported, never made anew).
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ..native.checksum import crc32c
from .errors import Corruption, VersionMismatch

FORMAT = 1
NODE_FILE = "node"
TEMPORARY_FILE = "node.new"
_LARGEST = 64 * 1024  # a node file has some 300 bytes
_UUID_BYTES = 16
_FIELDS = {
    "format": int,
    "node_id": int,
    "store_uuid": str,
    "cluster_name": str,
    "bootstrap_digest": str,
    "cluster_uuid": str,
    "incarnation": int,
}


@dataclass(frozen=True, slots=True)
class NodeFile:
    """The identity of a data directory."""

    node_id: int
    store_uuid: bytes
    """16 random bytes, made once: tells a wiped or copied node from the one that the cluster knows."""
    cluster_name: str
    bootstrap_digest: bytes
    cluster_uuid: bytes | None
    """16 bytes once the first entry of the system group has fixed it."""
    incarnation: int
    """Rises by one, durably, at every start."""


def encode(node: NodeFile) -> bytes:
    """The content of the file."""
    fields = {
        "format": FORMAT,
        "node_id": node.node_id,
        "store_uuid": node.store_uuid.hex(),
        "cluster_name": node.cluster_name,
        "bootstrap_digest": node.bootstrap_digest.hex(),
        "cluster_uuid": (node.cluster_uuid or b"").hex(),
        "incarnation": node.incarnation,
    }
    line = json.dumps(fields).encode("ascii")
    return b"%s\ncrc32c %08x\n" % (line, crc32c(line))


def decode(content: bytes, path: Path) -> NodeFile:
    """Read the content of the file at ``path``.

    Raises:
        Corruption: it is not what was written.
        VersionMismatch: another version of multiraft wrote it.
    """
    line, _, rest = content.partition(b"\n")
    if rest != b"crc32c %08x\n" % crc32c(line):
        raise Corruption(f"{path} is damaged: its checksum is wrong")
    try:
        fields = json.loads(line)
        return _from_fields(fields, path)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corruption(f"{path} is damaged: {error!r}") from error


def _from_fields(fields: dict[str, object], path: Path) -> NodeFile:
    version = fields["format"]
    if version != FORMAT:
        raise VersionMismatch(f"{path} has format {version}, this version of multiraft reads {FORMAT}")
    if {name: type(value) for name, value in fields.items()} != _FIELDS:
        raise ValueError("unexpected fields")
    node_id, incarnation = fields["node_id"], fields["incarnation"]
    assert isinstance(node_id, int)
    assert isinstance(incarnation, int)
    return NodeFile(
        node_id=node_id,
        store_uuid=_uuid(str(fields["store_uuid"])),
        cluster_name=str(fields["cluster_name"]),
        bootstrap_digest=bytes.fromhex(str(fields["bootstrap_digest"])),
        cluster_uuid=_uuid(str(fields["cluster_uuid"])) if fields["cluster_uuid"] else None,
        incarnation=incarnation,
    )


def _uuid(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != _UUID_BYTES:
        raise ValueError("a uuid has 16 bytes")
    return value


def read(directory: Path) -> NodeFile | None:
    """The identity of a directory, or None if it has none yet.

    Raises:
        Corruption: the file is damaged.
        VersionMismatch: the file is of another format.
        OSError: it cannot be read.
    """
    path = directory / NODE_FILE
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST)
    except FileNotFoundError:
        return None
    return decode(content, path)


def write(directory: Path, node: NodeFile) -> None:
    """Replace the identity of a directory: durable when this returns, and never half of it.

    Raises:
        OSError: nothing has changed, or (if the last sync failed) it is not known whether it has.
    """
    temporary = directory / TEMPORARY_FILE
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(encode(node))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(directory / NODE_FILE)
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Make names that were created, renamed or removed in a directory durable.

    Raises:
        OSError: the sync failed.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
