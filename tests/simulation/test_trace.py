"""What the lines of a trace look like, and which of them concern a group."""

from multiraft.engine.outbox import Outbox, OutFrame
from multiraft.engine.replica import SYSTEM_GROUP
from multiraft.engine.runs import Runs
from multiraft.engine.statemachine.commands import encode_batch, encode_put, envelope
from multiraft.engine.wire import COMMIT_NOTICE, UNKNOWN_GROUP, Received
from multiraft.raft.entry import Entry, EntryType
from multiraft.raft.messages import Message, MsgType
from tests.simulation.trace import MOST_TEXT, Trace, describe_row, describe_violation


def row(message: Message, group: int = 4, kind: int | None = None) -> str:
    return describe_row(Received(group, message.type if kind is None else kind, message, b""))


def entry(index: int, body: bytes) -> Entry:
    return Entry(2, index, data=envelope(7, index, 1, body))


def frame_of(*groups: int) -> OutFrame:
    outbox = Outbox(Runs())
    for group in groups:
        outbox.add(2, group, Message(MsgType.HEARTBEAT_RESP, 12, 3, term=1))
    (frame,) = outbox.frames(directory_index=1)
    return frame


def test_replicas_do_not_look_like_nodes():
    beat = Message(MsgType.HEARTBEAT, 12, 3, term=1, commit=9)
    assert row(beat) == "group 4: r3->r12 MsgHeartbeat Term:1 Log:0/0 Commit:9"
    assert row(beat, kind=COMMIT_NOTICE) == "group 4: r3->r12 CommitNotice Term:1 Commit:9"
    assert row(Message(MsgType.HEARTBEAT, 12), kind=UNKNOWN_GROUP) == "group 4: ->r12 UnknownGroup"


def test_entries_say_what_they_order():
    def append(*entries: Entry, group: int = 4) -> str:
        _, _, shown = row(Message(MsgType.APP, 2, 1, 2, 2, 6, entries=entries), group).partition(" Log:2/6")
        return shown

    put = entry(7, encode_put(b"0001/2", b"v9"))
    assert append(put) == " Entries:[2/7 put 0001/2 = v9 38 B]"
    long = append(entry(8, encode_batch([(b"%03d" % key, b"\xff" * 99) for key in range(50)])))
    assert len(long) < MOST_TEXT + 40
    assert "… " in long
    several = append(put, Entry(2, 8)).split("\n")
    assert [one.strip() for one in several] == [
        "Entries:[",
        "2/7 put 0001/2 = v9 38 B",
        "2/8 opens its leader's term]",
    ]
    assert append(Entry(2, 7, EntryType.REFUSED_CHANGE)) == ' Entries:[2/7 EntryNormal ""]'
    assert "no command" in append(put, group=SYSTEM_GROUP)


def test_a_group_has_its_messages_and_what_befalls_everybody():
    trace = Trace()
    trace.note(0.5, 1, "starts", "")
    trace.note(1.0, 0, "asks", "client 1 #5 put")
    trace.frame(1.5, 1, frame_of(4, 5))
    trace.note(2.0, 1, "strays", "")
    trace.frame(2.0, 1, frame_of(5))
    trace.note(2.5, 2, "sicken", "group 4")
    trace.note(2.5, 2, "sicken", "group 44")
    digest = trace.digest()
    beat = "r3->r12 MsgHeartbeatResp Term:1 Log:0/0"
    indent = " " * 20
    assert trace.lines(group=4) == [
        "  0.500000 node 1 starts",
        f"  1.500000 node 1 sends node 2\n{indent}group 4: {beat}",
        "  2.500000 node 2 sicken group 4",
    ]
    assert trace.lines(group=5)[1:] == [
        f"  1.500000 node 1 sends node 2\n{indent}group 5: {beat}",
        f"  2.000000 node 1 strays, sends node 2\n{indent}group 5: {beat}",
    ]
    assert len(trace.lines()) == 6
    assert trace.digest() == digest


def test_a_trace_says_how_much_of_it_is_missing():
    trace = Trace(kept=3)
    for second in range(5):
        trace.note(second, 1, "starts", "")
    assert trace.lines(last=1) == [
        "(2 earlier lines are not shown, 2 events are forgotten)",
        "  4.000000 node 1 starts",
    ]


def test_a_violation_is_told_of_its_node():
    node = describe_violation(7.812, "durability: node 2, group 1: a vote leaves\nand more")
    assert node == "  7.812000 node 2 violates: durability: node 2, group 1: a vote leaves"
    assert describe_violation(1, "raft_safety: group 3: node 4 applies").startswith("  1.000000 node 4 ")
    of_none = describe_violation(1, "liveness: group 3 is not on node 4")
    assert of_none == "  1.000000 world  violates: liveness: group 3 is not on node 4"
