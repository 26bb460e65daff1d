"""Every public call of every replica is followed by its invariants: what holds at any time, and what is kept.

`watched` wraps the methods of `RawNode` for as long as it is open. The fixture in `conftest.py` opens it for
every test of the core, `python -m tests.raft.scenarios` for every scenario.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FunctionType
from typing import Any, NamedTuple

from multiraft.raft import ConfState, CorruptLog, RaftError, RawNode, Role, invariants
from multiraft.raft.raft import Raft

QUESTIONS = ("basic_status", "export_state", "has_ready", "status")
"""Methods that change nothing."""


class Memory(NamedTuple):
    """What a replica may not take back, as it was after a call."""

    term: int
    vote: int
    lead: int
    role: Role
    committed: int
    applied: int
    acknowledged: int
    conf: ConfState
    last_index: int
    tail: dict[int, int]
    """The terms of the log's last entries by index."""
    match: dict[int, int]


TAIL = 16
"""How many entries at the log's end are compared from call to call."""


def remember(raft: Raft) -> Memory:
    """What must not be taken back from now on."""
    log = raft.log
    last = log.last_index()
    low = max(log.first_index(), last + 1 - TAIL)
    return Memory(
        raft.term,
        raft.vote,
        raft.lead,
        raft.role,
        log.committed,
        log.applied,
        raft.acknowledged,
        raft.tracker.conf,
        last,
        {index: log.term(index) for index in range(low, last + 1)},
        {replica: progress.match for replica, progress in raft.tracker.progress.items()},
    )


def check_kept(before: Memory, raft: Raft) -> None:
    """What must hold from one call to the next."""
    log = raft.log
    assert raft.term >= before.term, f"term {raft.term} after {before.term}"
    assert log.committed >= before.committed, f"commit {log.committed} after {before.committed}"
    assert log.applied >= before.applied, f"applied {log.applied} after {before.applied}"
    first = log.first_index()
    for index, term in before.tail.items():
        if first <= index <= before.committed:
            assert log.term(index) == term, f"committed entry {index} of term {term} is replaced"
    if raft.term != before.term:
        return
    assert before.vote in (0, raft.vote), f"a vote for {before.vote} and one for {raft.vote} in one term"
    assert before.lead == 0 or raft.lead in (0, before.lead), f"{before.lead} and {raft.lead} lead one term"
    assert raft.acknowledged >= before.acknowledged, "an acknowledgement is taken back"
    for index, term in before.tail.items():
        if first <= index <= before.acknowledged:
            assert log.term(index) == term, f"acknowledged entry {index} of term {term} is replaced"
    if before.role is Role.LEADER:
        assert raft.role in (Role.LEADER, Role.FOLLOWER), f"leader became {raft.role.name} in its term"
    if before.role is raft.role is Role.LEADER:
        _check_leader_kept(before, raft)


def _check_leader_kept(before: Memory, raft: Raft) -> None:
    """Leader append-only, and what it knows of a member does not shrink."""
    log, first = raft.log, raft.log.first_index()
    assert log.last_index() >= before.last_index, f"a leader's log shrinks to {log.last_index()}"
    for index, term in before.tail.items():
        assert index < first or log.term(index) == term, f"a leader replaces its entry {index}"
    if raft.tracker.conf != before.conf:
        return  # who left and came back is another member
    for replica, match in before.match.items():
        assert raft.tracker.progress[replica].match >= match, f"match of {replica} falls from {match}"


class Watch:
    """Checks replicas after each call and counts how often it did."""

    def __init__(self) -> None:
        self.checks = 0
        self._memories: dict[int, tuple[Raft, Memory]] = {}  # the replica, too: its id must not be reused

    def check(self, node: RawNode) -> None:
        """Check the state of `node`, and that it keeps what it said before."""
        raft = node.raft
        storage = raft.log.storage
        # A test's storage that counts the core's reads has the uncounted one inside.
        raft.log.storage = getattr(storage, "inner", storage)
        try:
            invariants.check(node)
            invariants.check_whole_log(raft.log)
            if id(raft) in self._memories:
                check_kept(self._memories[id(raft)][1], raft)
            self._memories[id(raft)] = raft, remember(raft)
        finally:
            raft.log.storage = storage
        self.checks += 1

    def wrapped(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, followed by the checks; also when it refuses, but for a replica that must not go on."""

        @wraps(method)
        def call(node: RawNode, *args: Any, **kwargs: Any) -> Any:
            try:
                result = method(node, *args, **kwargs)
            except CorruptLog:
                raise
            except RaftError:
                if hasattr(node, "raft"):  # a node that refuses its configuration has none
                    self.check(node)
                raise
            self.check(node)
            return result

        return call


def methods() -> dict[str, Any]:
    """What makes or moves a replica: its construction, and its public methods."""
    return {
        name: method
        for name, method in vars(RawNode).items()
        if isinstance(method, FunctionType)
        and name not in QUESTIONS
        and (name == "__init__" or not name.startswith("_"))
    }


@contextmanager
def watched() -> Iterator[Watch]:
    """Check every replica after every call, as long as this is open."""
    watch = Watch()
    originals = methods()
    for name, method in originals.items():
        setattr(RawNode, name, watch.wrapped(method))
    try:
        yield watch
    finally:
        for name, method in originals.items():
            setattr(RawNode, name, method)
