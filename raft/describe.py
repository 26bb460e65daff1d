"""One stable rendering per object, for logs, failure messages and the conformance scenarios.

The forms are the reference's, so that its recorded scenarios can be compared to the letter.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from . import confchange
from .confchange import Change, ChangeType
from .entry import Entry, EntryType
from .errors import Compacted, PeerNotFound, ProposalDropped, RaftError
from .ids import LOCAL_APPEND, LOCAL_APPLY, NO_REPLICA
from .messages import Message, MsgType
from .progress import ProgressState
from .ready import Ready
from .state import ConfState, HardState, Role, Snapshot, SoftState
from .status import ProgressStatus

_TARGETS: Final = {NO_REPLICA: "None", LOCAL_APPEND: "AppendThread", LOCAL_APPLY: "ApplyThread"}
_CHANGE_LETTERS: Final = {
    ChangeType.ADD_VOTER: "v",
    ChangeType.ADD_LEARNER: "l",
    ChangeType.REMOVE: "r",
    ChangeType.UPDATE: "u",
}
_ENTRY_TYPES: Final = {
    EntryType.NORMAL: "EntryNormal",
    EntryType.REFUSED_CHANGE: "EntryNormal",
    EntryType.CONF_CHANGE: "EntryConfChange",
    EntryType.CONF_CHANGE_V2: "EntryConfChangeV2",
}
_ESCAPES: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    '"': r"\"",
    "\\": r"\\",
}


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


MESSAGE_NAMES: Final[dict[MsgType, str]] = {kind: "Msg" + _camel(kind.name) for kind in MsgType}
ROLE_NAMES: Final[dict[Role, str]] = {role: "State" + _camel(role.name) for role in Role}
_PROGRESS_STATES: Final = {state: "State" + _camel(state.name) for state in ProgressState}


def describe_payload(data: bytes) -> str:
    """Data in double quotes: printable text as it is, the rest escaped."""
    return '"' + "".join(map(_escaped, data.decode(errors="surrogateescape"))) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte that is not part of any text
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def describe_changes(changes: Iterable[Change]) -> str:
    """Configuration changes in the form ``v1 l2 r3 u4``."""
    return " ".join(f"{_CHANGE_LETTERS[change.type]}{change.replica}" for change in changes)


def describe_entry(entry: Entry) -> str:
    """An entry as ``term/index type content``."""
    change = confchange.decode(entry)
    content = describe_payload(entry.data) if change is None else describe_changes(change.changes)
    return f"{entry.term}/{entry.index} {_ENTRY_TYPES[EntryType(entry.type)]} {content}".rstrip(" ")


def describe_conf_state(conf: ConfState) -> str:
    """The members by their part."""

    def ids(members: tuple[int, ...]) -> str:
        return "[" + " ".join(map(str, members)) + "]"

    return (
        f"Voters:{ids(conf.voters)} VotersOutgoing:{ids(conf.voters_outgoing)} Learners:{ids(conf.learners)} "
        f"LearnersNext:{ids(conf.learners_next)} AutoLeave:{str(conf.auto_leave).lower()}"
    )


def describe_snapshot(snapshot: Snapshot) -> str:
    """A snapshot without its data."""
    return f"Index:{snapshot.index} Term:{snapshot.term} ConfState:{describe_conf_state(snapshot.conf_state)}"


def describe_hard_state(state: HardState) -> str:
    """Term, vote if cast, commit."""
    vote = f" Vote:{state.vote}" if state.vote else ""
    return f"Term:{state.term}{vote} Commit:{state.commit}"


def describe_soft_state(state: SoftState) -> str:
    """Leader and role."""
    return f"Lead:{state.lead} State:{ROLE_NAMES[state.role]}"


def _target(replica: int) -> str:
    return _TARGETS.get(replica) or f"{replica:x}"


def describe_message(m: Message, indent: str = "") -> str:
    """A message, over several lines if it carries several entries, a snapshot or responses."""
    return "\n".join(_message_lines(m, indent))


def _message_lines(m: Message, indent: str) -> Iterator[str]:
    line = (
        f"{indent}{_target(m.from_)}->{_target(m.to)} {MESSAGE_NAMES[m.type]} "
        f"Term:{m.term} Log:{m.log_term}/{m.index}"
    )
    if m.reject:
        line += f" Rejected (Hint: {m.reject_hint})"
    if m.commit:
        line += f" Commit:{m.commit}"
    if m.vote:
        line += f" Vote:{m.vote}"
    if len(m.entries) == 1:
        line += f" Entries:[{describe_entry(m.entries[0])}]"
    elif m.entries:
        yield f"{line} Entries:["
        yield from (f"{indent}  {describe_entry(entry)}" for entry in m.entries)
        line = f"{indent}]"
    if m.snapshot is not None and m.snapshot.index:
        yield line
        line = f"{indent}  Snapshot: {describe_snapshot(m.snapshot)}"
    if m.responses:
        yield f"{line} Responses:["
        for response in m.responses:
            yield from _message_lines(response, indent + "  ")
        line = f"{indent}]"
    yield line


def describe_ready(ready: Ready, replica: int, *, async_storage_writes: bool) -> str:
    """A Ready; with asynchronous writes, what waits for storage is shown as messages to its threads."""
    messages = list(ready.messages)
    if async_storage_writes:
        messages += [
            m for m in (ready.append_message(replica), ready.apply_message(replica)) if m is not None
        ]
    else:
        messages += ready.messages_after_append
    parts = list(_ready_parts(ready, messages))
    if not parts:
        return "<empty Ready>"
    return "\n".join([f"Ready MustSync={str(ready.must_sync).lower()}:", *parts])


def _ready_parts(ready: Ready, messages: list[Message]) -> Iterator[str]:
    if ready.soft_state is not None:
        yield describe_soft_state(ready.soft_state)
    if ready.hard_state is not None:
        yield f"HardState {describe_hard_state(ready.hard_state)}"
    if ready.read_states:
        yield "ReadStates " + " ".join(f"{s.index}:{describe_payload(s.context)}" for s in ready.read_states)
    if ready.entries:
        yield "Entries:"
        yield from map(describe_entry, ready.entries)
    if ready.snapshot is not None:
        yield f"Snapshot {describe_snapshot(ready.snapshot)}"
    if ready.committed_entries:
        yield "CommittedEntries:"
        yield from map(describe_entry, ready.committed_entries)
    if messages:
        yield "Messages:"
        yield from map(describe_message, messages)


def describe_progress(progress: ProgressStatus) -> str:
    """What a leader knows of a member."""
    line = f"{_PROGRESS_STATES[progress.state]} match={progress.match} next={progress.next}"
    if progress.is_learner:
        line += " learner"
    if progress.paused:
        line += " paused"
    if progress.pending_snapshot:
        line += f" pendingSnap={progress.pending_snapshot}"
    if not progress.recent_active:
        line += " inactive"
    if progress.inflight:
        line += f" inflight={progress.inflight}" + ("[full]" if progress.inflight_full else "")
    return line


def _hexadecimal(members: Iterable[int]) -> str:
    return "(" + " ".join(f"{member:x}" for member in members) + ")"


def describe_conf(conf: ConfState) -> str:
    """A configuration in one line, ids in hexadecimal."""
    line = f"voters={_hexadecimal(conf.voters)}"
    if conf.voters_outgoing:
        line += f"&&{_hexadecimal(conf.voters_outgoing)}"
    if conf.learners:
        line += f" learners={_hexadecimal(conf.learners)}"
    if conf.learners_next:
        line += f" learners_next={_hexadecimal(conf.learners_next)}"
    return line + (" autoleave" if conf.auto_leave else "")


def describe_quorum(voters: Iterable[int], acknowledged: Mapping[int, int]) -> str:
    """A bar per voter: how many others are behind it. Ends in a newline, unless there are no voters."""
    members = sorted(set(voters))
    if not members:
        return "<empty majority quorum>"
    width = len(members)
    indexes = [acknowledged.get(member, 0) for member in members]
    lines = [" " * width + "    idx"]
    for member, index in zip(members, indexes, strict=True):
        behind = sum(other < index for other in indexes)
        bar = "x" * behind + ">" + " " * (width - behind) if member in acknowledged else "?" + " " * width
        lines.append(f"{bar} {index:5d}    (id={member:x})")
    return "\n".join(lines) + "\n"


def describe_error(error: RaftError) -> str:
    """An error in the reference's words, where it has any for it."""
    if isinstance(error, ProposalDropped):
        return "raft proposal dropped"
    if isinstance(error, PeerNotFound):
        return "raft: cannot step as peer not found"
    if isinstance(error, Compacted):
        return "requested index is unavailable due to compaction"
    return str(error)
