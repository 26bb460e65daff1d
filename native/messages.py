"""The payload of a MESSAGES frame: Raft messages of many groups, in one C call each way."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, repeat
from struct import Struct, pack
from struct import error as struct_error
from typing import Final, TypeVar

from ._native import ffi, lib
from .entries import ENTRY_OVERHEAD, entries_of
from .errors import RANGE, Malformed, bad_frame, refusal
from .frames import HEADER_SIZE
from .scratch import EntryColumns, MessageColumns, Output, Pool, entry_columns

E = TypeVar("E")

MESSAGES: Final = 2
"""Kind of a frame of messages."""

FIELDS: Final = lib.MR_MESSAGES_FIELDS
"""Numbers that describe a message: group, to, from_, flags, term, log_term, index, commit, reject_hint,
run_length, extra_length."""

REJECT: Final = 1 << 8
"""The reject bit of flags; bits 0 to 7 are the message's type."""

ROW_SIZE: Final = lib.MR_MESSAGES_ROW
"""Bytes of a message in the payload, beside its run and its extra bytes."""

MAX_ROWS: Final = lib.MR_MESSAGES_ROWS_MAX
"""Messages in a frame."""

MAX_ENTRIES: Final = lib.MR_MESSAGES_ENTRIES_MAX
"""Entries in a frame."""

MAX_BYTES: Final = lib.MR_MESSAGES_PAYLOAD_MAX
"""Bytes of the payload. Senders cut at 1 MiB: the rest is for an entry that goes alone."""

Decoded = tuple[int, int, int, int, bool, int, int, int, int, int, list[E], bytes, bytes]
"""(group, to, from_, type, reject, term, log_term, index, commit, reject_hint, entries, run, extra)"""

_seal = lib.mr_messages_seal
_decode = lib.mr_messages_decode
_unpack = ffi.unpack
_new = ffi.new

_PAYLOAD_HEADER: Final = lib.MR_MESSAGES_HEADER
_ROW: Final = Struct("<8Q3I")
_BODIES_OF_ONE: Final = _PAYLOAD_HEADER + ROW_SIZE
_outputs: Final = Pool(Output, keep=1 << 20)
_columns: Final = Pool(MessageColumns, keep=MAX_ROWS)


def encode_messages(directory_index: int, rows: Sequence[int], bodies: Sequence[bytes]) -> bytes:
    """A whole sealed frame.

    ``rows``: FIELDS numbers for each message, one message after the other. ``bodies``: for each message its
    encoded run, then its extra bytes (a context); empty ones may be left out.
    Raises TooMany (messages or entries), TooLarge (payload) or Malformed (lengths, flags or a run).
    """
    count, left_over = divmod(len(rows), FIELDS)
    if left_over:
        raise Malformed(f"{len(rows)} numbers do not make messages of {FIELDS}")
    try:
        numbers = pack(f"<{len(rows)}Q", *rows)
    except struct_error as cause:
        raise refusal(RANGE, "a field of a message") from cause
    body = b"".join(bodies)
    size = HEADER_SIZE + _PAYLOAD_HEADER + count * ROW_SIZE
    output = _outputs.take(min(size, 1 << 20))
    failed = _new("uint64_t *")
    try:
        target = output.cells
        status = _seal(
            MESSAGES, MAX_BYTES, directory_index, numbers, count, body, len(body), target, output.room, failed
        )
        if status:
            raise refusal(status, f"message {failed[0]} of {count}")
        return output.view[:size] + body
    finally:
        _outputs.give(output)


def decode_messages(
    payload: bytes, make_entry: Callable[[int, int, int, bytes], E]
) -> tuple[int, list[Decoded[E]]]:
    """The sender's directory index and the messages of ``payload``.

    Entries are ``make_entry(term, index, type, data)``; ``run`` are the bytes that they came in. Every length
    and checksum is checked before anything is made. Raises BadFrame.
    """
    columns = _columns.take(min(MAX_ROWS, len(payload) // ROW_SIZE + 1))
    entries = entry_columns.take(min(MAX_ENTRIES, len(payload) // ENTRY_OVERHEAD + 1))
    try:
        found = columns.found
        status = _decode(payload, len(payload), MAX_BYTES, found, columns.struct, entries.struct)
        if status:
            raise bad_frame(status, f"message {found.failed_row} of a frame")
        rows = found.rows
        if rows == 1:  # most frames of groups that have little to do
            return found.directory_index, [_only(entries, found.entries, payload, make_entry)]
        made, runs, extras = _bodies(columns, entries, payload, make_entry)
        groups, receivers, senders, *others = [_unpack(cells, rows) for cells in columns.numbers]
        types, rejects = (view[:rows] for view in columns.bytes)
        messages = zip(
            groups, receivers, senders, types, map(bool, rejects), *others, made, runs, extras, strict=False
        )
        return found.directory_index, list(messages)
    finally:
        entry_columns.give(entries)
        _columns.give(columns)


def _only(
    columns_of_entries: EntryColumns, entries: int, payload: bytes, make_entry: Callable[..., E]
) -> Decoded[E]:
    """The message of a frame with one, which C has checked: columns of one number each cost more."""
    made: list[E] = []
    group, to, from_, term, log_term, index, commit, hint, flags, run_length, extra_length = _ROW.unpack_from(
        payload, _PAYLOAD_HEADER
    )
    run = extra = b""
    if run_length:
        run = payload[_BODIES_OF_ONE : _BODIES_OF_ONE + run_length]
        made = list(map(make_entry, *entries_of(columns_of_entries, entries, payload)))
    if extra_length:
        start = _BODIES_OF_ONE + run_length
        extra = payload[start : start + extra_length]
    kind, reject = flags & (REJECT - 1), bool(flags & REJECT)
    return group, to, from_, kind, reject, term, log_term, index, commit, hint, made, run, extra


def _bodies(
    columns: MessageColumns, columns_of_entries: EntryColumns, payload: bytes, make_entry: Callable[..., E]
) -> tuple[Iterable[list[E]], Iterable[bytes], Iterable[bytes]]:
    """Entries, run and extra bytes of each message. Where there are none, none are looked for."""
    found = columns.found
    rows = found.rows
    made: Iterable[list[E]] = [[] for _ in range(rows)]
    runs: Iterable[bytes] = repeat(b"")
    extras: Iterable[bytes] = repeat(b"")
    if not found.entries and not found.extra_bytes:
        return made, runs, extras
    run_starts, run_ends, extra_ends, entries_ends = [_unpack(cells, rows) for cells in columns.offsets]
    if found.entries:
        flat = list(map(make_entry, *entries_of(columns_of_entries, found.entries, payload)))
        made = [flat[start:end] for start, end in pairwise((0, *entries_ends))]
        runs = [payload[start:end] for start, end in zip(run_starts, run_ends, strict=True)]
    if found.extra_bytes:
        extras = [payload[start:end] for start, end in zip(run_ends, extra_ends, strict=True)]
    return made, runs, extras
