"""The shell around a node: whatever happens to a turn, whoever asked is answered once."""

import asyncio

import pytest

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import Closed, DiskFull, OutcomeUnknown, StorageFailed
from multiraft.engine.figures import no_time
from multiraft.engine.host import Host
from multiraft.engine.pending import Answer
from multiraft.engine.statemachine.memory_store import MemoryStateStore
from multiraft.engine.statemachine.store import Applied
from multiraft.engine.turn import Effects, Inputs
from multiraft.raft.state import ConfState


class OddNode:
    """Answers the first turn's requests in its second turn, unless that fails; loses the rest."""

    config = EngineConfig()
    stopwatch = staticmethod(no_time)
    log = state = None
    halted = False

    def __init__(self, fails: bool) -> None:
        self.fails = fails
        self.kept: list = []
        self.replicas = self

    def turn(self, now: float, inputs: Inputs) -> Effects:
        effects = Effects(again=not self.kept)
        answers = [Answer(token, "done") for token in self.kept]
        self.kept = [one.token for one in (*inputs.proposals, *inputs.reads)]
        if answers and self.fails:
            raise RuntimeError("a bug")
        effects.answers = answers
        return effects

    def fail_all(self, error) -> list[Answer]:
        kept, self.kept = self.kept, []
        return [Answer(token, error) for token in kept]


class Silent:
    """A transport, a writer and a service that do nothing."""

    def __init__(self) -> None:
        self.reasons: list = []

    async def start(self, handler) -> None:
        pass

    async def close(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def stopped(self, error) -> None:
        self.reasons.append(error)


async def ask(fails: bool) -> tuple[list[object], Host, Silent]:
    silent = Silent()
    host = Host(OddNode(fails), silent, silent, silent, silent, silent, silent)
    asked = [host.propose(5, [b"x"]), host.read(5, lambda machine: None)]
    await asyncio.sleep(0)  # the first turn takes them
    asked += [host.propose(5, [b"y"]), host.read(5, lambda machine: None)]
    answers = await asyncio.wait_for(asyncio.gather(*asked[: 4 if fails else 2]), 5)
    return answers, host, silent


def test_a_turn_answers_those_whom_it_names():
    async def story():
        answers, host, silent = await ask(fails=False)
        assert answers == ["done", "done"]
        assert silent.reasons == []
        host.stop(Closed("the end"))

    asyncio.run(story())


def test_a_turn_that_fails_leaves_nobody_without_an_answer():
    """Its answers are lost with it: a write may have happened, a read has not."""

    async def story():
        answers, host, silent = await ask(fails=True)
        (reason,) = silent.reasons
        assert isinstance(reason, StorageFailed)
        assert isinstance(answers[0], OutcomeUnknown)
        assert answers[0].__cause__ is reason
        assert answers[1] is reason
        assert answers[2:] == [reason, reason]
        assert host._waiting == {}
        assert host._queued_bytes == 0

    asyncio.run(story())


def test_a_clean_stop_does_not_pass_over_a_flush_that_failed():
    """What comes after it says that everything before is there."""

    class Stopping(OddNode):
        state = MemoryStateStore()

        class births:  # noqa: N801 - it stands for the attribute
            unsettled = False

    def refuse() -> None:
        raise DiskFull("no room")

    async def story():
        silent, node = Silent(), Stopping(fails=False)
        host, state = Host(node, silent, silent, silent, silent, silent, silent), node.state
        state.group(5).put(b"first", b"1")
        state.set_applied(5, Applied(2, 1, ConfState((11,))))
        flush = state.freeze()
        state.medium.fault = refuse
        with pytest.raises(DiskFull):
            state.write(flush)
        state.medium.fault = None
        state.group(5).put(b"second", b"2")
        state.set_applied(5, Applied(3, 1, ConfState((11,))))
        host._last_flush()
        host.stop(Closed("the end"))
        return state.crash()

    found = asyncio.run(story())
    assert found.applied(5).index == 3
    assert found.group(5).get(b"first") == b"1"
    assert found.group(5).get(b"second") == b"2"
