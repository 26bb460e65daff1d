"""All of a stopped node's data directory: every checksum and index, and what the parts say of one another."""

from collections.abc import Callable
from typing import Final, NamedTuple

from ..errors import Corruption
from ..logstore.checkpoint import Unfit, check_checkpoint
from ..logstore.recovery import recover
from ..statemachine.kv_snapshot import decode_metadata
from ..statemachine.records import HEAD, HEAD_KEY, Head, unseal
from .entries import term_at
from .findings import Findings
from .grouplog import NEWBORN, GroupLog
from .lmdbfile import LmdbFile
from .logfile import LogFile
from .logscan import LOG_FILE, LogContents, scan_log
from .statescan import STATE_FILE, GroupState, StateContents, scan_state
from .stopped import STORES, StoppedNode

INDEX_FILE: Final = "index"

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


class Verified(NamedTuple):
    """What there is, and what is wrong with it."""

    log: LogContents
    state: StateContents
    findings: Findings


def verify_node(node: StoppedNode, progress: Progress = lambda *_: None) -> Verified:
    """Check everything. Raises `VersionMismatch` for a format that this version does not know."""
    findings = Findings()
    for store in STORES:
        check_structure(node, store, findings, progress)
    contents = read_contents(node, findings, progress)
    log_file = node.log()
    if log_file is not None and not any(damage.file == LOG_FILE for damage in findings.kept):
        progress("reading the log as a node does", 0, 1)
        _check_recovery(log_file, findings)
        progress("reading the log as a node does", 1, 1)
    _check_hint(node, findings)
    return Verified(*contents, findings)


def check_structure(node: StoppedNode, store: str, findings: Findings, progress: Progress) -> None:
    """Check the pages of "log" or "state" and how they hang together."""
    file_name = f"{store}/data.mdb"
    if store in node.damage:
        findings.add(file_name, node.damage[store])
    file = node.store(store)
    if file is not None:
        progress(f"checking the pages of {file_name}", 0, 1)
        for problem in file.problems():
            findings.add(file_name, problem)
        if store == "state":
            _check_older(file, findings)
        progress(f"checking the pages of {file_name}", 1, 1)


def _check_older(file: LmdbFile, findings: Findings) -> None:
    """One bit in a meta page can make LMDB take the transaction before for the newest one.

    That one's tree is whole, and shows what was; but then the tree that counts as older holds what is newer.
    Not asked of the log: a newest batch that is not in the tree is found without it, and as its meta pages
    are not flushed, pages of its older tree may have been written anew when a crash came.
    """
    before = file.before()
    if before is None:
        return
    try:
        if _flush_number(before) > _flush_number(file):
            findings.add(STATE_FILE, "its meta pages hide the newest transaction")
    except Corruption:
        return  # whatever cannot be read is found where it is read


def _flush_number(file: LmdbFile) -> int:
    """The number of the newest flush in a state store."""
    stored = file.get(HEAD_KEY)
    content = b"" if stored is None else unseal(HEAD_KEY, stored, None)
    return Head(*HEAD.unpack(content)).sequence if len(content) == HEAD.size else -1


def read_contents(
    node: StoppedNode, findings: Findings, progress: Progress = lambda *_: None
) -> tuple[LogContents, StateContents]:
    """Read both stores whole and compare them. Raises `VersionMismatch`."""
    log_file, state_file = node.log(), node.store("state")
    if node.identity_damage is not None:
        findings.add("node", node.identity_damage)
    for store in STORES:
        file = node.store(store)
        for problem in [] if file is None else file.meta_problems:
            findings.add(f"{store}/data.mdb", problem)
    log, state = LogContents(), StateContents()
    if log_file is not None:
        log = scan_log(log_file, findings, _of(progress, "reading the log", log_file.count))
    if state_file is not None:
        state = scan_state(state_file, findings, _of(progress, "reading the state", state_file.entries))
    if log_file is not None and "state" not in node.damage:
        _compare(log_file, log, state, findings)
    return log, state


def _of(progress: Progress, text: str, total: int) -> Callable[[int], None]:
    return lambda done: progress(text, min(done, total), total)


# -- log against state -------------------------------------------------------------------------------


def _compare(file: LogFile, log: LogContents, state: StateContents, findings: Findings) -> None:
    damaged = {damage.group for damage in findings.kept}
    for group, one in log.groups.items():
        if group not in damaged:  # what follows from damage is not told once more
            _compare_group(file, one, state.groups.get(group) or GroupState(), findings)
    for group in state.groups:
        if group not in log.groups and group not in log.tombstones and None not in damaged:
            findings.add(STATE_FILE, "there is state of a group that the log does not know", group=group)


def _compare_group(file: LogFile, log: GroupLog, state: GroupState, findings: Findings) -> None:
    """As a node does when it starts: the log must reach from what is applied to its end."""
    point = state.point or state.checkpoint
    index, term = NEWBORN if point is None else (point.applied.index, point.applied.term)
    if state.point is not None and log.birth is not None and log.birth.machine == "kv":
        try:
            decode_metadata(state.point.applied.metadata)
        except Corruption as error:
            findings.add(STATE_FILE, str(error), group=log.group)
    if point is not None and point.install_term and log.first_index - 1 < index:
        return  # a crash came between the two halves of an installation: the next start finishes it
    if index > log.last_index:
        text = f"applied up to {index}, but the log ends at {log.last_index}"
        findings.add(LOG_FILE, text, group=log.group, index=index)
    elif index < log.first_index - 1:
        text = f"applied up to {index} only, but the log begins at {log.first_index}"
        findings.add(STATE_FILE, text, group=log.group, index=index)
    else:
        said = term_at(file, log, index)
        if said != term:
            text = f"applied with term {term}, but the log says {said}"
            findings.add(LOG_FILE, text, group=log.group, index=index)


def _check_hint(node: StoppedNode, findings: Findings) -> None:
    """The checkpoint of the log's index. Nothing is lost with it, but a disk that spoils it spoils more."""
    path = node.path / INDEX_FILE
    if path.exists():
        try:
            check_checkpoint(path)
        except Unfit as error:
            findings.add(INDEX_FILE, f"{error} (a start ignores it and reads the whole log)")


# -- the node's own reading --------------------------------------------------------------------------


def _check_recovery(file: LogFile, findings: Findings) -> None:
    """What the log store itself would say of the log: its index is built in another way than ours."""
    try:
        for what in recover(file).damage:
            findings.add(LOG_FILE, what)
    except Corruption as error:
        findings.add(LOG_FILE, str(error), group=error.group, index=error.index)
