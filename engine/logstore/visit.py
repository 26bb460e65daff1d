"""An old batch that is being collected: read, and looked through, a piece with each append."""

from collections import deque
from typing import Final

from ...native.logindex import Rows, Stored
from ...native.logrescue import LogRescue
from ..errors import Corruption
from .chunks import Buffer, chunk_key, read_header
from .environment import Environment
from .metas import MetaKind
from .opening import open_batch

_METAS: Final = 64  # looked at between two looks at how much has been found


class Visit:
    """One batch, from its first chunk to its last row. What it finds alive goes into a rescue."""

    def __init__(self, environment: Environment, stored: Stored) -> None:
        """Begin with a batch that has something alive in it."""
        self.stored = stored
        self._environment = environment
        self._values: list[bytes] = []
        self._opened = False
        self._rows: deque[Rows] = deque()
        self._metas: deque[tuple[int, bool]] = deque()
        """Groups that META rows name, and whether as a tombstone."""

    @property
    def is_read(self) -> bool:
        """Whether all its chunks have been read."""
        return len(self._values) == self.stored.chunks

    def read(self, room: int) -> int:
        """Read on until about `room` bytes are read; returns how many. Raises `Corruption`."""
        seq, read = self.stored.seq, 0
        with self._environment.reading() as get:
            while not self.is_read and read < room:
                value = whole_chunk(get(chunk_key(seq, len(self._values))), seq, len(self._values))
                self._values.append(value)  # `open_batch` looks at the checksums, of all chunks at once
                read += len(value)
        return read

    def look(self, rescue: LogRescue, bound: int) -> bool:
        """Look on through what `is_read` until `bound` live bytes are found; returns whether that was all.

        Raises `Corruption`, and `Refused` for rows that do not add up.
        """
        if not self._opened:
            self._open()
        while self._rows:
            if not rescue.take_rows(self.stored.seq, self._rows[0], bound):
                return False
            self._rows.popleft()
        while self._metas:
            if rescue.live_bytes >= bound:
                return False
            for _ in range(min(_METAS, len(self._metas))):
                group, removed = self._metas.popleft()
                (rescue.take_tombstone if removed else rescue.take_group)(self.stored.seq, group)
        return True

    def _open(self) -> None:
        blob, contents = open_batch(self.stored.seq, self._values)
        view = memoryview(blob)
        for section in contents.sections:
            part = view[section.at : section.at + section.size]
            self._rows.append(Rows(part, section.at, section.rows, rewritten=section.rewritten))
        named = {(meta.group, meta.kind is MetaKind.TOMBSTONE) for meta in contents.metas}
        self._metas.extend(sorted(named))
        self._values = [b""] * self.stored.chunks
        self._opened = True


def whole_chunk(value: Buffer | None, seq: int, number: int) -> bytes:
    """A copy of what is stored for a chunk. Raises `Corruption` if it does not say that it is this one."""
    if value is None:
        raise Corruption(f"chunk {number} of log batch {seq} is missing")
    read_header(value, seq, number)
    return bytes(value)
