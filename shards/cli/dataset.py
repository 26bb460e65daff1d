"""The rows that the demo loads, checked before anything runs: named Unicode code points, or a CSV file."""

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...engine.errors import InvalidArgument
from ...engine.statemachine.commands import MAX_VALUE, check_key, check_value
from .output import CommandFailed

UNICODE_END = 0x110000


class Dataset(NamedTuple):
    """Rows by key, and how many rows of the source gave way to a later one with the same key."""

    rows: dict[bytes, bytes]
    replaced: int


def unicode_rows() -> Dataset:
    """Every code point that has a name: the character → its name, category and numeric value."""
    rows = {}
    for number in range(UNICODE_END):
        character = chr(number)
        name = unicodedata.name(character, None)
        if name is not None:
            numeric = unicodedata.numeric(character, None)
            shown = "" if numeric is None else f"{numeric:g}"
            rows[character.encode()] = f"{name};{unicodedata.category(character)};{shown}".encode()
    return Dataset(rows, 0)


def csv_rows(path: Path, *, header: bool = False) -> Dataset:
    """The rows of a CSV file in UTF-8: first column → the other columns; of equal keys the last row counts.

    Two columns: the value is the second one as it is. More: they are joined as CSV again. Empty lines are
    passed over; with ``header`` the first row is too.

    Raises:
        CommandFailed: the file cannot be read or has no row, or a row is malformed or over a limit; the text
            names the line.
    """
    records = _records(path, _read_text(path))
    if header:
        next(records, None)
    rows: dict[bytes, bytes] = {}
    columns = replaced = 0
    for line, record in records:
        columns = columns or len(record)
        if len(record) != columns:
            raise _malformed(path, line, f"{len(record)} columns, but {columns} in the first row")
        key, value = _pair(path, line, record)
        replaced += key in rows
        rows[key] = value
    if not rows:
        raise CommandFailed(f"{path}: there are no rows in it")
    return Dataset(rows, replaced)


def cuts_of(keys: Sequence[bytes], ranges: int) -> list[bytes]:
    """The keys, out of ascending ``keys``, that cut them into ``ranges`` parts of nearly equal size."""
    assert 1 <= ranges <= len(keys), ranges
    return [keys[number * len(keys) // ranges] for number in range(1, ranges)]


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _malformed(path, data.count(b"\n", 0, error.start) + 1, "not UTF-8") from None


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line that it begins on."""
    csv.field_size_limit(4 * MAX_VALUE)  # so that the limit of values speaks, with its own words
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _malformed(path, line, str(error)) from None
        if record:
            yield line, record
        line = reader.line_num + 1


def _pair(path: Path, line: int, record: list[str]) -> tuple[bytes, bytes]:
    key, rest = record[0].encode(), record[1:]
    if not key:
        raise _malformed(path, line, "the key (first column) is empty")
    value = (rest[0] if len(rest) == 1 else _joined(rest)).encode()
    try:
        check_key(key)
        check_value(value)
    except InvalidArgument as error:
        raise _malformed(path, line, str(error)) from None
    return key, value


def _joined(fields: list[str]) -> str:
    if not fields:
        return ""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(fields)
    return out.getvalue()


def _malformed(path: Path, line: int, reason: str) -> CommandFailed:
    return CommandFailed(f"{path}, line {line}: {reason}")
