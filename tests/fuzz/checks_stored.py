"""What the decoders of stored bytes and of snapshots promise, as in :mod:`tests.fuzz.checks_wire`.

Where a checksum guards the format, the input's own is replaced by the right one if its first byte is odd.
"""

import struct
from pathlib import Path

from multiraft.engine import nodefile
from multiraft.engine.errors import Corruption, InvalidArgument, VersionMismatch
from multiraft.engine.logstore import blob, chunks, metas
from multiraft.engine.logstore.opening import runs_of
from multiraft.engine.statemachine import applied, commands, kv_snapshot, records
from multiraft.native.checksum import crc32c
from multiraft.native.entries import decode_run, encode_runs, run_header
from multiraft.native.errors import Damaged, Refused
from multiraft.shards import directory_commands, directory_store

NODE_PATH = Path("node")


def run(data: bytes):
    """A logged run, through the Python face of the decoder."""
    try:
        found = decode_run(data, lambda *entry: entry)
    except Damaged:
        return None
    if found:
        assert encode_runs([found]) == [data]
        assert run_header(data) == (found[0][1], len(found), found[-1][0])
    return found


def entry_command(data: bytes):
    try:
        command = commands.decode(commands.open_envelope(data).body)
    except commands.MalformedCommand:
        return None
    match command:
        case commands.Put(key, value):
            body = commands.encode_put(key, value)
        case commands.Delete(key):
            body = commands.encode_delete(key)
        case commands.CompareAndSwap(key, expected, new):
            body = commands.encode_cas(key, expected, new)
        case commands.Batch(changes):
            body = commands.encode_batch(changes)
    assert commands.decode(body) == command
    return command


def directory_command(data: bytes):
    try:
        command = directory_commands.decode(data)
    except InvalidArgument:
        return None
    match command:
        case directory_commands.Register():
            body = directory_commands.register_body(*command)
        case directory_commands.Create(replicas, nodes, ranges):
            body = directory_commands.create_body([(one.start, one.end) for one in ranges], replicas, nodes)
    assert directory_commands.decode(body) == command
    return command


def directory_state(data: bytes):
    """The pairs of a directory that a snapshot brought: a length of key and of value before each."""
    pairs: list[tuple[bytes, bytes]] = []
    while len(data) >= 2:
        middle = 2 + data[0]
        pairs.append((data[2:middle], data[middle : middle + data[1]]))
        data = data[middle + data[1] :]
    try:
        return directory_store.read_directory(pairs)
    except Corruption:
        return None


def applied_record(data: bytes):
    try:
        point = applied.decode_point(data)
    except applied.MalformedRecord:
        return None
    assert applied.decode_point(applied.encode_point(point)) == point
    return point


def state_record(data: bytes):
    """A stored value, and a checkpoint's first piece behind it."""
    key, stored = data[1:9], data[9:]
    if data[:1] > b"" and data[0] & 1:
        stored = records.seal(key, stored[4:])
    try:
        content = records.unseal(key, stored, 7)
        return records.open_checkpoint_head(key, content, 7)
    except Corruption:
        return None


def snapshot(data: bytes):
    """The key-value machine's."""
    mend, data = data[:1] > b"" and data[0] & 1, data[1:]
    if mend:
        data = data[:-4] + struct.pack("<I", crc32c(data[:-4]))
    try:
        bounds, pairs = kv_snapshot.decode_snapshot(data)
    except (Corruption, VersionMismatch):
        return None
    assert kv_snapshot.encode_snapshot(bounds, pairs) == data
    return bounds, pairs


def node_file(data: bytes):
    mend, data = data[:1] > b"" and data[0] & 1, data[1:]
    if mend:
        line = data.partition(b"\n")[0]
        data = b"%s\ncrc32c %08x\n" % (line, crc32c(line))
    try:
        found = nodefile.decode(data, NODE_PATH)
    except (Corruption, VersionMismatch):
        return None
    assert nodefile.decode(nodefile.encode(found), NODE_PATH) == found
    return found


def log_blob(data: bytes):
    """With right lengths in its header if the first byte is odd, and all that its sections say."""
    mend, data = data[:1] > b"" and data[0] & 1, data[1:]
    if mend and len(data) >= 16:
        data = data[:8] + struct.pack("<Q", len(data)) + data[16:]
    try:
        found = blob.decode_blob(data)
        for section in found.sections:
            for _, at, length in runs_of(data, section):
                assert at + length <= len(data)
        for meta in found.metas:
            log_meta(bytes([meta.kind]) + meta.body)
    except (blob.BadBatch, blob.NewerFormat, Refused):
        return None
    return found


def log_chunk(data: bytes):
    """A key and the value stored under it."""
    try:
        seq, number = chunks.split_key(data[:8])
        header = chunks.read_header(data[8:], seq, number)
    except Corruption:
        return None
    chunks.checksum_holds(data[8:])
    assert chunks.chunk_key(header.seq, header.number) == data[:8]
    return chunks.join([data[8:]])


def log_meta(data: bytes):
    """The first byte is the kind of row."""
    kind, body = data[:1], data[1:]
    try:
        if kind == bytes([metas.MetaKind.BIRTH]):
            birth = metas.decode_birth(3, 4, body)
            assert metas.decode_birth(3, 4, metas.encode_birth(birth)) == birth
            return birth
        if kind == bytes([metas.MetaKind.SNAPSHOT_POINT]):
            point = metas.decode_snapshot_point(body)
            assert metas.decode_snapshot_point(metas.encode_snapshot_point(point)) == point
            return point
        members = metas.decode_members(body)
    except metas.BadMeta:
        return None
    assert metas.decode_members(metas.encode_members(members)) == members
    return members
