"""Random pasts of replicas that Raft allows: leaders that fork, conflicts, truncations, snapshots."""

import random

from multiraft.engine.logstore.port import GroupWrite
from multiraft.native.entries import encode_runs
from multiraft.raft.entry import Entry
from multiraft.raft.state import HardState

from .builders import MEMBERS, born


class Past:
    """One replica's: what it has been told to hold. Terms are by index; 0 means nothing, 1 is the birth."""

    def __init__(self, group: int, chance: random.Random) -> None:
        self.group = group
        self.terms = [0, 1]
        self.hard = HardState(0, 0, 1)
        self.point = 1
        self._leaders = [0, 1]
        """The log of the current leader."""
        self._term = 1
        self._used = {1}
        self._chance = chance

    @property
    def last(self) -> int:
        return len(self.terms) - 1

    def entries(self, low: int, high: int) -> list[Entry]:
        """Data tells group, index and term: of one index and term there is one entry."""
        return [
            Entry(self.terms[index], index, data=b"%d.%d.%d." % (self.group, index, self.terms[index]) * 9)
            for index in range(low, high)
        ]

    def born(self) -> GroupWrite:
        return born(self.group)

    def next(self) -> GroupWrite:
        """Something happens."""
        kinds = [
            self._elect,
            self._append,
            self._append,
            self._append,
            self._truncate,
            self._install,
            self._vote,
        ]
        write: GroupWrite = self._chance.choices(kinds, [3, 8, 8, 8, 3, 1, 1])[0]()
        return write

    def _vote(self) -> GroupWrite:
        self.hard = self.hard._replace(term=self._term, vote=self._chance.randrange(3))
        return GroupWrite(self.group, 1, self.hard)

    def _elect(self) -> GroupWrite:
        """Another leader, whose log may fork off behind what is committed, in a term that lies between."""
        chance = self._chance
        self._term += chance.randrange(2, 5)
        common = chance.randrange(self.hard.commit, self.last + 1)
        between = [self._term - 1, self.terms[-1] - 1]
        terms = [term for term in between if term > self.terms[common] and term not in self._used]
        fork = [chance.choice(terms)] * chance.randrange(3) if terms else []
        self._used |= {*fork, self._term}
        self._leaders = self.terms[: common + 1] + fork + [self._term]
        return self._append()

    def _append(self) -> GroupWrite:
        """What the leader has and this one has not, as far as it comes."""
        chance, leaders = self._chance, self._leaders
        pairs = enumerate(zip(self.terms, leaders, strict=False))
        first = next((at for at, (own, other) in pairs if own != other), min(len(self.terms), len(leaders)))
        if first <= self.last and first == len(leaders):
            first = self.last + 1
            leaders += self.terms[len(leaders) :]
        end = first + chance.randrange(1, 4)
        leaders += [self._term] * (end - len(leaders))
        self.terms[first:] = leaders[first:end]
        if chance.random() < 0.7:
            commit = max(self.hard.commit, chance.randrange(first - 1, end))
            self.hard = HardState(self._term, chance.randrange(3), commit)
        entries = self.entries(first, end)
        hard = self.hard if self.hard.term == self._term and chance.random() < 0.5 else None
        if hard is None:
            self.hard = self.hard._replace(term=self._term, vote=0)
            hard = self.hard
        return GroupWrite(self.group, 1, hard, entries, encode_runs([entries])[0])

    def _truncate(self) -> GroupWrite:
        self.point = self._chance.randrange(self.point, self.hard.commit + 1)
        return GroupWrite(self.group, 1, truncate=(self.point, self.terms[self.point]))

    def _install(self) -> GroupWrite:
        """A snapshot of the leader takes the place of the log."""
        point = self.last + self._chance.randrange(1, 9)
        self._leaders += [self._term] * (point + 1 - len(self._leaders))
        self.terms = self._leaders[: point + 1]
        self.point = point
        self.hard = HardState(self._term, 0, point)
        return GroupWrite(self.group, 1, self.hard, snapshot_point=(point, self.terms[point], MEMBERS))
