"""Behaviour 6: the bytes per message are limited, which makes probing cheap."""

import pytest

from multiraft.raft import Message, MsgType, ProgressState, RawNode
from tests.raft.harness import Group, acknowledge, drain, lead, of_type, replica, replicating, storage_with


def sent_to_2(raw: RawNode) -> list[Message]:
    return of_type(drain(raw), MsgType.APP, to=2)


def test_bytes_of_entries_per_message_are_limited():
    """A window of 3 appends and 9,000 bytes, 2,048 bytes each; entries of 1,000 and six of 5,000 bytes."""
    raw = lead(replica(max_inflight_msgs=3, max_size_per_msg=2048, max_inflight_bytes=9000))
    progress = raw.raft.tracker.progress[2]
    progress.become_probe()
    drain(raw)
    for n in range(22):
        raw.propose(b"a" * (5000 if 10 <= n < 16 else 1000))
    [probe] = sent_to_2(raw)
    assert len(probe.entries) == 2, "the entry that opens the term, and the first proposal"
    acknowledged = 2
    pattern = []
    for _ in range(6):
        acknowledge(raw, acknowledged, 2)
        messages = sent_to_2(raw)
        pattern.append([len(m.entries) for m in messages])
        acknowledged = messages[-1].entries[-1].index
    assert pattern == [[2, 2, 2], [2, 1, 1], [1, 1], [1, 1], [1, 2, 2], [2]]


def test_an_entry_beyond_the_limit_goes_alone():
    raw = replicating(replica(max_size_per_msg=2048))
    raw.report_unreachable(2)
    for size in (10, 5000, 10):
        raw.propose(b"x" * size)
    drain(raw)
    sizes = []
    for _ in range(3):
        acknowledge(raw, raw.raft.tracker.progress[2].match + 1, 2)
        sizes += [[len(entry.data) for entry in m.entries] for m in sent_to_2(raw)]
    assert [5000] in sizes


def test_limit_zero_means_one_entry_per_message():
    raw = replicating(replica(max_size_per_msg=0))
    raw.propose_batch([b"a", b"b", b"c"])
    assert [len(m.entries) for m in sent_to_2(raw)] == [1]
    acknowledge(raw, 2, 2)
    assert [len(m.entries) for m in sent_to_2(raw)] == [1, 1]


def test_while_probing_one_message_goes_however_many_proposals_come():
    raw = replicating(replica())
    raw.raft.tracker.progress[2].become_probe()
    for n in range(3):
        raw.propose(b"%d" % n)
    assert len(sent_to_2(raw)) == 1
    assert raw.raft.tracker.progress[2].paused


def diverged(ours: list[int], theirs: list[int]) -> tuple[Group, RawNode]:
    """A leader with the log `ours`, a follower 2 with the log `theirs`, and 3 to make the quorum."""
    group = Group()
    for id_, terms in ((1, ours), (2, theirs), (3, ours)):
        group.nodes[id_] = replica(storage_with(terms), id_=id_)
    term = max(*ours, *theirs)
    for node in group.nodes.values():
        node.raft.term = term
    group.elect(1)
    return group, group.nodes[1]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6]),
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4]),
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 4, 4]),
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
        ([1, 3, 3, 3, 5, 5, 5, 5, 5], [1, 1, 1, 1, 2, 2]),
        ([1] * 50, [1] + [2] * 80),
        ([1, 2] + [5] * 80, [1] + [3] * 40 + [4] * 40),
    ],
)
def test_one_probe_per_distinct_term_suffices(ours: list[int], theirs: list[int]):
    """The logs of the paper's figure 7, and longer ones."""
    group, raw = diverged(ours, theirs)
    group.settle()
    assert group.nodes[2].raft.log.last_index() == raw.raft.log.last_index()
    for index in range(1, raw.raft.log.last_index() + 1):
        assert group.nodes[2].raft.log.term(index) == raw.raft.log.term(index)
    rejections = [m for m in group.sent if m.type is MsgType.APP_RESP and m.from_ == 2 and m.reject]
    assert len(rejections) <= len({*ours, *theirs})
    assert raw.raft.tracker.progress[2].state is ProgressState.REPLICATE


@pytest.mark.parametrize("state", [ProgressState.PROBE, ProgressState.REPLICATE])
def test_stale_rejections_are_ignored(state: ProgressState):
    raw = replicating(replica(storage_with([1] * 5)))
    progress = raw.raft.tracker.progress[2]
    if state is ProgressState.PROBE:
        progress.become_probe()
    before = (progress.match, progress.next)
    raw.step(Message(MsgType.APP_RESP, 1, 2, raw.raft.term, index=3, reject=True, reject_hint=2, log_term=1))
    assert (progress.match, progress.next, progress.state) == (*before, state)
    assert drain(raw) == []


def test_committed_entries_are_handed_out_within_the_limit():
    storage = storage_with([1] * 6)
    raw = replica(storage, max_committed_size_per_ready=20)  # two entries of 9 bytes each
    raw.raft.log.committed = 6
    batches = []
    while raw.has_ready():
        ready = raw.ready()
        batches.append(len(ready.committed_entries))
        raw.advance()
    assert batches == [2, 2, 2]


def test_committed_entries_outstanding_are_limited_too():
    raw = replica(storage_with([1] * 6), max_committed_size_per_ready=20, async_storage_writes=True)
    raw.raft.log.committed = 6
    first = raw.ready().committed_entries
    assert len(first) == 2
    assert not raw.has_ready()
    raw.acknowledge_apply(first[:1])
    assert [entry.index for entry in raw.ready().committed_entries] == [3]
