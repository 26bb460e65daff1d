"""The scenario runner itself: the format, normalisation, rewriting, and its exit status."""

from pathlib import Path

import pytest

from tests.raft.datadriven import Block, parse, parse_arguments, rewrite
from tests.raft.interaction import Interaction
from tests.raft.scenarios import find, main, normal

SCRIPT = """# A comment.

add-nodes 1 voters=(1) index=3
----
ok

campaign \\
  1
----
ok

stabilize log-level=none
----
ok

raft-state
----
1: StateLeader (Voter) Term:1 Lead:1
"""


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("1 2", [("1", []), ("2", [])]),
        ("a=b c", [("a", ["b"]), ("c", [])]),
        ("a=(1, 2,3) b=", [("a", ["1", "2", "3"]), ("b", [""])]),
        ("a=(1 2 3)", [("a", ["1 2 3"])]),
        ("a=(f(1,2),3)", [("a", ["f(1,2)", "3"])]),
        ("drop=3", [("drop", ["3"])]),
    ],
)
def test_arguments(text: str, arguments: list[tuple[str, list[str]]]):
    assert parse_arguments(text) == arguments


def test_unbalanced_parentheses_are_an_error():
    with pytest.raises(ValueError, match="unbalanced"):
        parse_arguments("a=(1,2")


def test_blocks():
    blocks = [part for part in parse(SCRIPT) if isinstance(part, Block)]
    assert [block.command for block in blocks] == ["add-nodes", "campaign", "stabilize", "raft-state"]
    assert blocks[1].words() == ["1"]
    assert blocks[0].values("voters") == ["1"]
    assert blocks[3].expected == "1: StateLeader (Voter) Term:1 Lead:1"


def test_input_may_hold_blank_lines_and_comments():
    [block] = [
        part for part in parse("propose-conf-change 1\n\n# v1\nv2\n\n----\nok\n") if isinstance(part, Block)
    ]
    assert block.input == "# v1\nv2"


def test_doubled_separator_holds_blank_lines():
    text = "a\n----\n----\none\n\ntwo\n----\n----\n\nb\n----\nok\n"
    first, second = (part for part in parse(text) if isinstance(part, Block))
    assert first.expected == "one\n\ntwo"
    assert second.command == "b"
    assert rewrite(text, lambda block: {"a": "one\n\ntwo", "b": "ok"}[block.command]) == text


def test_rewriting_what_is_right_changes_nothing():
    assert rewrite(SCRIPT, Interaction().run) == SCRIPT


def test_normal_output():
    assert normal("INFO a\n  DEBUG b\nkept  \n  WARN c") == "kept"
    assert normal("ERROR only") == "ok"
    assert normal("INFORMATION stays") == "INFORMATION stays"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "interaction").mkdir()
    (tmp_path / "interaction" / "good.txt").write_text(SCRIPT)
    (tmp_path / "quorum").mkdir()
    (tmp_path / "quorum" / "bad.txt").write_text("vote cfg=(1) votes=(y)\n----\nVoteLost\n")
    return tmp_path


def test_failing_block_is_shown_and_counted(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "-VoteLost" in lines
    assert "+VoteWon" in lines
    assert lines[-1] == "1 passed, 1 failed"


def test_rewriting_mends_the_expectation(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(folder), "--rewrite"]) == 0
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 0 failed"


def test_exception_fails_its_block_only(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "interaction" / "good.txt").write_text("campaign 1\n----\nok\n\nlog-level none\n----\nok\n")
    main([str(folder)])
    assert "+IndexError: list index out of range" in capsys.readouterr().out


def test_missing_folders_are_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert find(tmp_path) == []
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "0 passed, 0 failed\n"


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("nonsense", "unknown command"),
        ("log-level loud", "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]"),
        ("add-nodes 1 voters=(1)", "index must be specified as > 1 due to bootstrap"),
        ("add-nodes 1 read-only=maybe", 'invalid read-only option "maybe"'),
        ("add-nodes x", 'strconv.ParseUint: parsing "x": invalid syntax'),
        ("add-nodes 1 prevote=maybe", 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        (
            "report-unreachable 1",
            "must specify exactly two node indexes: node on which to report, and reported node",
        ),
        ("propose-conf-change 1 transition=x", "unknown transition x"),
        ("propose-conf-change 1 x=y", "unknown command x"),
        ("propose 1 x", "raft proposal dropped"),
        ("compact 1 1", "requested index is unavailable due to compaction"),
        ("deliver-msgs 1", "no messages\n"),
        ("process-append-thread 1", "no append work to perform"),
        ("process-apply-thread 1", "no apply work to perform"),
        ("process-ready 1", "<empty Ready>\n"),
        ("raft-log 1", "log is empty: first index=4, last index=3"),
        ("status 1", "ok"),
    ],
)
def test_what_commands_print(command: str, printed: str):
    interaction = Interaction()
    blocks = parse(f"add-nodes 1 voters=(1) index=3\n----\n\n{command}\n----\n")
    outputs = [interaction.run(block) for block in blocks if isinstance(block, Block)]
    assert outputs == ["ok", printed]


@pytest.mark.parametrize(
    ("changes", "v1", "printed"),
    [
        ("v", "false", "unknown token v"),
        ("x1", "false", "unknown input: x1"),
        ("vx", "false", 'strconv.ParseUint: parsing "x": invalid syntax'),
        ("v1 v2", "true", "v1 conf change can only have one operation and no transition"),
    ],
)
def test_malformed_changes(changes: str, v1: str, printed: str):
    interaction = Interaction()
    text = f"add-nodes 1 voters=(1) index=3\n----\n\npropose-conf-change 1 v1={v1}\n{changes}\n----\n"
    outputs = [interaction.run(block) for block in parse(text) if isinstance(block, Block)]
    assert outputs == ["ok", printed]


def test_silence_hides_everything_but_returned_errors():
    interaction = Interaction()
    commands = ["add-nodes 1 voters=(1) index=3", "log-level none", "raft-state", "process-ready 1"]
    commands += ["propose 1 x", "log-level INFO", "raft-state"]
    text = "".join(f"{command}\n----\n\n" for command in commands)
    outputs = [interaction.run(block) for block in parse(text) if isinstance(block, Block)]
    state = "1: StateFollower (Voter) Term:0 Lead:0\n"
    assert outputs == ["ok", "ok", "ok", "ok", "raft proposal dropped", "ok", state]
