"""Steps of the Raft core: what one replica costs per proposal, answer, append, beat and tick, without I/O.

The replicas run as the engine runs them: asynchronous storage writes, commit notices, the C inflight window.
"""

import random
from collections.abc import Callable, Sequence

import pytest

from benchmarks.conftest import OPERATIONS, PerOperation, Round
from multiraft.native.inflights import Inflights
from multiraft.raft.config import Config
from multiraft.raft.entry import Entry
from multiraft.raft.messages import Message, MsgType
from multiraft.raft.node import RawNode
from multiraft.raft.ready import Ready
from multiraft.raft.state import ConfState, Role
from multiraft.raft.storage import MemoryStorage

VOTERS = (1, 2, 3)
PAYLOAD = bytes(128)
BEAT_TICKS = 5


class Bench:
    """One replica and its storage; what is handed out to be written is durable at once."""

    def __init__(self, id_: int, beat_ticks: int) -> None:
        self.storage = MemoryStorage(ConfState(VOTERS))
        self.raw = RawNode(
            Config(
                id=id_,
                storage=self.storage,
                election_tick=10 * beat_ticks,
                heartbeat_tick=beat_ticks,
                random=random.Random(id_),
                async_storage_writes=True,
                pre_vote=True,
                check_quorum=True,
                max_size_per_msg=1 << 20,
                max_inflight_msgs=2 * OPERATIONS,
                commit_notices=True,
                inflights_factory=Inflights,
            )
        )

    def ready(self) -> Ready:
        """Take a Ready, write it and step its attestation back."""
        ready = self.raw.ready()
        self.storage.append(ready.entries)
        if ready.hard_state is not None:
            self.storage.set_hard_state(ready.hard_state)
        for message in ready.messages_after_append:
            if message.to == self.raw.raft.id:
                self.raw.step(message)
        if ready.committed_entries:
            self.raw.acknowledge_apply(ready.committed_entries)
        return ready

    def settle(self) -> list[Message]:
        """Take Readys until there is none; returns what leaves."""
        sent: list[Message] = []
        while self.raw.has_ready():
            ready = self.ready()
            leaving = [*ready.messages, *ready.messages_after_append]
            sent += [message for message in leaving if message.to != self.raw.raft.id]
        return sent


def trio(beat_ticks: int = BEAT_TICKS) -> tuple[Bench, Bench, Bench]:
    """Three replicas; the first leads, and all have applied the entry that opens its term."""
    benches = (Bench(1, beat_ticks), Bench(2, beat_ticks), Bench(3, beat_ticks))
    benches[0].raw.force_election()
    exchange(benches)
    assert benches[0].raw.raft.role is Role.LEADER
    return benches


def exchange(benches: Sequence[Bench]) -> None:
    """Deliver messages until none is left."""
    while sent := [message for bench in benches for message in bench.settle()]:
        for message in sent:
            benches[message.to - 1].raw.step(message)


def repeated(step: Callable[[], object]) -> Round:
    """A round of the same step."""

    def work() -> None:
        for _ in range(OPERATIONS):
            step()

    return work


def test_propose(per_operation: PerOperation) -> None:
    """A leader appends a command and hands out the write and two appends; its own disk is instant."""

    def prepare() -> Round:
        leader = trio()[0]

        def step() -> None:
            leader.raw.propose_batch([PAYLOAD])
            leader.ready()

        return repeated(step)

    per_operation(prepare)


def test_append_answer(per_operation: PerOperation) -> None:
    """A follower's answer moves the leader's commit index; the entry is handed out and applied."""

    def prepare() -> Round:
        leader = trio()[0]
        last = leader.raw.raft.log.last_index()
        term = leader.raw.raft.term
        for _ in range(OPERATIONS):
            leader.raw.propose_batch([PAYLOAD])
            leader.ready()
        answers = [
            Message(MsgType.APP_RESP, 1, 2, term, index=last + number) for number in range(1, OPERATIONS + 1)
        ]

        def work() -> None:
            for answer in answers:
                leader.raw.step(answer)
                leader.ready()
            assert leader.raw.raft.log.applied == last + OPERATIONS

        return work

    per_operation(prepare)


def test_append(per_operation: PerOperation) -> None:
    """A follower takes an append of one entry, which also commits the one before, and answers."""

    def prepare() -> Round:
        leader, follower, _ = trio()
        last, term = leader.raw.raft.log.last_index(), leader.raw.raft.term
        appends = [
            Message(
                MsgType.APP,
                2,
                1,
                term,
                log_term=term,
                index=index,
                commit=index,
                entries=[Entry(term, index + 1, data=PAYLOAD)],
            )
            for index in range(last, last + OPERATIONS)
        ]

        def work() -> None:
            for message in appends:
                follower.raw.step(message)
                follower.ready()
            assert follower.raw.raft.log.last_index() == last + OPERATIONS

        return work

    per_operation(prepare)


def test_heartbeat_round(per_operation: PerOperation) -> None:
    """A leader beats to two followers, both answer: six messages handled, three Readys taken."""

    def prepare() -> Round:
        benches = trio()
        leader, followers = benches[0], benches[1:]

        def beat() -> None:
            for _ in range(BEAT_TICKS):
                leader.raw.tick()
            for message in leader.ready().messages:
                benches[message.to - 1].raw.step(message)
            for follower in followers:
                for answer in follower.ready().messages:
                    leader.raw.step(answer)

        return repeated(beat)

    per_operation(prepare)


@pytest.mark.parametrize("role", [Role.LEADER, Role.FOLLOWER], ids=["leader", "follower"])
def test_tick(per_operation: PerOperation, role: Role) -> None:
    """A tick at which nothing is due: what an idle replica costs every 100 ms."""

    def prepare() -> Round:
        leader, follower, _ = trio(beat_ticks=OPERATIONS + 1)
        raw = leader.raw if role is Role.LEADER else follower.raw
        return repeated(raw.tick)

    per_operation(prepare)


@pytest.mark.parametrize("load", [0, 32], ids=["at rest", "under load"])
def test_export_and_go_on(per_operation: PerOperation, load: int) -> None:
    """A leader's state is put away and taken up again; under load, with so many appends on their way."""

    def prepare() -> Round:
        leader = trio()[0]
        for _ in range(load):
            leader.raw.propose_batch([PAYLOAD])
            leader.ready()
        raw, config = leader.raw, leader.raw.raft.config
        return repeated(lambda: RawNode.from_state(config, raw.export_state()))

    per_operation(prepare)
