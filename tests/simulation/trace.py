"""What happened, for people and for comparison: the last part of it readable, all of it in one hash."""

import hashlib
import re
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from multiraft.engine.outbox import OutFrame
from multiraft.engine.replica import SYSTEM_GROUP
from multiraft.engine.wire import (
    BEAT,
    COMMIT_NOTICE,
    OF_REST,
    RESTING,
    STATE_REQUEST,
    UNKNOWN_GROUP,
    WAKE,
    Received,
    read_frame,
)
from multiraft.native.frames import HEADER_SIZE
from multiraft.raft import describe
from multiraft.raft.entry import Entry, EntryType
from multiraft.shards.cli.inspect_words import words_of

KEPT = 20_000
"""Events that can be read afterwards."""
MOST_TEXT = 120
"""Characters of an entry, or of what is noted, that are printed; the hash covers all of them."""
OF_CLIENTS: Final = ("asks", "is told")
"""Kinds of notes that say nothing of a group: an operation is known by its number."""
STRAYS: Final = "strays"
"""The kind of the note right before a frame that no node meant to send."""
_NAMES_GROUP: Final = re.compile(r"\bgroup (\d+)")
_NAMES_NODE: Final = re.compile(r"(?:\w+: )?(?:group \d+: )?node (\d+)")


class Note(NamedTuple):
    """Something that is easily said."""

    kind: str
    text: str


class Trace:
    """Takes note of events. The hash covers all of them; texts are only made when somebody reads."""

    def __init__(self, kept: int = KEPT) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._events: deque[tuple[float, int, Note | OutFrame]] = deque(maxlen=kept)
        self._noted = 0

    def note(self, now: float, node: int, kind: str, text: str) -> None:
        """Something that is easily said; node 0 is the world."""
        self._hash.update(f"{now:.9f} {node} {kind} {text}\n".encode())
        self._append(now, node, Note(kind, text))

    def frame(self, now: float, node: int, frame: OutFrame) -> None:
        """A node puts a frame on the wire."""
        self._hash.update(b"%.9f %d %d " % (now, node, frame.node))
        self._hash.update(frame.data)
        self._append(now, node, frame)

    def _append(self, now: float, node: int, event: Note | OutFrame) -> None:
        self._noted += 1
        self._events.append((now, node, event))

    def digest(self) -> str:
        """The hash of everything so far."""
        return self._hash.hexdigest()

    def lines(self, last: int = KEPT, group: int | None = None) -> list[str]:
        """The last events; of one group only those that name it, and those of nodes and faults as a whole."""
        lines: list[str] = []
        stray = ""
        for now, node, event in self._events:
            if isinstance(event, Note) and event.kind == STRAYS:
                stray = "strays, "
                continue
            text = describe_note(event, group) if isinstance(event, Note) else describe_frame(event, group)
            if text:
                lines.append(f"{_when(now, node)} {stray}{text}")
            stray = ""
        cut = max(0, len(lines) - last)
        forgotten = self._noted - len(self._events)
        if cut or forgotten:
            lines[:cut] = [f"({cut} earlier lines are not shown, {forgotten} events are forgotten)"]
        return lines


def _when(now: float, node: int) -> str:
    return f"{now:10.6f} " + (f"node {node}" if node else "world ")


def describe_violation(now: float, words: str) -> str:
    """The line that a failed run's trace ends with; the words name a node at their beginning, or none."""
    named, first = _NAMES_NODE.match(words), words.partition("\n")[0]
    return f"{_when(now, int(named[1]) if named else 0)} violates: {first}"


def describe_note(note: Note, group: int | None = None) -> str:
    """A note; nothing if it does not concern the group that is asked for."""
    named = _NAMES_GROUP.search(note.text)
    others = note.kind in OF_CLIENTS or (named is not None and int(named[1]) != group)
    return "" if group is not None and others else _cut(f"{note.kind} {note.text}".rstrip())


def describe_frame(frame: OutFrame, group: int | None = None) -> str:
    """The messages of a frame, one a line; nothing if none of them is for the group that is asked for."""
    rows = [row for row in rows_of(frame) if group is None or row.group == group]
    messages = "".join(f"\n{'':20}{describe_row(row)}" for row in rows)
    return f"sends node {frame.node}{messages}" if rows or group is None else ""


def rows_of(frame: OutFrame) -> list[Received]:
    """The messages of a frame."""
    return list(read_frame(frame.data[HEADER_SIZE:])[1])


def describe_row(row: Received) -> str:
    """One message, between replicas: ``r3`` is replica 3 of the group, on whatever node that is."""
    message = row.message
    way = f"r{message.from_}->r{message.to}" if message.from_ else f"->r{message.to}"
    if row.kind == COMMIT_NOTICE:
        what = f"CommitNotice Term:{message.term} Commit:{message.commit}"
    elif row.kind == UNKNOWN_GROUP:
        what = "UnknownGroup"
    elif row.kind == STATE_REQUEST:
        what = "StateRequest"
    elif row.kind in OF_REST:
        return _of_rest(row)
    else:
        _, _, what = describe.describe_message(replace(message, entries=())).partition(" ")
        what += _entries(row.group, message.entries)
    return f"group {row.group}: {way} {what}"


def _of_rest(row: Received) -> str:
    """What nodes tell each other of groups that rest."""
    message = row.message
    if row.kind == BEAT:
        return f"beat: {message.index} groups rest here, digest {message.commit:016x}"
    if row.kind == RESTING:
        rows = struct.iter_unpack("<QQQ", message.context)
        points = (f" {group} at {commit}/{term}" for group, term, commit in rows)
        return f"resting in [{message.index}, {message.commit}):{''.join(points)}"
    if row.kind == WAKE:
        return f"group {row.group}: does not rest"
    return (
        f"group {row.group}: r{message.from_}->r{message.to} Rest Term:{message.term} Commit:{message.commit}"
    )


def _entries(group: int, entries: Sequence[Entry]) -> str:
    """As the core's own words for them, but with commands instead of bytes."""
    if len(entries) <= 1:
        return "".join(f" Entries:[{describe_entry(group, entry)}]" for entry in entries)
    lines = (f"\n{'':22}{describe_entry(group, entry)}" for entry in entries)
    return f" Entries:[{''.join(lines)}]"


def describe_entry(group: int, entry: Entry) -> str:
    """Term and index of an entry, and what it orders."""
    if entry.type is not EntryType.NORMAL:
        return describe.describe_entry(entry)
    words = words_of(entry, "directory" if group == SYSTEM_GROUP else "kv")
    size = f" {len(entry.data)} B" if entry.data else ""
    return f"{entry.term}/{entry.index} {_cut(words)}{size}"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"
