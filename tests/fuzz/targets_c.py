"""The fuzz targets for the C part: one file of ``csrc/`` each."""

from collections.abc import Callable
from typing import NamedTuple

from tests.fuzz import samples_c as samples


class CTarget(NamedTuple):
    """A program that takes bytes."""

    name: str
    about: str
    max_len: int
    """Longest input that is tried: long enough for several rows, short enough for many inputs a second."""
    samples: Callable[[], list[bytes]]


C_TARGETS = {
    target.name: target
    for target in (
        CTarget("frame", "headers of frames, read and sealed", 32, samples.frames),
        CTarget("run", "encoded runs of entries, decoded", 200, samples.runs),
        CTarget("messages", "payloads of both frame kinds, decoded", 400, samples.messages),
        CTarget("crc", "checksums by instruction, tables and definition", 80, samples.checksums),
        CTarget("inflights", "sequences of calls on a window", 96, samples.windows),
        CTarget("encode_runs", "columns of entries, encoded", 160, samples.columns_of_runs),
        CTarget("pages", "a search for a page by what stands in it", 160, samples.pages),
        CTarget("chunks", "batches of a log, cut into values", 200, samples.batches),
        CTarget("tree", "pages of an LMDB file, walked", 4200, samples.trees),
        CTarget("log_rows", "sections of log batches, read", 240, samples.log_sections),
        CTarget("log_index", "calls on the index of a log, staging and recovery", 400, samples.log_calls),
        CTarget("groups", "calls on the group table", 96, samples.calls_on_groups),
        CTarget("digest", "calls on a digest of resting groups", 160, samples.calls_on_a_digest),
        CTarget("nursery", "births, frames and batches of newborn groups", 320, samples.first_elections),
        CTarget("seal_messages", "numbers of messages, sealed", 300, samples.numbers_of_messages),
    )
}
