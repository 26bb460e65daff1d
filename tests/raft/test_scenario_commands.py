"""What the commands of interaction scripts print, above all where they refuse."""

import pytest

from tests.raft.play import LEAD, ONE, THREE, after, outputs, play
from tests.raft.scenarios import normal

SNAPSHOT_OF_ONE = (
    "1->2 MsgSnap Term:0 Log:0/0\n"
    "  Snapshot: Index:3 Term:1 "
    "ConfState:Voters:[1] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false"
)


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("nonsense", "unknown command"),
        ("", "unknown command"),
        ("log-level loud", "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]"),
        ("log-level Warn", "ok"),
        ("stabilize 1 log-level=loud", "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]"),
        ("add-nodes x", 'strconv.ParseUint: parsing "x": invalid syntax'),
        ("add-nodes 1 prevote=maybe", 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        (
            "report-unreachable 1",
            "must specify exactly two node indexes: node on which to report, and reported node",
        ),
        (
            "report-unreachable 1 1 1",
            "must specify exactly two node indexes: node on which to report, and reported node",
        ),
        ("report-unreachable 1 1", "ok"),
        ("propose 1 x", "raft proposal dropped"),
        ("compact 1 1", "requested index is unavailable due to compaction"),
        ("compact 1 3", "requested index is unavailable due to compaction"),
        ("deliver-msgs 1", "no messages\n"),
        ("deliver-msgs drop=(1,7)", "no messages\n"),
        ("process-append-thread 1", "no append work to perform"),
        ("process-apply-thread 1", "no apply work to perform"),
        ("process-ready 1", "<empty Ready>\n"),
        ("raft-log 1", "log is empty: first index=4, last index=3"),
        ("raft-state", "1: StateFollower (Voter) Term:0 Lead:0\n"),
        ("status 1", "ok"),
        ("forget-leader 1", "ok"),
        ("transfer-leadership from=1 to=1", "ok"),
        ("tick-heartbeat 1", "ok"),
        ("tick-election 1", "ok"),
        ("set-randomized-election-timeout 1 timeout=5", "ok"),
        ("send-snapshot 1 2", SNAPSHOT_OF_ONE),
        ("stabilize", "ok"),
    ],
)
def test_what_commands_print(command: str, printed: str):
    assert normal(after(ONE, command or "nothing")) == normal(printed)


# -- silence ------------------------------------------------------------------------------------------------


def test_silence_hides_everything_but_returned_errors():
    commands = [THREE, *LEAD, "log-level NONE", "raft-state", "status 1", "raft-log 1", "process-ready 1"]
    commands += ["deliver-msgs 1", "send-snapshot 1 2", "stabilize", "process-append-thread 1"]
    assert outputs(*commands) == ["ok"] * len(commands)
    for command, error in [
        ("propose 1 x", "raft proposal dropped"),
        ("propose-conf-change 1", "raft proposal dropped"),
        ("compact 1 1", "requested index is unavailable due to compaction"),
        ("add-nodes 1 voters=(1)", "index must be specified as > 1 due to bootstrap"),
        (
            "report-unreachable 1",
            "must specify exactly two node indexes: node on which to report, and reported node",
        ),
        ("log-level loud", "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]"),
        ("nonsense", "unknown command"),
    ]:
        assert after(THREE, "log-level none", command) == error


def test_silence_ends_with_another_level():
    assert outputs(ONE, "log-level none", "raft-state", "log-level info", "raft-state")[2:] == [
        "ok",
        "ok",
        "1: StateFollower (Voter) Term:0 Lead:0\n",
    ]


def test_silence_hides_errors_of_steps():
    # 2 forwards a proposal that the leader, handing over its office, drops.
    commands = [THREE, *LEAD, "propose 2 x", "process-ready 2", "transfer-leadership from=1 to=3"]
    assert after(*commands, "deliver-msgs 1") == (
        '2->1 MsgProp Term:0 Log:0/0 Entries:[0/0 EntryNormal "x"]\nraft proposal dropped\n'
    )
    assert after(*commands, "log-level none", "deliver-msgs 1") == "ok"


def test_level_of_stabilize_holds_for_that_command_only():
    quiet, state = outputs(ONE, "campaign 1", "stabilize 1 log-level=none", "raft-state")[2:]
    assert quiet == "ok"
    assert state == "1: StateLeader (Voter) Term:1 Lead:1\n"


def test_wrong_level_of_stabilize_leaves_everything_undone():
    assert after(ONE, "campaign 1", "stabilize log-level=x", "raft-state").startswith("1: StateCandidate")


# -- add-nodes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["voters=(1)", "learners=(1)", "voters=(1) index=1", "index=1", "index=0"])
def test_members_need_an_index_to_begin_with(option: str):
    error = "index must be specified as > 1 due to bootstrap"
    assert outputs(f"add-nodes 2 {option}", "raft-state") == [error, "ok"]


def test_unknown_kind_of_reading_adds_nothing():
    command = "add-nodes 1 voters=(1) read-only=ma\u00ffbe"
    assert outputs(command, "raft-state") == ['invalid read-only option "ma\u00ffbe"', "ok"]
    assert outputs("add-nodes 1 voters=(1) index=2 read-only=safe content=x", "raft-state")[1] != "ok"


def test_ids_go_on_where_they_ended_and_options_belong_to_their_nodes():
    play("""
add-nodes 1 voters=(1,2) index=10
----
ok

add-nodes 1 voters=(1,2) index=10 async-storage-writes=true prevote=true
----
ok

add-nodes 1
----
ok

campaign 1
----
ok

campaign 2
----
ok

campaign 3
----
ok

process-ready 1 2 3
----
> 1 handling Ready
  Ready MustSync=true:
  Lead:0 State:StateCandidate
  HardState Term:1 Vote:1 Commit:10
  Messages:
  1->2 MsgVote Term:1 Log:1/10
> 2 handling Ready
  Ready MustSync=false:
  Lead:0 State:StatePreCandidate
  Messages:
  2->1 MsgPreVote Term:1 Log:1/10
  2->AppendThread MsgStorageAppend Term:0 Log:0/0 Responses:[
    2->2 MsgPreVoteResp Term:1 Log:0/0
  ]
> 3 handling Ready
  <empty Ready>

raft-state
----
1: StateCandidate (Voter) Term:1 Lead:0
2: StatePreCandidate (Voter) Term:0 Lead:0
3: StateFollower (Non-Voter) Term:0 Lead:0

raft-log 3
----
log is empty: first index=1, last index=0
""")


def test_members_are_listed_as_given_until_a_change_is_applied():
    commands = ["add-nodes 3 voters=(3,1,2) index=10", *LEAD]
    assert "Voters:[3 1 2]" in after(*commands, "send-snapshot 1 2")
    commands += ["propose-conf-change 1\nl9 l7", "stabilize log-level=none", "send-snapshot 1 2"]
    assert "Voters:[1 2 3] VotersOutgoing:[] Learners:[7 9]" in after(*commands)


# -- proposals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "changes", "printed"),
    [
        ("transition=x v1=y z=1", "", "unknown transition x"),
        ("v1=y transition=x", "", 'strconv.ParseBool: parsing "y": invalid syntax'),
        ("z=1 transition=x", "v", "unknown command z"),
        ("v1=true", "v", "unknown token v"),
        ("word", "v", "unknown token v"),
        ("", "v1  v2", "unknown token "),
        ("", "x1", "unknown input: x1"),
        ("", "v2 \u00e91", "unknown input: \u00e91"),
        ("", "vx", 'strconv.ParseUint: parsing "x": invalid syntax'),
        ("", "v-1", 'strconv.ParseUint: parsing "-1": invalid syntax'),
        ("", "v1_0", 'strconv.ParseUint: parsing "1_0": invalid syntax'),
        ("", "v1\nv2", 'strconv.ParseUint: parsing "1\\nv2": invalid syntax'),
        (
            "",
            "v18446744073709551616",
            'strconv.ParseUint: parsing "18446744073709551616": value out of range',
        ),
        ("v1=true", "v1 x", "unknown token x"),
        ("v1=true", "v1 v2", "v1 conf change can only have one operation and no transition"),
        ("v1=true transition=implicit", "v1", "v1 conf change can only have one operation and no transition"),
        ("v1=true transition=explicit", "v1", "v1 conf change can only have one operation and no transition"),
        ("v1=T transition=auto", "v1", "ok"),
        ("v1=0 transition=explicit", "v1 v2", "ok"),
        ("", "v18446744073709551615", "ok"),
    ],
)
def test_changes_are_checked_in_a_fixed_order_before_the_node_sees_them(
    options: str, changes: str, printed: str
):
    assert after(ONE, *LEAD, f"propose-conf-change 1 {options}\n{changes}") == printed


def test_proposals_that_nobody_can_take_are_dropped():
    for commands in (
        [THREE, "propose 1 x"],
        [THREE, "campaign 1", "propose 1 x"],
        [THREE, "campaign 1", "propose-conf-change 1\nv4"],
        [THREE, *LEAD, "transfer-leadership from=1 to=2", "propose 1 x"],
        [
            "add-nodes 2 voters=(1,2) index=10",
            *LEAD,
            "propose-conf-change 1\nr1",
            "stabilize log-level=none",
            "propose 1 x",
        ],
        ["add-nodes 3 voters=(1,2,3) index=10 prevote=true", "campaign 1", "propose 1 x"],
    ):
        assert after(*commands) == "raft proposal dropped"


def test_payloads_are_quoted():
    assert 'EntryNormal "caf\u00e9\\"\\\\\\u00a0,(x)"\n' in after(
        ONE, *LEAD, 'propose 1 caf\u00e9"\\\u00a0,(x)', "process-ready 1"
    )


def test_proposal_that_is_passed_on_keeps_its_sender():
    play("""
add-nodes 3 voters=(1,2,3) index=10
----
ok

campaign 1
----
ok

stabilize log-level=none
----
ok

# 2 takes 1 for the leader, which has followed 3 meanwhile.
propose 2 x
----
ok

transfer-leadership from=1 to=3
----
ok

stabilize 1 3 log-level=none
----
ok

deliver-msgs 2 drop=(1,3)
----
3->2 MsgVote Term:2 Log:1/11
3->2 MsgApp Term:2 Log:1/11 Commit:11 Entries:[2/12 EntryNormal ""]

process-ready 2
----
Ready MustSync=true:
Lead:3 State:StateFollower
HardState Term:2 Vote:3 Commit:11
Entries:
2/12 EntryNormal ""
Messages:
2->1 MsgProp Term:0 Log:0/0 Entries:[0/0 EntryNormal "x"]
2->3 MsgVoteResp Term:2 Log:0/0
2->3 MsgAppResp Term:2 Log:0/12

deliver-msgs 1
----
2->1 MsgProp Term:0 Log:0/0 Entries:[0/0 EntryNormal "x"]

process-ready 1
----
Ready MustSync=false:
Messages:
2->3 MsgProp Term:0 Log:0/0 Entries:[0/0 EntryNormal "x"]
""")
