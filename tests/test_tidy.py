"""The house rules hold everywhere, each catches what it is there for, and the docs keep their shape."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests import house_rules as rules
from tests.house_rules import Source
from tests.raft.scenarios import OWN, find
from tests.sources import tracked
from tests.typing_tree import ROOT

Rule = Callable[[Source], Iterator[str]]

PYTHON = ("*.py", "*.pyi")
CODE = (*PYTHON, "*.c", "*.h")
TEXT = (*CODE, "*.md", "*.toml", "*.in", ".ci/run")
SCOPES: dict[Rule, tuple[str, ...]] = {
    rules.file_has_one_subject: CODE,
    rules.functions_fit_a_screen: CODE,
    rules.no_unfinished_or_dangerous_word: CODE,
    rules.no_path_of_one_machine: TEXT,
    rules.silenced_checks_say_why: PYTHON,
    rules.parts_are_imported_by_full_name: PYTHON,
    rules.only_native_sees_the_extension: PYTHON,
    rules.core_is_pure: ("raft/*.py",),
    rules.tests_wait_for_events: ("tests/*.py", "benchmarks/*.py"),
}
DECISION_LINES_MAX = 40


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def source(path: Path) -> Source:
    """The file, parsed at most once for all rules."""
    return Source(name(path), path.read_text())


def rule_name(rule: object) -> str:
    return getattr(rule, "__name__", "")


@pytest.mark.parametrize("rule", SCOPES, ids=rule_name)
def test_rule_holds_everywhere(rule: Rule):
    sources = [source(path) for path in tracked(*SCOPES[rule])]
    assert sources
    broken = [violation for file in sources for violation in rule(file)]
    assert not broken, "\n".join([str(rule.__doc__), *broken])


SILENCER = "# " + "noqa"  # in two halves: this file is checked too
BAD: list[tuple[Rule, str, str]] = [
    (rules.file_has_one_subject, "raft/a.py", "\n" * 401),
    (rules.functions_fit_a_screen, "raft/a.py", "def f():\n" + "    f()\n" * 60),
    (
        rules.functions_fit_a_screen,
        "native/csrc/a.c",
        "int f(int a,\n      int b) {\n" + "  f();\n" * 60 + "}",
    ),
    (rules.no_unfinished_or_dangerous_word, "a.c", "/* TO" + "DO: the other half */"),
    (rules.no_unfinished_or_dangerous_word, "a.py", "ev" + "al(text)"),
    (rules.no_path_of_one_machine, "a.md", "see `/ro" + "ot/notes`"),
    (rules.silenced_checks_say_why, "a.py", f"f()  {SILENCER}: S101"),
    (rules.silenced_checks_say_why, "a.py", f"f()  {SILENCER} because it has to be"),
    (rules.silenced_checks_say_why, "a.py", "f()  # type: " + "ignore[misc]"),
    (rules.parts_are_imported_by_full_name, "tests/a.py", "from raft.node import RawNode"),
    (rules.parts_are_imported_by_full_name, "tests/a.py", "import engine"),
    (rules.only_native_sees_the_extension, "engine/a.py", "from ..native._native import lib"),
    (rules.only_native_sees_the_extension, "engine/a.py", "from ..native import _native"),
    (rules.core_is_pure, "raft/a.py", "import time"),
    (rules.core_is_pure, "raft/a.py", "from msgpack import packb"),
    (rules.core_is_pure, "raft/a.py", "from random import randrange"),
    (rules.core_is_pure, "raft/a.py", "import random\nrandom.randrange(2)"),
    (rules.tests_wait_for_events, "tests/a.py", "await asyncio.sleep(0.1)"),
    (rules.tests_wait_for_events, "tests/a.py", "time.sleep(1)"),
]
GOOD: list[tuple[Rule, str, str]] = [
    (
        rules.functions_fit_a_screen,
        "native/csrc/a.h",
        "int f(int a,\n      int b);\n" + "int g();\n" * 80 + "};",
    ),
    (rules.silenced_checks_say_why, "a.py", f"f()  {SILENCER}: S101 - the C side checked it"),
    (rules.core_is_pure, "raft/a.py", "from random import Random\nfrom .log import Log"),
    (rules.core_is_pure, "raft/a.py", "import random\nchance: random.Random"),
    (rules.tests_wait_for_events, "tests/a.py", "await asyncio.sleep(0)"),
    (rules.tests_wait_for_events, "tests/a.py", "time.sleep(1)  # sleep: the clock is the subject"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD, ids=rule_name)
def test_rule_catches(rule: Rule, path: str, text: str):
    assert list(rule(Source(path, text)))


@pytest.mark.parametrize(("rule", "path", "text"), GOOD, ids=rule_name)
def test_rule_lets_pass(rule: Rule, path: str, text: str):
    assert not list(rule(Source(path, text)))


def test_links_between_documents_lead_somewhere():
    dead = []
    for path in tracked("*.md"):
        for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", path.read_text()):
            file, _, anchor = target.partition("#")
            landing = (path.parent / file).resolve() if file else path
            if re.match(r"[a-z]+:", target):
                continue  # another site
            if not landing.exists() or (anchor and anchor not in anchors(landing)):
                dead.append(f"{name(path)}: {target}")
    assert not dead, dead


def anchors(path: Path) -> set[str]:
    """The anchors that a Markdown file's headings make, by the rules of the usual forges."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_decisions_are_numbered_short_and_alike():
    decisions = tracked("docs/decisions/*.md")
    assert [path.name[:4] for path in decisions] == [
        f"{number:04}" for number in range(1, len(decisions) + 1)
    ]
    for path in decisions:
        text = path.read_text()
        assert text.startswith(f"# {int(path.name[:4])}. "), f"{path.name} does not begin with its number"
        assert len(text.splitlines()) <= DECISION_LINES_MAX, f"{path.name} is longer than a decision"
        sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert sections == ["Context", "Choice", "Consequence"], f"{path.name}: {sections}"


@pytest.mark.parametrize("title", ["demo", "tests"])
def test_readme_command_is_one_line_that_sets_up_everything(title: str):
    """``.ci/run`` cuts the test command out of the README by this very shape."""
    readme = (ROOT / "README.md").read_text()
    [command] = re.findall(rf"^<!-- command: {title} -->\n```sh\n(.*)\n```$", readme, re.MULTILINE)
    assert command.startswith("python3.11 -m venv .venv && .venv/bin/pip install ")


def test_the_runner_finds_every_scenario():
    """A file that no runner picks up would look like a passing test."""
    assert tracked("tests/raft/scenarios/*") == find(OWN)
