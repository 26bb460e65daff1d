"""Reads and rewrites scripts in the data-driven format: a command, its input, and what it prints."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Block:
    """One command with its expected output; `line` is where it begins in the file, from 1."""

    command: str
    arguments: list[tuple[str, list[str]]]
    line: int
    input: str = ""
    expected: str = ""
    source: list[str] = field(default_factory=list)
    """The lines up to and including the separator, as they stand in the file."""

    def words(self) -> list[str]:
        """The arguments without values."""
        return [key for key, values in self.arguments if not values]

    def values(self, name: str) -> list[str] | None:
        """The values of the last argument called `name`; `None` if there is none."""
        return next((values for key, values in reversed(self.arguments) if key == name and values), None)

    def value(self, name: str, default: str = "") -> str:
        """The first value of the argument called `name`."""
        return (self.values(name) or [default])[0]


SEPARATOR = "----"


def parse_arguments(text: str) -> list[tuple[str, list[str]]]:
    """The words of a command line behind the command: bare, ``key=value`` or ``key=(value, value)``."""
    arguments: list[tuple[str, list[str]]] = []
    position = 0
    while match := re.compile(r"\s*([^\s=]+)").match(text, position):
        key, position = match[1], match.end()
        values: list[str] = []
        if text.startswith("=", position):
            values, position = _parse_values(text, position + 1)
        arguments.append((key, values))
    return arguments


def _parse_values(text: str, position: int) -> tuple[list[str], int]:
    if not text.startswith("(", position):
        match = re.compile(r"\S*").match(text, position)
        assert match is not None
        return [match[0]], match.end()
    depth, start, values = 1, position + 1, []
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0 or (depth == 1 and text[end] == ","):
            values.append(text[start:end].strip())
            start = end + 1
        if depth == 0:
            return ([] if values == [""] else values), end + 1
    raise ValueError(f"unbalanced parentheses in {text!r}")


def parse(text: str) -> Iterator[Block | str]:
    """The blocks of a script, and the lines between them as they are."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    position = 0
    while position < len(lines):
        if not lines[position].strip() or lines[position].lstrip().startswith("#"):
            yield lines[position]
            position += 1
            continue
        start = position
        directive = lines[position].rstrip()
        while directive.endswith("\\"):
            position += 1
            directive = directive[:-1].rstrip() + " " + lines[position].strip()
        command, _, rest = directive.strip().partition(" ")
        position += 1
        separator = lines.index(SEPARATOR, position)
        block = Block(command, parse_arguments(rest), start + 1)
        block.input = "\n".join(lines[position:separator]).strip()
        block.source = lines[start : separator + 1]
        block.expected, position = _expected(lines, separator + 1)
        yield block


def _expected(lines: list[str], position: int) -> tuple[str, int]:
    """The expected output that begins at `position`, and the position behind it and its blank line."""
    if position < len(lines) and lines[position] == SEPARATOR:  # the doubled form: may hold blank lines
        for end in range(position + 1, len(lines) - 1):
            if lines[end] == lines[end + 1] == SEPARATOR:
                behind = end + 2
                behind += behind < len(lines) and not lines[behind].strip()
                return "\n".join(lines[position + 1 : end]), behind
        raise ValueError(f"line {position + 1}: output between doubled separators does not end")
    end = position
    while end < len(lines) and lines[end].strip():
        end += 1
    return "\n".join(lines[position:end]), min(end + 1, len(lines))


def rewrite(text: str, run: Callable[[Block], str]) -> str:
    """The script with the output that `run` gives for each block."""
    out: list[str] = []
    for part in parse(text):
        if isinstance(part, str):
            out.append(part)
            continue
        output = run(part).removesuffix("\n").split("\n")
        if any(not line.strip() for line in output):
            output = [SEPARATOR, *output, SEPARATOR, SEPARATOR]
        out += [*part.source, *output, ""]
    return "\n".join(out).rstrip("\n") + "\n"
