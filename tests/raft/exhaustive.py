"""Every state that a small group can reach: a breadth-first search over the real core.

``python -m tests.raft.exhaustive [--terms 2] [--entries 3] [--changes 1] [--crashes 1] ...`` prints how many
states and transitions there are. A violation is printed with the actions that lead to it.

A state is three replicas with their disks (see `cells`), the messages on their way, what has been committed
and who has led so far. Losing a message is not an action: one that is never delivered is lost. Messages on
their way are a set, so one that is sent again meanwhile counts once; delivering one twice is an action. What
can make no difference any more, whatever happens, is taken off their way.
Clocks are left out: any replica may campaign at any time. Of states that differ only by the names of the
replicas, the search follows those in which replica 1 campaigns first.
"""

import argparse
import sys
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from multiraft.raft import Change, ChangeType, ConfChange, ConfState, Entry, MsgType, Role
from multiraft.raft.describe import describe_message
from multiraft.raft.export import message
from tests.raft.cells import IDS, Bounds, Cell, Cells, Numbers

REMOVE_3 = ConfChange((Change(ChangeType.REMOVE, 3),))
State = tuple[int, int, int, int, int, int]
"""The three cells, the network, the ghost and the budget, each by its number."""
NETWORK, GHOST, BUDGET = 3, 4, 5
Action = tuple[str, int, int]
"""What happens, to which replica's position, with which message."""


class Ghost(NamedTuple):
    """What the group has done so far, although nobody in it remembers."""

    leaders: tuple[tuple[int, int], ...] = ()
    """Each as (term, replica)."""
    committed: tuple[tuple[Entry, int], ...] = ()
    """Each entry with the term in which it was committed."""


class Budget(NamedTuple):
    """How often each may still happen."""

    propose: int
    change: int
    crash: int
    campaign: int
    beat: int
    double: int


class Face(NamedTuple):
    """What the invariants look at in a cell."""

    id: int
    leads: bool
    term: int
    committed: int
    conf: ConfState
    log: tuple[Entry, ...]
    durable: tuple[Entry, ...]


class Violation(AssertionError):
    """A state that must not be, and the actions that lead there."""


def face(cell: Cell) -> Face:
    """The cell without what only the core is concerned with."""
    state, disk = cell.state, cell.disk
    log = (*disk.entries[: state.log.offset - 1], *state.log.entries)
    leads = state.role is Role.LEADER
    return Face(state.id, leads, state.term, state.log.committed, state.conf, log, disk.entries)


@cache
def logs_match(first: tuple[Entry, ...], second: tuple[Entry, ...]) -> bool:
    """Whether two logs that hold the same term at an index are the same up to there."""
    common = [n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a.term == b.term]
    return not common or first[: common[-1] + 1] == second[: common[-1] + 1]


class Search:
    """The search: states reached so far, and how."""

    def __init__(self, bounds: Bounds, change: ConfChange = REMOVE_3) -> None:
        self.bounds = bounds
        self.cells = Cells(bounds, change)
        self.networks, self.ghosts, self.budgets = Numbers(), Numbers(), Numbers()
        self.faces: dict[int, Face] = {}
        self.full = Budget(
            bounds.proposals, bounds.changes, bounds.crashes, bounds.campaigns, bounds.beats, bounds.doubles
        )
        self.first: State = (
            *(self.cells.first(id_) for id_ in IDS),  # type: ignore[assignment]  # there are three
            self.networks.of(frozenset()),
            self.ghosts.of(Ghost()),
            self.budgets.of(self.full),
        )
        self.came_from: dict[State, tuple[State, Action] | None] = {self.first: None}
        self.idle: dict[tuple[int, int], bool] = {}
        self.transitions = 0

    def run(self) -> None:
        """Reach every state within the bounds; `Violation` at the first one that must not be."""
        waiting = deque([self.first])
        while waiting and len(self.came_from) < self.bounds.states:
            state = waiting.popleft()
            for action in self._actions(state):
                try:
                    after = self._after(state, action)
                except AssertionError as error:
                    raise Violation("\n".join([*self._story(state, action), str(error)])) from error
                if after is None:
                    continue
                self.transitions += 1
                if after not in self.came_from:
                    self.came_from[after] = state, action
                    waiting.append(after)

    def _actions(self, state: State) -> Iterator[Action]:
        budget: Budget = self.budgets.values[state[BUDGET]]
        for m in self.networks.values[state[NETWORK]]:
            position = self.cells.messages.values[m].to - 1
            yield "deliver", position, m
            if budget.double:
                yield "double", position, m
        at_start = budget.campaign == self.full.campaign
        for position in range(len(IDS)):
            yield "persist", position, -1
            yield "apply", position, -1
            for name in ("propose", "change", "crash", "campaign", "beat"):
                if getattr(budget, name) and not (name == "campaign" and at_start and position):
                    yield name, position, -1

    def _after(self, state: State, action: Action) -> State | None:
        name, position, given = action
        result = self.cells.step(state[position], "deliver" if name == "double" else name, given)
        if result is None:
            return None
        network = self.networks.values[state[NETWORK]]
        if name == "deliver" or result.sent:
            network = (network - {given} if name == "deliver" else network).union(result.sent)
        budget: Budget = self.budgets.values[state[BUDGET]]
        if hasattr(budget, name):
            budget = budget._replace(**{name: getattr(budget, name) - 1})
        cells = [*state[:NETWORK]]
        cells[position] = result.cell
        ghost = state[GHOST]
        if result.cell != state[position] or result.sent:
            network = frozenset(m for m in network if not self._idle(m, cells))
        if len(network) > self.bounds.under_way:
            return None
        if result.cell != state[position]:
            ghost = self._judged(cells, position, state[position], ghost)
        first, second, third = cells
        return first, second, third, self.networks.of(network), ghost, self.budgets.of(budget)

    def _idle(self, m: int, cells: list[int]) -> bool:
        """Whether a message will be ignored for ever: its term is over, or its question is settled."""
        key = m, cells[self.cells.messages.values[m].to - 1]
        if key not in self.idle:
            record, receiver = self.cells.messages.values[m], self.cells.cells.values[key[1]]
            durable, role = receiver.disk.hard_state.term, receiver.state.role
            is_settled = (record.type is MsgType.VOTE_RESP and role is not Role.CANDIDATE) or (
                record.type is MsgType.APP_RESP and role is Role.FOLLOWER
            )
            self.idle[key] = record.term < durable or (is_settled and record.term == durable)
        return self.idle[key]

    # -- invariants ---------------------------------------------------------------------------------------

    def _face(self, cell: int) -> Face:
        if cell not in self.faces:
            self.faces[cell] = face(self.cells.cells.values[cell])
        return self.faces[cell]

    def _judged(self, cells: list[int], position: int, before: int, ghost_number: int) -> int:
        """Check the cell that changed against the others; returns what the group has done by then."""
        old, new = self._face(before), self._face(cells[position])
        others = [self._face(cell) for cell in cells]
        ghost: Ghost = self.ghosts.values[ghost_number]
        if new.log != old.log:
            for other in others:
                assert logs_match(new.log, other.log), f"the logs of {new.id} and {other.id} do not match"
        if new.leads:
            ghost = self._leads(new, ghost)
        if new.committed > old.committed:
            ghost = self._commits(new, others, ghost)
        return self.ghosts.of(ghost)

    @staticmethod
    def _leads(leader: Face, ghost: Ghost) -> Ghost:
        known = dict(ghost.leaders).get(leader.term)
        assert known in (None, leader.id), f"{known} and {leader.id} lead term {leader.term}"
        if known is not None:
            return ghost
        _must_hold(leader, ghost)
        return ghost._replace(leaders=tuple(sorted([*ghost.leaders, (leader.term, leader.id)])))

    @staticmethod
    def _commits(face: Face, others: list[Face], ghost: Ghost) -> Ghost:
        if face.leads:
            entry = face.log[face.committed - 1]
            assert entry.term == face.term, f"{entry} is committed by counting in term {face.term}"
            for half in (face.conf.voters, face.conf.voters_outgoing):
                holders = [id_ for id_ in half if entry in others[id_ - 1].durable]
                assert not half or 2 * len(holders) > len(half), f"{entry} is durable at {holders} only"
        committed = list(ghost.committed)
        for index, entry in enumerate(face.log[: face.committed]):
            if index == len(committed):
                committed.append((entry, face.term))
            assert committed[index][0] == entry, f"{face.id} commits {entry}, not {committed[index][0]}"
        ghost = ghost._replace(committed=tuple(committed))
        for other in others:
            if other.leads:
                _must_hold(other, ghost)
        return ghost

    # -- telling ------------------------------------------------------------------------------------------

    def _story(self, state: State, last: Action) -> list[str]:
        """The actions from the beginning to `last`, which was done in `state`."""
        actions = [last]
        while (step := self.came_from[state]) is not None:
            state, action = step
            actions.append(action)
        return ["", *(self._told(action) for action in reversed(actions))]

    def _told(self, action: Action) -> str:
        name, position, given = action
        if given < 0:
            return f"{IDS[position]} {name}"
        return f"{name} {describe_message(message(self.cells.messages.values[given]))}"


def _must_hold(leader: Face, ghost: Ghost) -> None:
    """Leader completeness: what was committed in an earlier term is in the leader's log."""
    for index, (entry, term) in enumerate(ghost.committed):
        assert term >= leader.term or leader.log[index : index + 1] == (entry,), (
            f"leader {leader.id} of term {leader.term} lacks {entry}"
        )


def main(arguments: list[str]) -> int:
    """Search within the bounds given. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.raft.exhaustive", description="Search all states.")
    for name, default in Bounds()._asdict().items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    search = Search(Bounds(**vars(parser.parse_args(arguments))))
    try:
        search.run()
    except Violation as violation:
        print(violation)
        return 1
    finally:
        states, cells = len(search.came_from), len(search.cells.cells.values)
        print(f"{states} states, {search.transitions} transitions, {cells} cells")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
