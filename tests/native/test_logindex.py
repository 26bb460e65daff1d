"""The index against dictionaries: whatever is staged, undone, finished, collected and recovered."""

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from multiraft.native.entries import encode_runs
from multiraft.native.errors import NativeBug, Refused
from multiraft.native.logindex import PART_HARD_STATE, PART_TRUNCATION, LogIndex, Rows, State, Tombstone
from multiraft.native.logrescue import TOMBSTONE, LogRescue

BASE = 56
"""Where the first section of a batch stands here, as good as any other place."""


@dataclass
class Write:
    """A row: (term, count) of entries from `first` on, and the parts."""

    group: int
    replica: int = 1
    first: int = 0
    terms: Sequence[int] = ()
    hard: tuple[int, int, int] | None = None
    cut: tuple[int, int] | None = None


def run_of(write: Write) -> bytes:
    entries = [(term, write.first + number, 0, b"%d" % term) for number, term in enumerate(write.terms)]
    return encode_runs([entries])[0]


def section_of(writes: Sequence[Write]) -> bytes:
    runs = [run_of(write) for write in writes]
    count = len(writes)
    parts = bytes(
        [PART_HARD_STATE * (w.hard is not None) | PART_TRUNCATION * (w.cut is not None) for w in writes]
    )
    hards = [number for write in writes for number in write.hard or ()]
    cuts = [number for write in writes for number in write.cut or ()]
    columns = (
        struct.pack(f"<{count}Q", *[write.group for write in writes]),
        struct.pack(f"<{count}Q", *[write.replica for write in writes]),
        padded(struct.pack(f"<{count}I", *map(len, runs))),
        padded(parts),
        padded(b"".join(runs)),
        struct.pack(f"<{len(hards)}Q", *hards),
        struct.pack(f"<{len(cuts)}Q", *cuts),
    )
    return b"".join(columns)


def padded(column: bytes) -> bytes:
    return column + bytes(-len(column) % 8)


def opened(writes: Sequence[Write]) -> Rows:
    return Rows(section_of(writes), BASE, len(writes), rewritten=False)


@dataclass
class ModelLog:
    replica: int = 1
    point: tuple[int, int] = (1, 1)
    hard: tuple[int, int, int] = (0, 0, 1)
    terms: dict[int, int] = field(default_factory=dict)
    """By index."""

    @property
    def last(self) -> int:
        return self.point[0] + len(self.terms)

    def take(self, write: Write) -> None:
        if write.terms:
            self.terms = {index: term for index, term in self.terms.items() if index < write.first}
            self.terms.update(enumerate(write.terms, write.first))
        if write.cut is not None:
            self.point = write.cut
            self.terms = {index: term for index, term in self.terms.items() if index > write.cut[0]}
        if write.hard is not None:
            self.hard = write.hard


def check(index: LogIndex, model: dict[int, ModelLog]) -> None:
    """The index shows the model, and its account of living items is right."""
    assert sorted(index.groups()) == sorted(model)
    carried: dict[int, int] = {}
    live_bytes = 0
    for group, known in model.items():
        log = index.log(group)
        assert log is not None
        assert (log.replica, log.point, log.hard_state) == (known.replica, known.point, known.hard)
        assert (log.first_index, log.last_index) == (known.point[0] + 1, known.last)
        assert {i: log.term(i) for i in range(log.first_index, log.last_index + 1)} == known.terms
        spans = list(log.spans(log.first_index, log.last_index + 1))
        assert [i for span in spans for i in range(span.low, span.high)] == list(known.terms)
        for span in spans:
            carried[span.carrier] = carried.get(span.carrier, 0) + 1
            live_bytes += span.length
    assert live_bytes <= index.totals().live_bytes
    stored, seen = index.oldest(), 0
    while stored is not None:
        assert stored.live >= carried.pop(stored.seq, 0)
        seen += 1
        stored = index.batch_after(stored.seq)
    assert not carried
    assert seen == index.totals().batches


class Play:
    """Draws writes that fit what is there; several batches may be in flight."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.index = LogIndex()
        self.model: dict[int, ModelLog] = {}
        self.removed: dict[int, int] = {}
        self.seq = 0
        self.flying: list[tuple[int, dict[int, ModelLog], dict[int, int]]] = []
        self.batches: list[tuple[int, list[Write | tuple[str, int, int]]]] = []
        """What was staged, for recovery: rows, and births and removals as (kind, group, replica)."""

    def stage(self) -> None:
        self.flying.append((self.seq + 1, copied(self.model), dict(self.removed)))
        self.seq += 1
        self.index.begin(self.seq)
        done = [self.draw() for _ in range(self.random.randint(0, 4))]
        self.index.measure(self.seq, 1, 1000)
        self.batches.append((self.seq, done))

    def draw(self) -> Write | tuple[str, int, int]:
        group = self.random.randint(1, 6)
        known = self.model.get(group)
        if known is None:
            replica = self.removed.get(group, 0) + 1
            self.index.bear(group, replica, b"birth of %d" % replica)
            self.model[group] = ModelLog(replica)
            return ("birth", group, replica)
        if self.random.random() < 0.05:
            assert self.index.bury(group, known.replica)
            self.removed[group] = known.replica
            del self.model[group]
            return ("removal", group, known.replica)
        write = self.draw_row(group, known)
        self.index.append(opened([write]), 1)
        known.take(write)
        return write

    def draw_row(self, group: int, known: ModelLog) -> Write:
        source = self.random
        write = Write(group, known.replica)
        last_term = known.terms.get(known.last, known.point[1])
        if source.random() < 0.8:
            conflict = known.terms and source.random() < 0.25
            write.first = source.choice(list(known.terms)) if conflict else known.last + 1
            term = last_term + bool(conflict)
            write.terms = sorted(term + source.choice((0, 0, 0, 1)) for _ in range(source.randint(1, 4)))
        if not write.terms and known.terms and source.random() < 0.7:
            index = source.choice(list(known.terms))
            write.cut = (index, known.terms[index])
        if source.random() < 0.4:
            write.hard = (last_term, source.randint(0, 3), known.point[0])
        return write

    def undo(self) -> None:
        seq, self.model, self.removed = self.flying.pop()
        self.index.undo(seq)
        self.batches.pop()

    def finish(self) -> None:
        self.index.finish(self.flying.pop(0)[0])

    def recovered(self) -> LogIndex:
        """The index that a start finds after all batches staged so far."""
        index = LogIndex()
        for seq, done in self.batches:
            index.recover_batch(seq, 1, 1000)
            for item in done:
                if isinstance(item, Write):
                    index.recover_rows(seq, opened([item]), 1)
                    continue
                kind, group, replica = item
                if kind == "birth":
                    index.recover_birth(group, replica, seq, seq, b"birth of %d" % replica)
                else:
                    index.recover_tombstone(group, replica, seq, seq)
        index.recovered()
        return index


def copied(model: dict[int, ModelLog]) -> dict[int, ModelLog]:
    return {g: ModelLog(log.replica, log.point, log.hard, dict(log.terms)) for g, log in model.items()}


@pytest.mark.parametrize("seed", range(40))
def test_any_play_shows_what_was_staged_and_recovery_finds_the_same(seed: int):
    play = Play(seed)
    for _ in range(120):
        kind = play.random.random()
        if kind < 0.6 or not play.flying:
            play.stage()
        elif kind < 0.75:
            play.undo()
        else:
            play.finish()
        check(play.index, play.model)
    assert {stone.group: stone.replica for stone in play.index.tombstones()} == play.removed
    again = play.recovered()
    check(again, play.model)
    assert again.totals()._replace(entries=0) == play.index.totals()._replace(entries=0)
    for group in play.model:
        mine, found = play.index.log(group), again.log(group)
        assert mine is not None
        assert found is not None
        whole = (mine.first_index, mine.last_index + 1)
        assert list(mine.spans(*whole)) == list(found.spans(*whole))
        assert (mine.birth(), mine.members()) == (found.birth(), found.members())


def begun(*writes: Write) -> LogIndex:
    """Group 7 with these rows; batch 2 is being staged."""
    index = LogIndex()
    index.begin(1)
    index.bear(7, 1, b"birth")
    index.append(opened(writes), len(writes))
    index.measure(1, 1, 10)
    index.finish(1)
    index.begin(2)
    return index


@pytest.mark.parametrize(
    ("write", "reason", "at"),
    [
        (Write(8, first=2, terms=[1]), "MR_ABSENT", 0),
        (Write(7, 2, hard=(1, 1, 1)), "MR_ABSENT", 0),
        (Write(7, first=9, terms=[1]), "MR_GAP", 9),
        (Write(7, first=3, terms=[2]), "MR_COMPACTED", 3),
        (Write(7, cut=(9, 1)), "MR_NO_ENTRY", 9),
        (Write(7, cut=(5, 9)), "MR_NO_ENTRY", 5),
    ],
)
def test_a_row_that_contradicts_the_log_is_refused_with_its_place(write: Write, reason: str, at: int):
    index = begun(Write(7, first=2, terms=[1] * 5), Write(7, cut=(4, 1)))
    with pytest.raises(Refused) as refused:
        index.append(opened([Write(7, first=5, terms=[2]), write]), 2)
    assert (refused.value.reason, refused.value.group, refused.value.index) == (reason, write.group, at)
    index.undo(2)
    check(index, {7: ModelLog(1, (4, 1), (0, 0, 1), {5: 1, 6: 1})})


def test_births_and_removals_that_cannot_be_are_refused():
    index = begun()
    with pytest.raises(Refused, match="another replica"):
        index.bear(7, 2, b"")
    with pytest.raises(Refused, match="another replica"):
        index.bury(7, 2)
    assert index.bury(7, 1)
    assert not index.bury(7, 1)
    assert index.tombstone(7) == Tombstone(7, 1)
    with pytest.raises(Refused, match="was removed"):
        index.bear(7, 1, b"")
    with pytest.raises(Refused, match="no such replica"):
        index.reset(7, 1, 5, 1, b"members")


def test_a_view_of_a_removed_replica_is_empty_until_the_removal_is_undone():
    index = begun(Write(7, first=2, terms=[1, 1], hard=(3, 1, 2)))
    log = index.log(7)
    assert log is not None
    index.bury(7, 1)
    assert (log.removed, log.first_index, log.last_index, log.term(2)) == (True, 2, 1, 0)
    assert (log.birth(), log.replica, log.hard_state) == (b"", 0, (0, 0, 1))
    index.undo(2)
    assert (log.removed, log.last_index, log.hard_state) == (False, 3, (3, 1, 2))


def test_a_reset_empties_the_log_and_is_undone_whole():
    index = begun(Write(7, first=2, terms=[1, 2, 2]))
    index.reset(7, 1, 90, 8, b"members")
    log = index.log(7)
    assert log is not None
    assert (log.point, log.last_index, log.members(), log.birth()) == ((90, 8), 90, b"members", b"birth")
    index.undo(2)
    check(index, {7: ModelLog(1, terms={2: 1, 3: 2, 4: 2})})
    assert log.members() == b""


def test_indexes_far_apart_keep_their_places():
    """Segments count from a base that follows the log; a reset moves it past all that 32 bits hold."""
    index = begun(Write(7, first=2, terms=[1]))
    index.reset(7, 1, 2**40, 1, b"members")
    index.append(opened([Write(7, first=2**40 + 1, terms=[1, 1])]), 1)
    log = index.log(7)
    assert log is not None
    assert [span.low for span in log.spans(2**40 + 1, 2**40 + 3)] == [2**40 + 1]
    index.undo(2)
    check(index, {7: ModelLog(1, terms={2: 1})})


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_section_that_does_not_add_up_is_refused(cut: int):
    section = section_of([Write(7, first=2, terms=[1, 1], hard=(1, 1, 1), cut=(2, 1))])
    with pytest.raises(Refused, match="add up"):
        Rows(section[:-cut], BASE, 1, rewritten=False)
    with pytest.raises(Refused):
        Rows(section, BASE, 2**40, rewritten=False)


def test_damaged_sections_are_refused_or_taken_but_never_break_the_index():
    section = section_of([Write(7, first=2, terms=[1, 1, 2], hard=(1, 1, 1)), Write(7, cut=(3, 1))])
    draw = random.Random(5)
    refusals = 0
    for _ in range(4000):
        bad = bytearray(section)
        for _ in range(draw.randint(1, 3)):
            bad[draw.randrange(len(bad))] = draw.randrange(256)
        index = begun()
        try:
            index.append(Rows(bytes(bad), BASE, 2, rewritten=False), 2)
        except Refused:
            refusals += 1
        index.undo(2)
        check(index, {7: ModelLog()})
        try:
            index = LogIndex()
            index.recover_batch(1, 1, 10)
            index.recover_birth(7, 1, 1, 1, b"")
            index.recover_rows(1, Rows(bytes(bad), BASE, 2, rewritten=draw.random() < 0.5), 2)
            index.recovered()
        except Refused:
            refusals += 1
    assert refusals > 1000


def test_what_lives_in_an_old_batch_moves_with_its_origin():
    index = begun(Write(7, first=2, terms=[1, 1, 2], hard=(2, 1, 3)), Write(7, cut=(2, 1)))
    section = section_of([Write(7, first=2, terms=[1, 1, 2], hard=(2, 1, 3)), Write(7, cut=(2, 1))])
    rescue = LogRescue(index)
    rescue.begin()
    rescue.take_rows(1, Rows(section, BASE, 2, rewritten=False), 1 << 30)
    rescue.keep()
    (meta,) = rescue.metas()
    assert (meta.group, meta.kind, meta.origin) == (7, State.BIRTH, 1)
    assert rescue.row_count == 3
    moved = rescue.write(4096)
    index.move_state(meta.place, meta.kind)
    assert index.retire(2).seq == 1
    check(index, {7: ModelLog(1, (2, 1), (2, 1, 3), {3: 1, 4: 2})})
    log = index.log(7)
    assert log is not None
    (span,) = log.spans(3, 5)
    run = moved[span.at - 4096 :][: span.length]
    assert run == encode_runs([[(1, 3, 0, b"1"), (2, 4, 0, b"2")]])[0]
    index.undo(2)
    assert next(log.spans(3, 5)).carrier == 1
    with pytest.raises(NativeBug):
        index.undo(2)


def test_a_batch_with_something_alive_is_not_retired():
    index = begun(Write(7, first=2, terms=[1]))
    with pytest.raises(NativeBug):
        index.retire(2)


def test_a_tombstone_is_rescued_once_from_the_batch_that_carries_it():
    index = begun()
    index.bury(7, 1)
    index.measure(2, 1, 10)
    index.finish(2)
    index.begin(3)
    rescue = LogRescue(index)
    rescue.begin()
    rescue.take_tombstone(2, 7)
    rescue.take_tombstone(1, 7)
    assert [(meta.kind, meta.group, meta.replica) for meta in rescue.metas()] == [(TOMBSTONE, 7, 1)]
    index.move_tombstone(7)
    index.undo(3)
    assert index.tombstone(7) == Tombstone(7, 1)


def test_sequence_numbers_rise():
    index = begun()
    with pytest.raises(Refused, match="follow"):
        index.begin(2)
    index.undo(2)
    index.begin(9)
    assert [index.oldest(), index.batch_after(1)] == [index.oldest(), index.batch_after(8)]
