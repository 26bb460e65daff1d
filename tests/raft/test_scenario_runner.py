"""The scenario runner itself: the format of scripts, what is compared, rewriting, and how a run ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.raft import scenarios, test_scenarios
from tests.raft.datadriven import Block, MalformedScript, parse, parse_arguments, rewrite
from tests.raft.interaction import Interaction
from tests.raft.scenarios import find, main, normal

ROOT = Path(__file__).resolve().parents[2]
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
WRONG = "vote cfg=(1) votes=(y)\n----\nVoteLost\n"
RIGHT = "vote cfg=(1) votes=(y)\n----\nVoteWon\n"


def blocks_of(text: str) -> list[Block]:
    return [part for part in parse(text) if isinstance(part, Block)]


# -- the format ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("1 2", [("1", []), ("2", [])]),
        ("a=b  c", [("a", ["b"]), ("c", [])]),
        ("a=(1, 2,3) b=", [("a", ["1", "2", "3"]), ("b", [""])]),
        ("b= a", [("b", [""]), ("a", [])]),
        ("a=(1 2 3)", [("a", ["1 2 3"])]),
        ("a=(f(1,2),3)", [("a", ["f(1,2)", "3"])]),
        ("a=(1,,2)", [("a", ["1", "", "2"])]),
        ("a=(1)b", [("a", ["1"]), ("b", [])]),
        ("drop=3", [("drop", ["3"])]),
        ("a==b", [("a", ["=b"])]),
        ("1 caf\u00e9,(x)\ty", [("1", []), ("caf\u00e9,(x)\ty", [])]),
        ("", []),
    ],
)
def test_arguments(text: str, arguments: list[tuple[str, list[str]]]):
    assert parse_arguments(text) == arguments


@pytest.mark.parametrize("text", ["a=(1,2", "a=(f(1)", "a=("])
def test_unbalanced_parentheses_are_an_error(text: str):
    with pytest.raises(MalformedScript, match="unbalanced"):
        parse_arguments(text)


def test_value_without_a_name_is_an_error():
    with pytest.raises(MalformedScript, match="without a name"):
        parse_arguments("1 =x")


def test_bare_words_and_values_mix_in_any_order():
    [block] = blocks_of("deliver-msgs 1 drop=(2, 3) 4 type=MsgApp\n----\n")
    assert block.words() == ["1", "4"]
    assert block.values("drop") == ["2", "3"]
    assert block.value("type") == "MsgApp"
    assert block.values("other") is None


def test_blocks():
    blocks = blocks_of(SCRIPT)
    assert [block.command for block in blocks] == ["add-nodes", "campaign", "stabilize", "raft-state"]
    assert blocks[1].words() == ["1"]
    assert blocks[0].values("voters") == ["1"]
    assert blocks[3].expected == "1: StateLeader (Voter) Term:1 Lead:1"
    assert [block.line for block in blocks] == [3, 7, 12, 16]


def test_line_is_continued_as_often_as_it_ends_in_a_backslash():
    [block] = blocks_of("add-nodes \\\n  3 \\\n voters=(1, \\\n 2)  \n----\n")
    assert block.words() == ["3"]
    assert block.values("voters") == ["1", "2"]


def test_input_may_hold_blank_lines_and_hash_marks():
    [block] = blocks_of("propose-conf-change 1\n\n# v1\n\nv2  \n\n----\nok\n")
    assert block.input == "# v1\n\nv2"


def test_hash_mark_begins_a_comment_between_blocks_only():
    blocks = blocks_of("  # before\na\n----\n# output\n\n# between\nb #word\n----\nok\n")
    assert [(block.command, block.expected) for block in blocks] == [("a", "# output"), ("b", "ok")]
    assert blocks[1].words() == ["#word"]


def test_output_ends_at_a_line_of_blanks_or_at_the_end_of_the_file():
    first, second = blocks_of("a\n----\n----x\none\n \t\nb\n----\ntwo")
    assert first.expected == "----x\none"
    assert second.expected == "two"


def test_only_the_bare_separator_ends_the_input():
    [block] = blocks_of("a\n ----\n-----\n---- x\n----\n")
    assert block.input == "----\n-----\n---- x"


def test_doubled_separator_holds_blank_lines():
    text = "a\n----\n----\none\n\n----\ntwo\n----\n----\n\nb\n----\nok\n"
    first, second = blocks_of(text)
    assert first.expected == "one\n\n----\ntwo"
    assert second.command == "b"
    assert rewrite(text, lambda block: {"a": first.expected, "b": "ok"}[block.command]) == text


def test_lines_may_end_as_windows_ends_them(tmp_path: Path):
    (tmp_path / "quorum").mkdir()
    (tmp_path / "quorum" / "a.txt").write_bytes(RIGHT.replace("\n", "\r\n").encode())
    assert main([str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("campaign 1\nok\n", "line 1: no ---- behind the command 'campaign'"),
        ("\n----\nok\n", "line 2: ---- without a command before it"),
        ("# fine\nadd-nodes 3 voters=(1,2\n----\nok\n", "line 2: unbalanced parentheses"),
        ("a =x\n----\nok\n", "line 1: a value without a name"),
        ("a\n----\n----\none\n", "line 1: output between doubled separators does not end"),
        ("a\n----\n----\none\n----\n----\nb\n", "line 1: no blank line behind output"),
        ("# nothing but a comment\n", "no commands"),
        ("", "no commands"),
        (b"\xff\xfe", "not text in UTF-8"),
    ],
)
def test_malformed_script_fails_and_says_where(
    text: str | bytes, complaint: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    script = folder / "interaction" / "good.txt"
    script.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main([str(folder)]) == 1
    output = capsys.readouterr().out
    assert f"{script}: {complaint}" in output
    assert "+VoteWon" in output  # the other script is run all the same
    assert output.splitlines()[-1] == "0 passed, 2 failed"


# -- what is compared ---------------------------------------------------------------------------------------


def test_normal_output():
    assert normal("INFO a\n  DEBUG b\nkept  \n  WARN c\nFATAL\n\tERROR d") == "kept"
    assert normal("ERROR only") == normal("") == "ok"
    assert normal("INFORMATION stays") == "INFORMATION stays"
    assert normal("info stays") == "info stays"
    assert normal("  indented \t\nstays\n") == "  indented\nstays"


# -- a run --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "interaction").mkdir()
    (tmp_path / "interaction" / "good.txt").write_text(SCRIPT)
    (tmp_path / "quorum").mkdir()
    (tmp_path / "quorum" / "bad.txt").write_text(WRONG)
    return tmp_path


def test_failing_block_is_shown_and_counted(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"--- {folder}/quorum/bad.txt:1" in lines
    assert "-VoteLost" in lines
    assert "+VoteWon" in lines
    assert lines[-1] == "1 passed, 1 failed"


def test_unknown_command_fails_unless_it_is_expected(folder: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("interaction", "quorum", "confchange"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "unknown.txt").write_text("nonsense\n----\nunknown command\n")
    (folder / "quorum" / "bad.txt").write_text("nonsense\n----\nok\n")
    assert main([str(folder)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "4 passed, 1 failed"


def test_folder_decides_how_a_script_is_run(tmp_path: Path):
    inner = tmp_path / "quorum" / "interaction"
    inner.mkdir(parents=True)
    (inner / "a.txt").write_text(RIGHT)
    (inner / "notes.md").write_text("no script")
    assert find(tmp_path) == [inner / "a.txt"]
    assert main([str(tmp_path)]) == 0


def test_error_inside_the_core_fails_its_script_only(folder: Path, capsys: pytest.CaptureFixture[str]):
    # A configuration without voters cannot be applied: the reference panics there.
    script = folder / "interaction" / "good.txt"
    script.write_text(
        "add-nodes 1 voters=(1) index=3\n----\nok\n\ncampaign 1\n----\nok\n\n"
        "stabilize log-level=none\n----\nok\n\npropose-conf-change 1 v1=true\nr1\n----\nok\n\n"
        "stabilize log-level=none\n----\nremoved all voters\n\nlog-level nothing\n----\nok\n"
    )
    assert main([str(folder)]) == 1
    output = capsys.readouterr().out
    assert f"{script}:18: 'stabilize' raised" in output
    assert "ConfChangeError: removed all voters" in output
    assert "+log levels must be" in output  # what follows is run all the same
    assert output.splitlines()[-1] == "0 passed, 2 failed"


@pytest.mark.parametrize(
    "command", ["campaign 0", "campaign 2", "stabilize 2", "status 2", "process-ready 0"]
)
def test_node_that_does_not_exist_fails_the_script(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    text = f"add-nodes 1 voters=(1) index=3\n----\nok\n\n{command}\n----\nok\n"
    (folder / "interaction" / "good.txt").write_text(text)
    assert main([str(folder)]) == 1
    assert "there is no node" in capsys.readouterr().out


def test_missing_folders_are_fine(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "quorum" / "bad.txt").unlink()
    (folder / "quorum").rmdir()
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == "1 passed, 0 failed\n"


@pytest.mark.parametrize(("name", "complaint"), [(".", "has no *.txt"), ("missing", "is no directory")])
def test_directory_without_scripts_fails(
    name: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([str(tmp_path / name)]) == 1
    captured = capsys.readouterr()
    assert captured.out == "0 passed, 0 failed\n"
    assert complaint in captured.err


def test_pytest_runs_each_script_of_a_directory_named(folder: Path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/raft/test_scenarios.py"]
    run = subprocess.run(
        [*command, "--scenarios", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "-VoteLost" in run.stdout
    assert "1 failed" in run.stdout
    assert run.returncode == 1


def test_pytest_refuses_a_directory_without_scripts(tmp_path: Path):
    asked = SimpleNamespace(
        fixturenames=["script"], config=SimpleNamespace(getoption=lambda *_, **__: tmp_path / "gone")
    )
    with pytest.raises(pytest.UsageError, match="is no directory"):
        test_scenarios.pytest_generate_tests(asked)


def test_runs_from_any_directory(folder: Path):
    (folder / "quorum" / "bad.txt").write_text(RIGHT)
    run = subprocess.run(
        [sys.executable, "-m", "tests.raft.scenarios", "."],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "2 passed, 0 failed\n")


PASTS = (
    "add-nodes 1 voters=(1,2,3,4) index=10",
    "add-nodes 1 voters=(1,2,3,4) index=12",
    "add-nodes 2 voters=(1,2,3,4) index=10",
    "log-level none",
    "campaign 1",
    "process-ready 1",
    "deliver-msgs 3 4",
    "process-ready 3 4",
    "deliver-msgs 1",
    "process-ready 1",
    "deliver-msgs 2",
    "process-ready 2",
    "deliver-msgs 1",
    "log-level debug",
)
KNOWN = """status 1
----
1: StateReplicate match=11 next=12
2: StateSnapshot match=12 next=11 paused pendingSnap=10
3: StateProbe match=0 next=11 paused inactive
4: StateProbe match=0 next=11 paused inactive
"""
"""Node 2 has applied more than its leader will have: an answer that we refuse, a state that we rule out."""


@pytest.mark.unwatched
def test_recorded_state_that_breaks_an_invariant_is_compared_all_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    (folder / "quorum" / "bad.txt").write_text(RIGHT)
    (folder / "interaction" / "good.txt").write_text("\n----\nok\n\n".join([*PASTS, KNOWN]))
    assert main([str(folder)]) == 0, capsys.readouterr().out


def test_invariants_are_checked_in_the_own_scripts_only(folder: Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[object] = []

    @contextmanager
    def watched() -> Iterator[None]:
        opened.append(object())
        yield

    monkeypatch.setattr(scenarios, "watched", watched)
    main([str(folder)])
    assert not opened
    monkeypatch.setattr(scenarios, "OWN", folder.resolve())
    main([str(folder)])
    assert len(opened) == 1


# -- rewriting ----------------------------------------------------------------------------------------------


def test_rewriting_what_is_right_changes_nothing():
    assert rewrite(SCRIPT, Interaction().run) == SCRIPT


def test_rewriting_mends_the_expectation(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(folder), "--rewrite"]) == 0
    assert capsys.readouterr().out == "2 passed, 0 failed\n"
    assert (folder / "quorum" / "bad.txt").read_text() == RIGHT
    assert main([str(folder)]) == 0


def test_rewriting_again_changes_nothing(folder: Path):
    loose = "\n\n# one\n\n\nvote cfg=(1) \\\n  votes=(y)\n\n----\nx\n  \n# two\n\nvote\n----\n"
    (folder / "quorum" / "bad.txt").write_text(loose)
    main([str(folder), "--rewrite"])
    once = (folder / "quorum" / "bad.txt").read_text()
    assert (
        once
        == "\n\n# one\n\n\nvote cfg=(1) \\\n  votes=(y)\n\n----\nVoteWon\n\n# two\n\nvote\n----\nVoteWon\n"
    )
    main([str(folder), "--rewrite"])
    assert (folder / "quorum" / "bad.txt").read_text() == once


def test_rewriting_doubles_the_separator_only_where_the_output_has_a_blank_line():
    assert rewrite("a\n----\n", lambda _: "x\n \ny") == "a\n----\n----\nx\n \ny\n----\n----\n"
    assert rewrite("a\n----\n----\nx\n----\n----\n", lambda _: "x\n") == "a\n----\nx\n"


def test_script_that_cannot_be_run_is_not_rewritten(folder: Path, capsys: pytest.CaptureFixture[str]):
    script = folder / "interaction" / "good.txt"
    for text in ("campaign 1\n----\nok\n", "campaign 1\n"):
        script.write_text(text)
        assert main([str(folder), "--rewrite"]) == 1
        assert script.read_text() == text
        output = capsys.readouterr().out
        assert str(script) in output
        assert output.splitlines()[-1] == "1 passed, 1 failed"
