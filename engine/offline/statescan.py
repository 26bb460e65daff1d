"""Every value of a state store: each checksum, each record, and what they say of the groups."""

from collections.abc import Callable
from typing import Final

from ..errors import Corruption, VersionMismatch
from ..statemachine.applied import Point
from ..statemachine.commands import MAX_VALUE
from ..statemachine.grouprecord import GroupRecord, open_group_record
from ..statemachine.records import (
    FORMAT_VERSION,
    HEAD,
    HEAD_KEY,
    PIECE,
    PREFIX,
    PROMISED,
    RECORD,
    STORED_KEY_MAX,
    Head,
    Kind,
    open_checkpoint_head,
    record_number,
    unseal,
)
from ..statemachine.tally import Tallying, tally_problem
from .findings import Findings
from .lmdbfile import LmdbFile

STATE_FILE: Final = "state/data.mdb"
PROGRESS_EVERY: Final = 1024
_KINDS: Final = frozenset(map(int, Kind))

Progress = Callable[[int], None]
"""Told how many stored keys were read so far, now and then."""


class GroupState:
    """What a state store holds of one group."""

    def __init__(self) -> None:
        self.point: Point | None = None
        self.checkpoint: Point | None = None
        self.record: GroupRecord | None = None
        self.found = Tallying()
        """What the data amounts to."""
        self.keys = 0
        self.bytes = 0
        """Keys and values as they are stored."""


class StateContents:
    """What a scan found."""

    def __init__(self) -> None:
        self.groups: dict[int, GroupState] = {}
        self.values = 0
        """All that is stored, records included."""
        self.unreachable = 0
        """Values that belong to no group: what a damaged record led to, or what is still to be deleted."""

    def group(self, group: int) -> GroupState:
        """A group's part, made if there is none yet."""
        return self.groups.setdefault(group, GroupState())


def scan_state(file: LmdbFile, findings: Findings, progress: Progress = lambda _: None) -> StateContents:
    """Read a whole state store. Raises `VersionMismatch` for another format."""
    scan = _Scan(findings)

    def damaged(what: str, key: bytes | None) -> None:
        findings.add(STATE_FILE, what, key=key, group=None if key is None else scan.owner(key))

    for key, stored in file.items(on_damage=damaged):
        scan.take(key, stored)
        if scan.contents.values % PROGRESS_EVERY == 0:
            progress(scan.contents.values)
    scan.finish()
    return scan.contents


class _Scan:
    """Takes values in the order of their keys: records come before data."""

    def __init__(self, findings: Findings) -> None:
        self.contents = StateContents()
        self._findings = findings
        self._head: Head | None = None
        self._owners: dict[int, int] = {}
        self._highest = 0
        self._dead: set[int] = set()
        """Prefixes noted as dead: a snapshot's data may come before the head counts its prefix."""
        self._missing_bytes: dict[int, int] = {}
        """Of each checkpoint, what its pieces still lack."""

    def owner(self, key: bytes) -> int | None:
        """The group that a stored key belongs to, if that is known."""
        prefix = int.from_bytes(key[: PREFIX.size], "big")
        if prefix:
            return self._owners.get(prefix)
        if len(key) >= RECORD.size and key[PREFIX.size] in {Kind.GROUP, Kind.CHECKPOINT}:
            return record_number(key)
        return None

    def take(self, key: bytes, stored: bytes) -> None:
        """Check one value."""
        self.contents.values += 1
        group = self.owner(key)
        is_data = int.from_bytes(key[: PREFIX.size], "big") > 0
        if is_data and group is not None:
            self.contents.group(group).found.add(stored)  # a damaged one as well: it is not missing
        try:
            content = unseal(key, stored, group)
            if is_data:
                self._take_data(key, content, group)
            else:
                self._take_record(key, content, group or 0)
        except Corruption as error:
            self._add(_short(error), key, group)

    def finish(self) -> None:
        """That was all."""
        if self.contents.values and self._head is None:
            self._add("the head of the store is missing")
        used = max([self._highest, *self._owners])
        if self._head is not None and used >= self._head.next_prefix:
            self._add(f"prefix {used} is in use, though the head says that it is free", HEAD_KEY)
        for group, missing in self._missing_bytes.items():
            if missing:
                self._add(f"{missing} bytes of its checkpoint are missing", None, group)
        for group, state in self.contents.groups.items():
            if state.record is not None and state.found.result() != state.record.tally:
                self._add(tally_problem(state.record.tally, state.found.result()), None, group)

    def _take_data(self, key: bytes, content: bytes, group: int | None) -> None:
        (prefix,) = PREFIX.unpack_from(key)
        if prefix not in self._dead:
            self._highest = max(self._highest, prefix)
        if len(key) - PREFIX.size > STORED_KEY_MAX or len(content) > MAX_VALUE:
            raise Corruption("longer than any key or value may be")
        if group is None:
            self.contents.unreachable += 1
            return
        state = self.contents.group(group)
        state.keys += 1
        state.bytes += len(key) + len(content)

    def _take_record(self, key: bytes, content: bytes, group: int) -> None:
        size = PIECE.size if key[PREFIX.size : PREFIX.size + 1] == bytes((Kind.CHECKPOINT,)) else RECORD.size
        if len(key) != size or key[PREFIX.size] not in _KINDS:
            raise Corruption("not a record that this version knows")
        match Kind(key[PREFIX.size]):
            case Kind.HEAD:
                self._take_head(content)
            case Kind.DEAD:
                self._dead.add(record_number(key))
            case Kind.GROUP:
                self._take_group(key, content, group)
            case Kind.CHECKPOINT:
                self._take_piece(key, content, group)
            case Kind.PROMISED:
                if len(content) != PROMISED.size:
                    raise Corruption("not a place in a log")

    def _take_head(self, content: bytes) -> None:
        version = int.from_bytes(content[:2], "little")
        if version != FORMAT_VERSION:
            raise VersionMismatch(
                f"the state store has format {version}, this version reads {FORMAT_VERSION}"
            )
        if len(content) != HEAD.size:
            raise Corruption("the head has the wrong length")
        self._head = Head(*HEAD.unpack(content))

    def _take_group(self, key: bytes, content: bytes, group: int) -> None:
        record = open_group_record(key, content, group)
        state = self.contents.group(group)
        state.record, state.point = record, record.open_point(key, group)
        if record.prefix in self._owners:
            raise Corruption(f"group {self._owners[record.prefix]} has the same prefix {record.prefix}")
        if record.prefix:
            self._owners[record.prefix] = group

    def _take_piece(self, key: bytes, content: bytes, group: int) -> None:
        *_, number = PIECE.unpack(key)
        if number == 0:
            point, size = open_checkpoint_head(key, content, group)
            self.contents.group(group).checkpoint = point
            self._missing_bytes[group] = size
        elif group in self._missing_bytes:
            self._missing_bytes[group] -= len(content)

    def _add(self, what: str, key: bytes | None = None, group: int | None = None) -> None:
        self._findings.add(STATE_FILE, what, key=key, group=group)


def _short(error: Corruption) -> str:
    """The text of an error without the place, which is told apart from it."""
    return str(error).rpartition(": ")[2]
