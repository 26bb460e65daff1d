"""What one turn sends: the messages of all groups for one peer node travel in shared frames."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ..native.messages import ROW_SIZE, encode_messages
from ..native.restdigest import RestPoint
from ..raft.entry import EntryId
from ..raft.messages import Message, MsgType
from ..raft.ready import CommitNotice
from .runs import Run, Runs
from .wire import (
    ASK_LED,
    BEAT,
    COMMIT_NOTICE,
    LED,
    REST,
    RESTING,
    STATE_REQUEST,
    UNKNOWN_GROUP,
    WAKE,
    WHOLE_LOG,
    row_of,
)

FRAME_BYTES: Final = 1 << 20
"""Frames are cut here; a message that is larger by itself travels alone."""
FRAME_ROWS: Final = 4096


class OutFrame(NamedTuple):
    """One frame, ready for the socket, and the group of each message in it, to be told should it be dropped.

    What nodes say of themselves is of no group.
    """

    node: int
    data: bytes
    groups: tuple[int, ...]


class _Item(NamedTuple):
    row: list[int]
    run: Run | None
    extra: bytes
    urgent: bool


class Outbox:
    """Collects messages per peer node; :meth:`frames` encodes them, urgent ones first."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._items: dict[int, list[_Item]] = {}

    def add(self, node: int, group: int, message: Message) -> None:
        """Queue a message; its entries' bytes must be there when :meth:`frames` is called."""
        run = self._runs.of(group, message.entries) if message.entries else None
        urgent = group == 1 or message.type in {MsgType.HEARTBEAT, MsgType.HEARTBEAT_RESP}
        self._push(node, _Item(row_of(group, message), run, message.context, urgent))

    def add_notice(self, node: int, group: int, from_: int, notice: CommitNotice) -> None:
        """Queue a commit notice."""
        row = [group, notice.to, from_, COMMIT_NOTICE, notice.term, 0, 0, notice.commit, 0, 0, 0]
        self._push(node, _Item(row, None, b"", urgent=False))

    def add_unknown(self, node: int, group: int, to: int) -> None:
        """Queue the answer to a message for a group that this node does not hold."""
        self._push(node, _Item([group, to, 0, UNKNOWN_GROUP, 0, 0, 0, 0, 0, 0, 0], None, b"", urgent=False))

    def add_state_request(
        self, node: int, group: int, to: int, from_: int, promised: EntryId = WHOLE_LOG
    ) -> None:
        """Queue the request of replica ``from_`` for the state of its leader ``to``.

        ``promised``: its log is lost, too, which held this entry.
        """
        row = [group, to, from_, STATE_REQUEST, 0, promised.term, promised.index, 0, 0, 0, 0]
        self._push(node, _Item(row, None, b"", urgent=False))

    def add_rest(self, node: int, group: int, to: int, from_: int, point: RestPoint) -> None:
        """Queue a leader's word that its group rests."""
        row = [group, to, from_, REST, point.term, 0, 0, point.commit, 0, 0, 0]
        self._push(node, _Item(row, None, b"", urgent=False))

    def add_wake(self, node: int, group: int) -> None:
        """Queue the word that a group does not rest here."""
        self._push(node, _Item([group, 0, 0, WAKE, 0, 0, 0, 0, 0, 0, 0], None, b"", urgent=False))

    def add_beat(self, node: int, run: int, count: int, total: int) -> None:
        """Queue this node's beat in its present run."""
        self._push(node, _Item([0, 0, 0, BEAT, run, 0, count, total, 0, 0, 0], None, b"", urgent=False))

    def add_resting(self, node: int, low: int, high: int, listed: bytes) -> None:
        """Queue a list of the groups in [low, high) that rest here because ``node`` leads them."""
        self._add_list(node, RESTING, low, high, listed)

    def add_led(self, node: int, low: int, high: int, listed: bytes) -> None:
        """Queue a list of the groups in [low, high) that are led here and should rest on ``node``."""
        self._add_list(node, LED, low, high, listed)

    def add_ask_led(self, node: int, low: int) -> None:
        """Queue the question what rests because ``node`` leads it, from group ``low`` on."""
        self._add_list(node, ASK_LED, low, 0, b"")

    def _add_list(self, node: int, kind: int, low: int, high: int, listed: bytes) -> None:
        self._push(node, _Item([0, 0, 0, kind, 0, 0, low, high, 0, 0, 0], None, listed, urgent=False))

    def frames(self, directory_index: int, sealed: Sequence[OutFrame] = ()) -> list[OutFrame]:
        """Everything queued, in frames of at most 1 MiB and 4,096 rows.

        ``sealed``: frames of newborns, which come behind what is urgent and before the beats: these speak of
        the groups that the newborns have just told to rest.
        """
        if not self._items:
            return [*sealed]
        urgent: list[OutFrame] = []
        others: list[OutFrame] = []
        for node, items in self._items.items():
            first = [item for item in items if item.urgent]
            rest = [item for item in items if not item.urgent] if first else items
            for part, out in ((first, urgent), (rest, others)):
                if part:
                    out.extend(_cut(node, part, directory_index))
        self._items = {}
        return [*urgent, *sealed, *others]

    def _push(self, node: int, item: _Item) -> None:
        queue = self._items.get(node)
        if queue is None:
            self._items[node] = [item]
        else:
            queue.append(item)


def _cut(node: int, items: list[_Item], directory_index: int) -> list[OutFrame]:
    """Encode items in order.

    Beats may overtake appends of their group: they carry no log position.
    """
    out: list[OutFrame] = []
    rows: list[int] = []
    bodies: list[bytes] = []
    groups: list[int] = []
    size = count = 0
    for row, run, extra, _ in items:
        data = b"" if run is None else run.data or b""
        weight = ROW_SIZE + len(data) + len(extra)
        if count and (size + weight > FRAME_BYTES or count == FRAME_ROWS):
            out.append(OutFrame(node, encode_messages(directory_index, rows, bodies), tuple(groups)))
            rows, bodies, groups, size, count = [], [], [], 0, 0
        row[-2] = len(data)
        row[-1] = len(extra)
        rows += row
        if data:
            bodies.append(data)
        if extra:
            bodies.append(extra)
        if row[0]:
            groups.append(row[0])
        size += weight
        count += 1
    if count:
        out.append(OutFrame(node, encode_messages(directory_index, rows, bodies), tuple(groups)))
    return out
