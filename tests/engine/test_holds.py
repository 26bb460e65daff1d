"""The log that is kept for followers behind a snapshot: long enough, and never for ever."""

from multiraft.engine.compaction import LogSize
from multiraft.engine.holds import SnapshotHolds
from multiraft.raft.inflights import Inflights
from multiraft.raft.progress import Progress

CAP = 1_000_000
PATIENCE = 30.0


class Leader:
    """What a leader knows of one follower, and a log of 10 kB an entry."""

    def __init__(self) -> None:
        self.holds = SnapshotHolds(CAP, PATIENCE)
        self.size = LogSize()
        self.member = Progress(2, Inflights(8))
        self.last = 1
        self.now = 100.0

    def grow(self, entries: int) -> None:
        for _ in range(entries):
            self.last += 1
            self.size.grew(self.last, self.last, 10_000, self.now)

    def index(self) -> int:
        return self.holds.index({7: self.member}, self.size, self.last, self.now)


def sending(at: int = 100) -> Leader:
    leader = Leader()
    leader.grow(at - 1)
    assert leader.index() == at
    leader.member.become_snapshot(at)
    assert leader.index() == at
    return leader


def test_the_log_behind_a_snapshot_is_kept_until_the_follower_has_caught_up():
    leader = sending()
    leader.grow(50)
    assert leader.index() == 100
    leader.member.maybe_update(100)
    leader.member.become_replicate()
    leader.now += 1
    assert leader.index() == 100
    leader.member.maybe_update(120)
    assert leader.index() == 120
    leader.member.maybe_update(145)
    assert leader.index() == leader.last
    leader.grow(50)
    assert leader.index() == leader.last, "a follower that falls behind later is none of ours"


def test_at_its_cap_a_hold_ends_and_the_next_one_has_a_larger_cap_after_a_longer_pause():
    leader = sending()
    pauses = []
    for doubling in range(4):
        leader.grow((100 << doubling) - 10)
        assert leader.index() == leader.member.pending_snapshot
        assert leader.holds.paused_until <= leader.now
        leader.grow(20)
        assert leader.index() == leader.last
        pauses.append(leader.holds.paused_until - leader.now)
        leader.grow(5)
        assert leader.index() == leader.last, "until another snapshot is sent nothing is held"
        leader.now += pauses[-1]
        leader.member.become_probe()
        assert leader.index() == leader.last
        leader.member.become_snapshot(leader.last)
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_the_cap_does_not_grow_for_ever():
    leader = sending()
    for _ in range(8):
        leader.grow(1700)
        assert leader.index() == leader.last
        leader.now = leader.holds.paused_until
        leader.member.become_snapshot(leader.last)
    leader.grow(1500)
    assert leader.index() == leader.member.pending_snapshot
    leader.grow(200)
    assert leader.index() == leader.last
    assert leader.holds.paused_until == leader.now + 16.0


def test_a_follower_that_dies_while_it_catches_up_holds_nothing_for_long():
    leader = sending()
    leader.grow(50)
    leader.member.maybe_update(100)
    leader.member.become_replicate()
    assert leader.index() == 100
    leader.now += PATIENCE + 1
    assert leader.index() == leader.last
    leader.now += 1
    assert leader.index() == leader.last


def test_a_transfer_that_failed_holds_nothing():
    leader = sending()
    leader.grow(50)
    assert leader.index() == 100
    leader.member.pending_snapshot = 0
    leader.member.become_probe()
    assert leader.index() == leader.last
    leader.member.become_snapshot(140)
    assert leader.index() == 140


def test_the_slowest_of_several_followers_counts_and_each_has_its_own_cap():
    leader = sending()
    other = Progress(2, Inflights(8))
    leader.grow(60)
    other.become_snapshot(160)
    members = {7: leader.member, 8: other}
    assert leader.holds.index(members, leader.size, leader.last, leader.now) == 100
    leader.grow(50)
    assert leader.holds.index(members, leader.size, leader.last, leader.now) == 160
