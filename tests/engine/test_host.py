"""The shell around a node: whatever happens to a turn, whoever asked is answered once."""

import asyncio

from multiraft.engine.config import EngineConfig
from multiraft.engine.errors import Closed, OutcomeUnknown, StorageFailed
from multiraft.engine.host import Host
from multiraft.engine.pending import Answer
from multiraft.engine.turn import Effects, Inputs


class OddNode:
    """Answers the first turn's requests in its second turn, unless that fails; loses the rest."""

    config = EngineConfig()

    def __init__(self, fails: bool) -> None:
        self.fails = fails
        self.kept: list = []

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

    def stopped(self, error) -> None:
        self.reasons.append(error)


async def ask(fails: bool) -> tuple[list[object], Host, Silent]:
    silent = Silent()
    host = Host(OddNode(fails), silent, silent, silent)
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
