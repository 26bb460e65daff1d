"""What the disk holds of one group at one moment: what a snapshot is made of.

A flush carries a group's data together with its applied record, so whatever is on the disk is the state at
one point of the log, and the log is never cut beyond it. No memtable has to be looked at, and none is held.
"""

from typing import NamedTuple

from .applied import Applied
from .grouprecord import NO_DATA
from .keys import successor
from .medium import Moment
from .opening import read_checkpoint_point, read_group_record
from .paging import LAST_PAGE, Pair
from .records import Kind, checkpoint_range, damaged, prefix_range, record_key, unseal
from .tally import Tallying, tally_problem


class Piece(NamedTuple):
    """Consecutive pairs of a view; ``last`` says that nothing follows."""

    pairs: list[Pair]
    last: bool


class StateView:
    """The data of one group, read piece by piece from whatever thread; :meth:`close` must follow.

    Of a durable machine these are its keys and values; of another, the pieces of its checkpoint, each under
    the four bytes of its number.
    """

    def __init__(self, moment: Moment, group: int) -> None:
        self._moment = moment
        self._group = group
        record = read_group_record(moment, group)
        point = None if record is None else record.open_point(record_key(Kind.GROUP, group), group)
        self._record = record
        self._found = Tallying()
        self.durable = point is not None
        """Whether the group's machine keeps its state in the store."""
        self.applied: Applied | None = None
        """Where in the log this state stands; None if nothing of the group is on the disk."""
        if record is not None and point is not None:
            self.applied = point.applied
            self._range = (b"", b"") if record.prefix == NO_DATA else prefix_range(record.prefix)
        elif (checkpoint := read_checkpoint_point(moment, group)) is not None:
            start, stop = checkpoint_range(group)
            self.applied, self._range = checkpoint.applied, (successor(start), stop)

    def read(self, limit: int) -> Piece:
        """The next pairs, until their keys and values reach ``limit`` bytes; at least one, if one is left.

        Raises:
            Corruption: a value is damaged; with the last piece, also that keys are missing or old ones back.
            StorageFailed: the store was reopened meanwhile.
        """
        pairs: list[Pair] = []
        size, (start, stop) = 0, self._range
        while start < stop and size < limit:
            page = self._moment.page(start, stop, LAST_PAGE)
            taken = 0
            for key, stored in page.pairs:
                content = unseal(key, stored, self._group)
                self._found.add(stored)
                pairs.append((key[8:] if self.durable else key[-4:], content))
                size += len(key) + len(content)
                start = successor(key)
                taken += 1
                if size >= limit:
                    break
            if page.bound is None and taken == len(page.pairs):
                start = stop
        self._range = (start, stop)
        if start >= stop:
            self._check_tally()
        return Piece(pairs, last=start >= stop)

    def _check_tally(self) -> None:
        """What has vanished here must not vanish there as well."""
        record, found = self._record, self._found.result()
        if self.durable and record is not None and found != record.tally:
            key = record_key(Kind.GROUP, self._group)
            raise damaged(key, self._group, tally_problem(record.tally, found))

    def close(self) -> None:
        """Let go of the moment."""
        self._moment.close()
