"""What each group has committed, as far as any replica has applied it: the truth that the checkers share."""

from __future__ import annotations

from multiraft.raft.entry import Entry

FIRST = 2
"""Index of a group's first entry: it is born at snapshot point (index 1, term 1)."""
BIRTH_TERM = 1


class ChosenLog:
    """The committed entries of one group, in order. `RaftSafety` writes it, the others read."""

    __slots__ = ("entries", "terms")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.terms: list[int] = []
        """Beside each entry a term in which it was known to be committed."""

    @property
    def last(self) -> int:
        """Index of the last entry; 1 if there is none."""
        return FIRST - 1 + len(self.entries)

    def entry(self, index: int) -> Entry:
        """The entry at an index in [2, last]."""
        return self.entries[index - FIRST]

    def term(self, index: int) -> int:
        """The term of the entry at an index in [1, last]."""
        return self.entries[index - FIRST].term if index >= FIRST else BIRTH_TERM

    def slice(self, low: int, high: int) -> list[Entry]:
        """The entries in [low, high), as far as they exist."""
        return self.entries[max(low - FIRST, 0) : max(high - FIRST, 0)]

    def extend(self, entry: Entry, term: int) -> None:
        """The next entry is known to be committed, by a replica in `term`."""
        self.entries.append(entry)
        self.terms.append(term)


class Chosen(dict[int, ChosenLog]):
    """The chosen log of every group; a group not heard of yet has an empty one."""

    def __missing__(self, group: int) -> ChosenLog:
        log = self[group] = ChosenLog()
        return log
