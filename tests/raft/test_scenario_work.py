"""What the commands print that deal with Readys, storage work and messages."""

import pytest

from multiraft.raft.errors import Misuse
from tests.raft.play import LEAD, THREE, after, outputs


def test_several_nodes_get_a_heading_each():
    added = "add-nodes 2 voters=(1) index=10 async-storage-writes=true"
    assert after(added, "process-ready 2 1") == (
        "> 2 handling Ready\n  <empty Ready>\n> 1 handling Ready\n  <empty Ready>\n"
    )
    assert after(added, "process-append-thread 1 2") == (
        "> 1 processing append thread\n  no append work to perform\n"
        "> 2 processing append thread\n  no append work to perform\n"
    )
    assert after(added, "process-apply-thread 2 1") == (
        "> 2 processing apply thread\n  no apply work to perform\n"
        "> 1 processing apply thread\n  no apply work to perform\n"
    )
    assert after(added, "process-ready") == "ok"


def test_messages_are_delivered_in_the_order_of_the_arguments_and_dropped_where_they_stand():
    commands = [THREE, *LEAD, "propose 1 x", "tick-heartbeat 1", "process-ready 1"]
    append = 'MsgApp Term:1 Log:1/11 Commit:11 Entries:[1/12 EntryNormal "x"]\n'
    beat = "MsgHeartbeat Term:1 Log:0/0 Commit:11\n"
    assert after(*commands, "deliver-msgs drop=(3) 2") == (
        f"dropped: 1->3 {append}dropped: 1->3 {beat}1->2 {append}1->2 {beat}"
    )
    typed = "deliver-msgs 3 drop=(2) type=MsgHeartbeat"
    assert after(*commands, typed) == f"1->3 {beat}dropped: 1->2 {beat}"
    assert outputs(*commands, typed, "deliver-msgs type=MsgApp 2 3")[-1] == f"1->2 {append}1->3 {append}"
    assert after(*commands, "deliver-msgs 2 3 type=MsgVote") == "no messages\n"


def test_unknown_kind_of_message_is_an_error():
    with pytest.raises(ValueError, match="MsgAppp"):
        after(THREE, "deliver-msgs 1 type=MsgAppp")


def test_messages_to_nodes_that_are_not_there_stay_until_they_are_dropped():
    commands = ["add-nodes 1 voters=(1,12) index=10", "campaign 1", "stabilize log-level=none"]
    assert outputs(*commands, "deliver-msgs drop=12", "deliver-msgs drop=12")[-2:] == [
        "dropped: 1->c MsgVote Term:1 Log:1/10\n",
        "no messages\n",
    ]


def test_only_the_first_line_of_what_is_dropped_says_so():
    commands = [THREE, *LEAD, "send-snapshot 1 2", "deliver-msgs drop=(2)"]
    conf = "ConfState:Voters:[1 2 3] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false"
    assert after(*commands) == (f"dropped: 1->2 MsgSnap Term:1 Log:0/0\n  Snapshot: Index:11 Term:1 {conf}\n")


def test_what_a_node_tells_itself_is_never_dropped():
    async_ = "add-nodes 1 voters=(1) index=10 async-storage-writes=true"
    commands = [async_, "campaign 1", "process-ready 1", "process-append-thread 1"]
    assert outputs(*commands, "deliver-msgs drop=(1)", "deliver-msgs 1")[-2:] == [
        "no messages\n",
        "1->1 MsgVoteResp Term:1 Log:0/0\n",
    ]
    # What the storage threads say is as safe.
    commands += ["deliver-msgs 1", "process-ready 1", "process-append-thread 1"]
    assert outputs(*commands, "deliver-msgs drop=(1)", "deliver-msgs 1")[-2:] == [
        "no messages\n",
        "1->1 MsgAppResp Term:1 Log:0/11\nAppendThread->1 MsgStorageAppendResp Term:1 Log:1/11\n",
    ]


def test_transfer_to_the_leader_itself_cannot_be_dropped():
    commands = [THREE, *LEAD, "transfer-leadership from=2 to=1", "process-ready 2"]
    assert "1->1 MsgTransferLeader Term:1 Log:0/0\n" in after(*commands)
    assert after(*commands, "deliver-msgs drop=(1)") == "no messages\n"


def test_answer_of_a_stranger_is_an_error_after_its_message():
    commands = [THREE, *LEAD, "propose-conf-change 1 v1=true\nr3", "stabilize 1 2 log-level=none"]
    commands += ["deliver-msgs 3", "process-ready 3", "deliver-msgs 1"]
    answers = after(*commands).splitlines()
    assert len(answers) % 2 == 0
    assert all(answer.startswith("3->1 MsgAppResp") for answer in answers[::2])
    assert set(answers[1::2]) == {"raft: cannot step as peer not found"}


SNAPSHOT_AND_ENTRY = [THREE, *LEAD, "propose 1 x", "stabilize 1 2 log-level=none", "deliver-msgs drop=(3)"]
SNAPSHOT_AND_ENTRY += ["send-snapshot 1 3", "propose 1 y", "process-ready 1", "deliver-msgs 3"]


@pytest.mark.parametrize("command", ["process-ready 3", "process-ready 3 1", "stabilize 3"])
def test_snapshot_and_entries_in_one_ready_cannot_be_persisted(command: str):
    printed = after(*SNAPSHOT_AND_ENTRY, command)
    assert printed.endswith("\ncan't apply snapshot and entries at the same time")
    assert "Snapshot Index:12" in printed
    assert '1/13 EntryNormal "y"' in printed
    assert "> 1" not in printed  # the command ends there
    assert outputs(*SNAPSHOT_AND_ENTRY, command, "deliver-msgs 1")[-1] == "no messages\n"


def test_node_whose_ready_could_not_be_persisted_is_of_no_more_use():
    with pytest.raises(Misuse, match="before advance"):
        after(*SNAPSHOT_AND_ENTRY, "process-ready 3", "process-ready 3")


def test_timeout_that_is_set_holds_until_the_next_reset():
    """An election begins with the tick that reaches it, not before."""
    commands = [THREE, "set-randomized-election-timeout 2 timeout=4", *["tick-heartbeat 2"] * 3]
    assert after(*commands, "process-ready 2") == "<empty Ready>\n"
    assert "State:StateCandidate" in after(*commands, "tick-heartbeat 2", "process-ready 2")


def test_election_tick_is_three_heartbeats():
    commands = [THREE, *LEAD, "tick-election 1", "process-ready 1"]
    assert after(*commands).count("1->2 MsgHeartbeat") == 3
    commands = [THREE, "set-randomized-election-timeout 3 timeout=3", "tick-election 3", "raft-state"]
    assert "3: StateCandidate" in after(*commands)


def test_compaction_reaches_up_to_what_is_there():
    commands = [THREE, *LEAD, "propose 1 a", "propose 1 b", "stabilize log-level=none", "compact 1 12"]
    assert outputs(*commands, "raft-log 1", "compact 1 12", "compact 1 13")[-4:] == [
        '1/13 EntryNormal "b"\n',
        '1/13 EntryNormal "b"\n',
        "requested index is unavailable due to compaction",
        "log is empty: first index=14, last index=13",
    ]
