"""What goes to the disk in one flush: the layers of all groups that changed."""

from dataclasses import dataclass, field
from typing import Final

from ...raft.entry import EntryId
from ..errors import Corruption
from .applied import Point
from .grouprecord import NO_DATA
from .memtable import Memtable
from .tally import Tally

#: Prefix of a layer that goes on with the data of the layer beneath it, whatever prefix that has.
INHERITED: Final = -1


@dataclass(slots=True)
class Pending:
    """What was written to one group between two freezes.

    ``fresh`` hides all older data, ``wipe`` all older records. ``maps`` says that ``prefix`` is new for the
    group, ``adopts`` that there is data under it already, of this tally, ``buries`` names the prefix whose
    data belongs to nobody after this flush (0 if none).
    Invariant: ``table`` has entries only if ``prefix > 0``; ``maps`` only if ``prefix > 0``; ``adopts`` only
    with ``maps`` and ``fresh``.
    """

    table: Memtable = field(default_factory=Memtable)
    prefix: int = INHERITED
    fresh: bool = False
    maps: bool = False
    adopts: Tally | None = None
    buries: int = NO_DATA
    wipe: bool = False
    point: Point | None = None
    checkpoint: tuple[Point, bytes] | None = None

    def replaces_all(self) -> bool:
        """Whether nothing that the disk says of the group's data outlives this flush."""
        return self.fresh and (self.wipe or self.point is not None)

    def index(self) -> int | None:
        """The applied index that this flush makes durable, None if it carries no record."""
        if self.point is not None:
            return self.point.applied.index
        return None if self.checkpoint is None else self.checkpoint[0].applied.index


@dataclass(slots=True)
class Flush:
    """Everything between two freezes. Nobody changes it but ``carryout``, which says what became of it."""

    sequence: int
    next_prefix: int
    groups: dict[int, Pending]
    reclaim: tuple[int, ...]
    promised: dict[int, EntryId | None] = field(default_factory=dict)
    """By group the last entry that its log held when it was damaged; None: the log is whole again."""
    reclaimed: list[int] = field(default_factory=list)
    """Of the abandoned prefixes in ``reclaim``, those of which nothing is left."""
    damaged: dict[int, Corruption] = field(default_factory=dict)
    """Groups whose record on the disk was damaged: nothing of them was written."""
