"""The fuzz targets for what Python decodes: every format that comes from a socket or a file."""

from collections.abc import Callable
from typing import NamedTuple

from multiraft.engine.transport.kinds import CHUNK_LIMIT
from tests.fuzz import checks_stored as stored
from tests.fuzz import checks_wire as wire
from tests.fuzz import samples_python as samples

KIB, MIB = 1024, 1024 * 1024


class PythonTarget(NamedTuple):
    """A check that takes bytes; see :mod:`tests.fuzz.checks_wire`."""

    name: str
    check: Callable[[bytes], object]
    samples: Callable[[], list[bytes]]
    limit: int
    """Bytes of the longest input that is decoded at all."""
    factor: int = 66
    """Memory per input byte that decoding may take: an empty array is one byte here and 64 in Python."""
    base: int = MIB
    """Memory that decoding may take beside that."""


# Room for an array is made before its elements are read, so 1,024 levels (msgpack's limit) of arrays of the
# longest allowed length take that much for a moment, whatever the input's size.
MEMBER_LISTS = 1024 * 4096 * 8
RANGE_LISTS = 1024 * 2000 * 8
REPLICA_LISTS = 1024 * 1024 * 8

PYTHON_TARGETS = {
    target.name: target
    for target in (
        PythonTarget("hello", wire.hello, samples.hellos, 4 * KIB),
        PythonTarget("refusal", wire.refusal, samples.refusals, 4 * KIB),
        PythonTarget("requests", wire.requests, samples.requests, 5 * MIB),
        PythonTarget("replies", wire.replies, samples.replies, 5 * MIB),
        PythonTarget("group_facts", wire.group_facts, samples.group_facts, 64 * KIB),
        PythonTarget("explanation", wire.explanation, samples.explanations, 128 * KIB),
        PythonTarget("stream", wire.stream, samples.streams, 5 * MIB),
        PythonTarget("frame_rows", wire.frame, samples.frames, 4 * MIB),
        PythonTarget("row", wire.row, samples.rows, 64 * KIB),
        PythonTarget(
            "snapshot_head", wire.snapshot_head, samples.snapshot_heads, 192 * KIB, base=MEMBER_LISTS + MIB
        ),
        PythonTarget("snapshot_offer", wire.snapshot_offer, samples.snapshot_offers, 64),
        PythonTarget("snapshot_chunk", wire.snapshot_chunk, samples.snapshot_chunks, CHUNK_LIMIT),
        PythonTarget("run_python", stored.run, samples.runs, 4 * MIB),
        PythonTarget("entry_command", stored.entry_command, samples.entry_commands, 4 * MIB),
        PythonTarget(
            "directory_command",
            stored.directory_command,
            samples.directory_commands,
            256 * KIB,
            base=RANGE_LISTS + MIB,
        ),
        PythonTarget(
            "directory_state",
            stored.directory_state,
            samples.directory_states,
            4 * MIB,
            base=REPLICA_LISTS + MIB,
        ),
        PythonTarget(
            "applied_record",
            stored.applied_record,
            samples.applied_records,
            64 * KIB,
            base=REPLICA_LISTS + MIB,
        ),
        PythonTarget(
            "state_record", stored.state_record, samples.state_records, 64 * KIB, base=REPLICA_LISTS + MIB
        ),
        PythonTarget("snapshot", stored.snapshot, samples.snapshots, 4 * MIB),
        PythonTarget("node_file", stored.node_file, samples.node_files, 64 * KIB),
        PythonTarget("log_blob", stored.log_blob, samples.log_blobs, 4 * MIB, base=MEMBER_LISTS + MIB),
        PythonTarget("log_chunk", stored.log_chunk, samples.log_chunks, 64 * KIB),
        PythonTarget("log_meta", stored.log_meta, samples.log_metas, MIB, base=MEMBER_LISTS + MIB),
    )
}
