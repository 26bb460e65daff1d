"""The house rules that no linter knows: each takes one source file and yields what breaks it.

The limits are absolute. A file or function that meets one has two subjects: look for the concept that is
missing and give it a name and a place, rather than cutting at the limit.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tests.typing_tree import PARTS

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

# Written in two halves, so that this file need not be its own exception.
BANNED = {
    r"\bTO" + r"DO\b": "open work belongs into an issue",
    r"\bFIX" + r"ME\b": "repair it, or describe it in an issue",
    r"\bXX" + r"X\b": "ask the question in an issue",
    r"\bHA" + r"CK\b": "say why it is needed instead",
    r"\bpick" + r"le\b": "unpickling runs what it reads",
    r"\bev" + r"al\(": "it runs what it reads",
}
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|home/\w+)/")
NOQA = r"noqa(?:: *[A-Z]+[0-9]+(?:[, ]+[A-Z]+[0-9]+)*)?"
IGNORE = r"(?:type|pyright): *ignore(?:\[[^]]*\])?"
SILENCER = re.compile(f"{NOQA}|{IGNORE}")
# A clock, I/O, threads: the core is fed by its host and hands its work back to it.
IMPURE = {"asyncio", "concurrent", "datetime", "logging", "multiprocessing", "os", "pathlib", "secrets"}
IMPURE |= {"select", "selectors", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time"}
SLEEPS = {"time.sleep", "asyncio.sleep", "sleep"}


@dataclass(frozen=True)
class Source:
    """A file by its path from the root and its text."""

    name: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree of a Python file."""
        return ast.parse(self.text, filename=self.name)

    @property
    def is_python(self) -> bool:
        """Whether it is Python (the rest of the code is C)."""
        return self.name.endswith((".py", ".pyi"))

    def lines_matching(self, pattern: str | re.Pattern[str]) -> Iterator[str]:
        """Every line that the pattern is found in, with its place."""
        for number, line in enumerate(self.lines, 1):
            if re.search(pattern, line):
                yield f"{self.name}:{number} {line.strip()}"


def file_has_one_subject(source: Source) -> Iterator[str]:
    """At most 400 lines."""
    if len(source.lines) > FILE_LINES_MAX:
        yield f"{source.name} has {len(source.lines)} lines: which concept in it has no file yet?"


def functions_fit_a_screen(source: Source) -> Iterator[str]:
    """At most 60 lines from ``def`` to the last statement, docstring included."""
    for title, line, length in (_python_functions if source.is_python else _c_functions)(source):
        if length > FUNCTION_LINES_MAX:
            yield f"{source.name}:{line} {title} has {length} lines: which step in it has no name yet?"


def _python_functions(source: Source) -> Iterator[tuple[str, int, int]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def _c_functions(source: Source) -> Iterator[tuple[str, int, int]]:
    """By the layout that clang-format enforces: a function's last ``}`` stands in column 0."""
    start, title = 0, ""
    for number, line in enumerate(source.lines, 1):
        if not start and (match := re.match(r"[a-z].*?(\w+)\(", line)) and not line.endswith(";"):
            start, title = number, match[1]
        elif start and line.startswith("}"):
            yield title, start, number - start + 1
            start = 0
        elif start and line.endswith(");") and "{" not in "".join(source.lines[start - 1 : number]):
            start = 0  # it was a declaration over several lines


def no_unfinished_or_dangerous_word(source: Source) -> Iterator[str]:
    """No marks of open work, nothing that runs what it reads."""
    for word, reason in BANNED.items():
        for place in source.lines_matching(word):
            yield f"{place}: {reason}"


def no_path_of_one_machine(source: Source) -> Iterator[str]:
    """What is committed works anywhere."""
    yield from source.lines_matching(MACHINE_PATH)


def silenced_checks_say_why(source: Source) -> Iterator[str]:
    """A comment that silences a check names the check and gives the reason on its own line."""
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type != tokenize.COMMENT or not (found := SILENCER.findall(token.string)):
            continue
        place = f"{source.name}:{token.start[0]} {token.string}"
        if any(silencer in {"noqa", "type: ignore", "pyright: ignore"} for silencer in found):
            yield f"{place}: silences everything"
        if not re.search(r"[A-Za-z]{4,}", SILENCER.sub(" ", token.string)):
            yield f"{place}: no reason given"


def _imports(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Every imported name as its path (``from .a import b`` is ``["", "a", "b"]``), with its line."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * bool(node.level) + (node.module or "")
            yield from ((node.lineno, [*module.split("."), alias.name]) for alias in node.names)


def parts_are_imported_by_full_name(source: Source) -> Iterator[str]:
    """``import raft`` works from the checkout only; installed, it is ``multiraft.raft``."""
    for line, path in _imports(source):
        if path[0] in PARTS:
            yield f"{source.name}:{line} {'.'.join(path)}: write multiraft.{path[0]}"


def only_native_sees_the_extension(source: Source) -> Iterator[str]:
    """``ffi`` and ``lib`` stay behind the modules of ``native/`` (and are tested beside these)."""
    for line, path in _imports(source):
        if "_native" in path and not source.name.startswith(("native/", "tests/native/")):
            yield f"{source.name}:{line} {'.'.join(path)}"


def core_is_pure(source: Source) -> Iterator[str]:
    """The core has no clock and no I/O, and chance comes from the ``random.Random`` it is given."""
    for line, path in _imports(source):
        top = path[0]
        if top in IMPURE:
            yield f"{source.name}:{line} {top}: the host feeds the core and carries out its work"
        elif top and top not in sys.stdlib_module_names:
            yield f"{source.name}:{line} {top} is not in the standard library"
        elif top == "random" and path[1:] not in ([], ["Random"]):
            yield f"{source.name}:{line} {'.'.join(path)} is not injected"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "random" and node.attr != "Random":
            yield f"{source.name}:{node.lineno} random.{node.attr} is not injected"


def tests_wait_for_events(source: Source) -> Iterator[str]:
    """A sleep makes a test slow where it is not needed and flaky where it is.

    ``asyncio.sleep(0)`` only yields. Where time itself is the subject, say so on the line: ``# sleep: why``.
    """
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in SLEEPS:
            continue
        yields = [ast.unparse(argument) for argument in node.args] == ["0"]
        if not yields and not re.search(r"# sleep: \w+ \w+", source.lines[node.lineno - 1]):
            yield f"{source.name}:{node.lineno} {ast.unparse(node)}"
