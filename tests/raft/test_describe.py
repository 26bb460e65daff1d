"""Renderings that the scenarios show little of."""

import pytest

from multiraft.raft import (
    Change,
    ChangeType,
    Compacted,
    ConfChange,
    ConfState,
    DropReason,
    Entry,
    EntryType,
    HardState,
    Message,
    MsgType,
    PeerNotFound,
    ProposalDropped,
    ReadState,
    Ready,
    Snapshot,
)
from multiraft.raft.confchange import encode_v2
from multiraft.raft.describe import (
    describe_conf,
    describe_entry,
    describe_error,
    describe_hard_state,
    describe_message,
    describe_payload,
    describe_quorum,
    describe_ready,
)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", '""'),
        (b"plain", '"plain"'),
        (b'a"b\\c', r'"a\"b\\c"'),
        (b"\n\t\x00\x7f", r'"\n\t\x00\x7f"'),
        ("café".encode(), '"café"'),
        ("\x80".encode(), r'"\u0080"'),
        (b"\xff\xfe", r'"\xff\xfe"'),
        ("\u200b\U000e0001".encode(), r'"\u200b\U000e0001"'),
    ],
)
def test_payload_is_quoted(data: bytes, text: str):
    assert describe_payload(data) == text


def test_entries():
    changes = tuple(Change(kind, id_) for id_, kind in enumerate(ChangeType, 1))
    encoded = encode_v2(ConfChange(changes))
    assert (
        describe_entry(Entry(1, 2, EntryType.CONF_CHANGE_V2, encoded)) == "1/2 EntryConfChangeV2 v1 r2 u3 l4"
    )
    assert describe_entry(Entry(1, 2, EntryType.CONF_CHANGE_V2)) == "1/2 EntryConfChangeV2"
    assert describe_entry(Entry(1, 2, EntryType.REFUSED_CHANGE)) == '1/2 EntryNormal ""'


def test_message_with_everything():
    inner = Message(MsgType.APP_RESP, 2, 1, 3, reject=True, reject_hint=4, index=5)
    m = Message(
        MsgType.STORAGE_APPEND,
        to=2**64 - 1,
        from_=10,
        term=3,
        commit=4,
        vote=2,
        entries=[Entry(3, 5), Entry(3, 6, data=b"x")],
        snapshot=Snapshot(4, 2, ConfState((1, 2))),
        responses=[inner],
    )
    conf = "Voters:[1 2] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false"
    assert describe_message(m, "  ").split("\n") == [
        "  a->AppendThread MsgStorageAppend Term:3 Log:0/0 Commit:4 Vote:2 Entries:[",
        '    3/5 EntryNormal ""',
        '    3/6 EntryNormal "x"',
        "  ]",
        f"    Snapshot: Index:4 Term:2 ConfState:{conf} Responses:[",
        "    1->2 MsgAppResp Term:3 Log:0/5 Rejected (Hint: 4)",
        "  ]",
    ]


def test_ready():
    assert describe_ready(Ready(), 1, async_storage_writes=True) == "<empty Ready>"
    ready = Ready(hard_state=HardState(1, 0, 2), read_states=[ReadState(7, b"r")], must_sync=True)
    assert describe_ready(ready, 1, async_storage_writes=False).split("\n") == [
        "Ready MustSync=true:",
        "HardState Term:1 Commit:2",
        'ReadStates 7:"r"',
    ]
    assert describe_hard_state(HardState(1, 3, 2)) == "Term:1 Vote:3 Commit:2"


def test_configuration_in_hexadecimal():
    conf = ConfState((1, 10), (1,), (11,), (1,), auto_leave=True)
    assert describe_conf(conf) == "voters=(1 a)&&(1) learners=(b) learners_next=(1) autoleave"
    assert describe_conf(ConfState()) == "voters=()"


def test_quorum_as_bars():
    assert describe_quorum([], {}) == "<empty majority quorum>"
    assert describe_quorum([1, 2, 3], {1: 5, 3: 5}).split("\n") == [
        "       idx",
        "x>       5    (id=1)",
        "?        0    (id=2)",
        "x>       5    (id=3)",
        "",
    ]


def test_errors_in_the_words_of_the_reference():
    assert describe_error(ProposalDropped(DropReason.TRANSFER)) == "raft proposal dropped"
    assert describe_error(PeerNotFound(4)) == "raft: cannot step as peer not found"
    assert describe_error(Compacted(1, 2)) == "requested index is unavailable due to compaction"
