"""What the commands of interaction scripts print, above all where they refuse."""

import pytest

from multiraft.raft.errors import Misuse
from tests.raft.datadriven import Block, parse
from tests.raft.interaction import Interaction
from tests.raft.scenarios import normal


def play(script: str) -> None:
    """Run a script; each of its blocks must print what stands in it."""
    interaction = Interaction()
    for block in parse(script):
        if isinstance(block, Block):
            shown = "\n".join(block.source)
            assert f"{shown}\n{normal(interaction.run(block))}" == f"{shown}\n{normal(block.expected)}"


def outputs(*commands: str) -> list[str]:
    """What each command prints, to the letter."""
    interaction = Interaction()
    blocks = parse("".join(f"{command}\n----\n\n" for command in commands))
    return [interaction.run(block) for block in blocks if isinstance(block, Block)]


def after(*commands: str) -> str:
    """What the last of the commands prints, to the letter."""
    return outputs(*commands)[-1]


ONE = "add-nodes 1 voters=(1) index=3"
THREE = "add-nodes 3 voters=(1,2,3) index=10"
SNAPSHOT_OF_ONE = """1->2 MsgSnap Term:0 Log:0/0
  Snapshot: Index:3 Term:1 ConfState:Voters:[1] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false"""
LEAD = ("campaign 1", "stabilize log-level=none")


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


# -- work and messages --------------------------------------------------------------------------------------


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
