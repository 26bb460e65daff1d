"""Groups in their first election: small rows in C, stepped for whole frames at once.

What a newborn does and may promise stands in ``mr_nursery.h``. The twin of it in plain Python, which it is
tested against, is ``tests/native/nursery_model.py``.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ._native import ffi, lib
from .errors import bad_frame, index_refusal, refusal
from .grouptable import GroupTable
from .messages import MAX_BYTES, MAX_ROWS, MESSAGES
from .restdigest import RestDigest
from .scratch import Output, Pool, new_uncleared

if TYPE_CHECKING:
    from ._native import CData

NEW: Final = lib.MR_STAGE_NEW
CANDIDATE: Final = lib.MR_STAGE_CANDIDATE
VOTED: Final = lib.MR_STAGE_VOTED
LEADER: Final = lib.MR_STAGE_LEADER
FOLLOWER: Final = lib.MR_STAGE_FOLLOWER

OTHER: Final = lib.MR_ROW_OTHER
"""Mark of a message that is for no newborn."""
HANDED_BACK: Final = lib.MR_ROW_HANDED_BACK
"""Mark of one that was for a newborn, and is for a whole replica."""

MAX_MEMBERS: Final = lib.MR_NURSERY_MEMBERS
"""Members of a group that may be in a nursery."""

_CHUNK: Final = 4096
_frames: Final = Pool(Output, keep=1 << 20)


class Kinds(NamedTuple):
    """The types of messages on the wire: ``struct mr_nursery_kinds``."""

    vote: int
    vote_resp: int
    append: int
    append_resp: int
    rest: int
    wake: int
    unknown: int


class NewbornRow(NamedTuple):
    """What is known of a newborn: ``struct mr_newborn``."""

    stage: int
    vote: int
    lead: int
    since: int
    """The tick of its last step."""
    placement: int
    approving: int
    """Bits of members: of a candidate, whose vote it has; of a leader, who has its entry durably."""
    in_flight: int
    """Writes that are not durable."""
    committed: bool
    """Whether it is a leader whose entry a quorum has."""


class WriteColumns(NamedTuple):
    """Writes of many replicas, as columns of a section of appended rows: see ``mr_rows.h``."""

    rows: int
    groups: bytes
    replicas: bytes
    lengths: bytes
    """Of the runs, 4 bytes a row."""
    parts: bytes
    runs: bytes
    hard_states: bytes

    @property
    def entries(self) -> int:
        """Entries in all of the runs, which have one each."""
        return len(self.runs) // (lib.MR_RUN_HEADER + lib.MR_RUN_ROW)


class SealedFrame(NamedTuple):
    """A frame for a node, and the groups of its messages."""

    node: int
    data: bytes
    groups: tuple[int, ...]


class NurseryTable:
    """The newborns of a node. Whoever calls passes the tick; a group is numbered from 1."""

    __slots__ = (
        "_digests",
        "_found",
        "_groups",
        "_length",
        "_marks",
        "_nodes",
        "_nursery",
        "_table",
        "_word",
    )

    def __init__(
        self, table: GroupTable, kinds: Kinds, node: int, ticks: int, committed_ticks: int, seed: int
    ) -> None:
        """Make one.

        Args:
            table: where newborns go to rest.
            kinds: how frames name what newborns say.
            node: this one.
            ticks: of an election.
            committed_ticks: so long a leader waits for the last members once a quorum has its entry.
            seed: 64 bits.
        """
        rules = ffi.new("struct mr_nursery_rules *")
        for name, kind in kinds._asdict().items():
            setattr(rules.kinds, name, kind)
        rules.node, rules.election_ticks, rules.committed_ticks = node, ticks, committed_ticks
        rules.seed = seed
        nursery = lib.mr_nursery_new(table.handle, rules)
        if nursery == ffi.NULL:
            raise MemoryError("no memory for a nursery")
        self._nursery = ffi.gc(nursery, lib.mr_nursery_free)
        self._table = table  # lives as long as this
        self._digests: list[RestDigest] = []  # likewise
        self._nodes: list[int] = []
        self._found = ffi.new("struct mr_newborn *")
        self._word = ffi.new("uint64_t *")
        self._length = ffi.new("uint64_t *")
        self._groups = new_uncleared("uint64_t[]", _CHUNK)
        self._marks = new_uncleared("uint8_t[]", MAX_ROWS)

    def __len__(self) -> int:
        return lib.mr_nursery_count(self._nursery)

    def __contains__(self, group: int) -> bool:
        return not lib.mr_nursery_find(self._nursery, group, self._found)

    def find(self, group: int) -> NewbornRow | None:
        """What is known of a newborn, None if this one is not here."""
        found = self._found
        if lib.mr_nursery_find(self._nursery, group, found):
            return None
        return NewbornRow(
            found.stage,
            found.vote,
            found.lead,
            found.since,
            found.placement,
            found.approving,
            found.in_flight,
            bool(found.committed),
        )

    # -- who comes and goes ----------------------------------------------------------------------

    def meet(self, node: int, led: RestDigest, followed: RestDigest) -> None:
        """Make another node known, with the digests that count what rests with it. Raises Refused."""
        self._check(lib.mr_nursery_meet(self._nursery, node, led.handle, followed.handle))
        self._digests += led, followed
        self._nodes.append(node)

    def place(self, peers: Sequence[tuple[int, int]]) -> None:
        """Note members, as (replica, node), the designated one first. Placements are numbered from 0.

        Raises Refused: too few or too many, none is here, or a node has not been met.
        """
        replicas = ffi.new("uint64_t[]", [replica for replica, _ in peers])
        nodes = ffi.new("uint64_t[]", [node for _, node in peers])
        self._check(lib.mr_nursery_place(self._nursery, replicas, nodes, len(peers)))

    def take_in(self, placement: int, groups: Sequence[int], tick: int) -> None:
        """Births of groups placed alike are durable. Raises Refused if one is here already."""
        room = ffi.new("uint64_t[]", groups)
        self._check(lib.mr_nursery_take_in(self._nursery, placement, room, len(groups), tick))

    def remove(self, group: int) -> None:
        """It becomes a whole replica; nothing of it is in flight. Raises Refused if it is not here."""
        status = lib.mr_nursery_remove(self._nursery, group)
        if status:
            raise index_refusal(status, group)

    def note_alive(self, alive: Callable[[int], bool]) -> None:
        """Which nodes were heard of lately; at first none was."""
        for number, node in enumerate(self._nodes):
            lib.mr_nursery_alive(self._nursery, number, alive(node))

    def late(self, tick: int) -> list[int]:
        """Those who have waited too long, and have nothing in flight.

        That is an election timeout without a step, or for a leader whose entry a quorum has, as many ticks as
        were said. While others move, who waits for a node that is alive waits four timeouts, or one.
        """
        place = ffi.new("uint32_t *")
        groups: list[int] = []
        while True:
            count = lib.mr_nursery_late(self._nursery, tick, place, self._groups, _CHUNK)
            groups += ffi.unpack(self._groups, count)
            if count < _CHUNK:
                return groups

    # -- what comes in ---------------------------------------------------------------------------

    def sift(self, payload: bytes) -> "Sifted":
        """Look which messages of a frame are for newborns. Raises BadFrame; nothing of it is used then."""
        plain = ffi.new("int *")
        status = lib.mr_nursery_sift(
            self._nursery, payload, len(payload), MAX_BYTES, self._marks, self._word, plain
        )
        if status:
            raise bad_frame(status, "a frame of messages")
        return Sifted(payload, self._word[0], bool(plain[0]), ffi.buffer(self._marks)[: self._word[0]])

    def step(self, sifted: "Sifted", node: int, tick: int) -> bytes | None:
        """Take in what ``node`` has sent to newborns. Returns the marks if any message was handed back.

        Nothing may happen between `sift` and this. Newborns that a message was handed back for have to be
        removed.
        """
        marks = self._marks
        ffi.memmove(marks, sifted.marks, sifted.rows)
        self._check(
            lib.mr_nursery_step(self._nursery, sifted.payload, sifted.rows, node, tick, marks, self._word)
        )
        return ffi.buffer(marks)[: sifted.rows] if self._word[0] else None

    def durable(self, promises: bytes, tick: int) -> None:
        """What `take_writes` has told of is on the disk."""
        cells = ffi.from_buffer(promises)
        count = len(promises) // ffi.sizeof("struct mr_promise")
        self._check(
            lib.mr_nursery_durable(self._nursery, ffi.cast("struct mr_promise *", cells), count, tick)
        )

    # -- what goes out ---------------------------------------------------------------------------

    @property
    def writes(self) -> int:
        """How many are to be made durable."""
        rows: int = self._writes().rows
        return rows

    def take_writes(self) -> tuple[WriteColumns, bytes] | None:
        """What is to be made durable, and what then to call `durable` with; None if there is nothing."""
        writes = self._writes()
        rows = writes.rows
        if not rows:
            return None
        run = ffi.buffer(lib.mr_nursery_first_run(self._nursery), lib.MR_RUN_HEADER + lib.MR_RUN_ROW)[:]
        columns = WriteColumns(
            rows,
            ffi.buffer(writes.groups, 8 * rows)[:],
            ffi.buffer(writes.replicas, 8 * rows)[:],
            ffi.buffer(writes.lengths, 4 * rows)[:],
            ffi.buffer(writes.parts, rows)[:],
            run * writes.runs,
            ffi.buffer(writes.hard, 24 * writes.hards)[:] if writes.hards else b"",
        )
        promises = ffi.buffer(writes.promises, rows * ffi.sizeof("struct mr_promise"))[:]
        lib.mr_nursery_written(self._nursery)
        return columns, promises

    def frames(self, directory_index: int) -> Iterator[SealedFrame]:
        """The messages that wait, in sealed frames; they are on their way then."""
        for number, node in enumerate(self._nodes):
            while lib.mr_nursery_waiting(self._nursery, number):
                yield self._seal(number, node, directory_index)

    def _seal(self, number: int, node: int, directory_index: int) -> SealedFrame:
        output = _frames.take(lib.MR_NURSERY_FRAME)
        try:
            status = lib.mr_nursery_seal(
                self._nursery,
                number,
                MESSAGES,
                directory_index,
                output.cells,
                output.room,
                self._groups,
                self._word,
                self._length,
            )
            if status:
                raise refusal(status, f"messages for node {node}")
            groups = ffi.unpack(self._groups, self._word[0])
            return SealedFrame(node, output.view[: self._length[0]], tuple(groups))
        finally:
            _frames.give(output)

    def _writes(self) -> "CData":
        writes = ffi.new("struct mr_first_writes *")
        lib.mr_nursery_writes(self._nursery, writes)
        return writes

    def _check(self, status: int) -> None:
        if status:
            raise index_refusal(status)


class Sifted(NamedTuple):
    """A frame whose messages have been looked at."""

    payload: bytes
    rows: int
    plain: bool
    """Whether all are for newborns, and each of a kind that they understand."""
    marks: bytes
    """For each message: `OTHER`, or that a newborn is to take it in."""

    @property
    def concerns_newborns(self) -> bool:
        """Whether any is for one."""
        return bool(self.plain or self.marks.strip(bytes((OTHER,))))
