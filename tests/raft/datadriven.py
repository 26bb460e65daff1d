"""Reads and rewrites scripts in the data-driven format: a command, its input, and what it prints."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SEPARATOR = "----"


class MalformedScript(ValueError):
    """A script that cannot be read; the text says where and why."""


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


def read_script(path: Path) -> str:
    """The text of a script, with lines that end in a newline only."""
    try:
        return path.read_bytes().decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise MalformedScript(f"not text in UTF-8: {error}") from error


def parse_arguments(text: str) -> list[tuple[str, list[str]]]:
    """The words of a command line behind the command: bare, ``key=value`` or ``key=(value, value)``."""
    arguments: list[tuple[str, list[str]]] = []
    rest = text.strip()
    while rest:
        end = min((at for at in (rest.find(" "), rest.find("=")) if at >= 0), default=len(rest))
        key, rest = rest[:end], rest[end:]
        if not key:
            raise MalformedScript(f"a value without a name in {text!r}")
        values: list[str] = []
        if rest.startswith("=("):
            values, rest = _parse_list(rest[2:])
        elif rest.startswith("="):
            value, _, rest = rest[1:].partition(" ")
            values = [value]
        arguments.append((key, values))
        rest = rest.strip()
    return arguments


def _parse_list(text: str) -> tuple[list[str], str]:
    """The values up to the parenthesis that closes the list, and the text behind it."""
    values: list[str] = []
    depth, start = 1, 0
    for end, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 or (depth == 1 and character == ","):
            values.append(text[start:end].lstrip(" ") if values else text[start:end])
            start = end + 1
        if depth == 0:
            return ([] if values == [""] else values), text[end + 1 :]
    raise MalformedScript(f"unbalanced parentheses in {'(' + text!r}")


def parse(text: str) -> Iterator[Block | str]:
    """The blocks of a script, and the lines between them as they are. `MalformedScript` where it is one."""
    lines = text.removesuffix("\n").split("\n")
    position = 0
    while position < len(lines):
        if not lines[position].strip() or lines[position].lstrip().startswith("#"):
            yield lines[position]
            position += 1
            continue
        try:
            block, position = _block(lines, position)
        except MalformedScript as error:
            raise MalformedScript(f"line {position + 1}: {error}") from None
        yield block


def _block(lines: list[str], start: int) -> tuple[Block, int]:
    """The block that begins at `start`, and the position behind it."""
    position, directive = start, lines[start].strip()
    while directive.endswith("\\") and position + 1 < len(lines):
        position += 1
        directive = directive[:-1].strip() + " " + lines[position].strip()
    if directive == SEPARATOR:
        raise MalformedScript(f"{SEPARATOR} without a command before it")
    command, _, rest = directive.partition(" ")
    try:
        separator = lines.index(SEPARATOR, position + 1)
    except ValueError:
        raise MalformedScript(f"no {SEPARATOR} behind the command {command!r}") from None
    block = Block(command, parse_arguments(rest), start + 1)
    block.input = "\n".join(lines[position + 1 : separator]).strip()
    block.source = lines[start : separator + 1]
    block.expected, position = _expected(lines, separator + 1)
    return block, position


def _expected(lines: list[str], position: int) -> tuple[str, int]:
    """The expected output that begins at `position`, and the position behind it and its blank line."""
    if position < len(lines) and lines[position] == SEPARATOR:  # the doubled form: may hold blank lines
        for end in range(position + 1, len(lines) - 1):
            if lines[end] == lines[end + 1] == SEPARATOR:
                if end + 2 < len(lines) and lines[end + 2].strip():
                    raise MalformedScript("no blank line behind output between doubled separators")
                return "\n".join(lines[position + 1 : end]), min(end + 3, len(lines))
        raise MalformedScript("output between doubled separators does not end")
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
