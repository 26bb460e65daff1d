"""What one turn sends: cut into frames that the receiver takes, each message once."""

from multiraft.engine.outbox import FRAME_BYTES, Outbox
from multiraft.engine.runs import Runs
from multiraft.engine.transport.kinds import PEER_LIMITS, FrameKind
from multiraft.engine.wire import read_frame
from multiraft.native.frames import HEADER_SIZE, open_header
from multiraft.raft.entry import Entry
from multiraft.raft.messages import Message, MsgType
from multiraft.raft.ready import CommitNotice


def append(first: int, *payloads: bytes) -> Message:
    entries = [Entry(3, first + number, data=data) for number, data in enumerate(payloads)]
    return Message(MsgType.APP, to=2, from_=1, term=3, log_term=3, index=first - 1, entries=entries)


def frames_of(*messages: tuple[int, Message]):
    runs = Runs()
    outbox = Outbox(runs)
    for group, message in messages:
        outbox.add(9, group, message)
    runs.encode()
    return outbox.frames(7)


def read(frame):
    kind, length, _ = open_header(frame.data)
    assert length == len(frame.data) - HEADER_SIZE <= PEER_LIMITS[FrameKind(kind)]
    directory_index, rows = read_frame(frame.data[HEADER_SIZE:])
    assert directory_index == 7
    return list(rows)


def test_messages_of_many_groups_share_a_frame_and_come_out_as_they_went_in():
    messages = [(group, append(5, b"%d" % group, b"x" * group)) for group in range(2, 300)]
    (frame,) = frames_of(*messages)
    assert [(row.group, row.message) for row in read(frame)] == messages
    assert frame.groups == tuple(range(2, 300))


def test_beats_and_the_system_group_go_first():
    beat = Message(MsgType.HEARTBEAT, to=2, from_=1, term=3)
    frames = frames_of((5, append(5, b"x")), (1, append(5, b"system")), (6, beat))
    assert [row.group for row in read(frames[0])] == [1, 6]
    assert [row.group for row in read(frames[1])] == [5]


def test_frames_are_cut_at_a_mebibyte_and_a_larger_entry_goes_alone():
    sizes = [400_000, 400_000, 400_000, 4 << 20, 10]
    frames = frames_of(*((number + 2, append(5, b"x" * size)) for number, size in enumerate(sizes)))
    assert [[row.group for row in read(frame)] for frame in frames] == [[2, 3], [4], [5], [6]]
    assert all(len(frame.data) < FRAME_BYTES or len(read(frame)) == 1 for frame in frames)


def test_the_bytes_of_entries_exist_once():
    """The same run goes to every peer and into the log batch."""
    runs = Runs()
    outbox = Outbox(runs)
    message = append(5, b"payload", b"more")
    outbox.add(8, 5, message)
    outbox.add(9, 5, append(5, b"payload", b"more"))
    again = Message(MsgType.APP, to=3, from_=1, term=3, entries=message.entries[:])
    assert runs.of(5, message.entries) is runs.of(5, again.entries)
    runs.encode()
    received = Runs()
    received.received(5, message.entries, runs.of(5, message.entries).data)
    assert received.of(5, message.entries).data is runs.of(5, message.entries).data


def test_commit_notices_travel_as_rows():
    runs = Runs()
    outbox = Outbox(runs)
    outbox.add_notice(9, 5, 1, CommitNotice(to=2, term=3, commit=77))
    (frame,) = outbox.frames(7)
    (row,) = read(frame)
    assert (row.message.to, row.message.from_, row.message.term, row.message.commit) == (2, 1, 3, 77)
