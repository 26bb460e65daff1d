"""What ``multiraft inspect`` tells, as plain values: the node, its stores, its groups, single entries."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from ...engine.errors import Corruption
from ...engine.offline.entries import Found
from ...engine.offline.findings import Damage, Findings
from ...engine.offline.grouplog import NEWBORN, GroupLog
from ...engine.offline.logscan import LogContents
from ...engine.offline.statescan import STATE_FILE, GroupState, StateContents
from ...engine.offline.stopped import STORES, StoppedNode
from ...engine.statemachine.kv_snapshot import decode_metadata
from ...raft.state import ConfState
from .inspect_words import envelope_of, words_of
from .output import Fields, text_of

LOG_FIELDS: Final = [
    "replica",
    "machine",
    "term",
    "vote",
    "commit",
    "first",
    "last",
    "log_bytes",
    "members",
    "nodes",
]


def node_fields(node: StoppedNode) -> dict[str, object]:
    """Who the directory belongs to."""
    identity = node.identity
    if identity is None:
        return {"damaged": node.identity_damage}
    uuid = identity.cluster_uuid
    return {
        "node_id": identity.node_id,
        "cluster": identity.cluster_name,
        "cluster_uuid": None if uuid is None else uuid.hex(),
        "store_uuid": identity.store_uuid.hex(),
        "starts": identity.incarnation,
    }


def store_fields(node: StoppedNode, log: LogContents, state: StateContents) -> dict[str, object]:
    """The two environments: how large, and how much is in them."""
    counts: dict[str, dict[str, object]] = {
        "log": {"batches": log.batches, "entries": log.entries, "salvaged": _salvaged(node)},
        "state": {"values": state.values, "unreachable": state.unreachable},
    }
    for store in STORES:
        file = node.store(store)
        counts[store] = {"bytes": 0 if file is None else file.size, **counts[store]}
        if store in node.damage:
            counts[store]["damaged"] = node.damage[store]
    return {**counts}


def group_rows(log: LogContents, state: StateContents, findings: Findings) -> Iterator[dict[str, object]]:
    """Every group that has a log or state here, ascending."""
    for group in sorted({*log.groups, *state.groups}):
        yield group_fields(group, log.groups.get(group), state.groups.get(group), findings)


def group_fields(
    group: int, log: GroupLog | None, state: GroupState | None, findings: Findings
) -> dict[str, object]:
    """One group; None where it cannot be told."""
    point = None if state is None else state.point or state.checkpoint
    lost = any(damage.file == STATE_FILE and damage.group is None for damage in findings.kept)
    unknown: tuple[int | None, int | None] = (None, None) if lost else NEWBORN
    applied = unknown if point is None else (point.applied.index, point.applied.term)
    fields: dict[str, object] = {"group": group, **_bounds(log, state), **_log_fields(log)}
    fields["applied"], fields["applied_term"] = applied
    fields["keys"] = 0 if state is None else state.keys
    fields["state_bytes"] = 0 if state is None else state.bytes
    fields["damaged"] = [damage_fields(damage) for damage in findings.of_group(group)]
    return fields


def damage_fields(damage: Damage) -> dict[str, object]:
    """One damaged place."""
    return dict(damage._asdict())


def entry_fields(found: Found, machine: str, *, with_hex: bool = False) -> dict[str, object]:
    """One place of a log: the entry, or what is wrong with it."""
    entry = found.entry
    fields: dict[str, object] = {"index": found.index, "batch": found.carrier or None}
    if entry is None:
        return {**fields, "damaged": found.damage}
    fields |= {"term": entry.term, "type": entry.type.name.lower(), "bytes": len(entry.data)}
    envelope = envelope_of(entry)
    if envelope is not None:
        fields |= {"session": envelope.session, "sequence": envelope.sequence, "epoch": envelope.epoch}
    fields["says"] = words_of(entry, machine)
    if with_hex:
        fields["hex"] = entry.data.hex()
    return fields


def members_text(members: ConfState | None) -> str | None:
    """Voters, and what else there is of members, in words."""
    if members is None:
        return None
    parts = [_ids(members.voters)]
    if members.voters_outgoing:
        parts.append(f"joint with {_ids(members.voters_outgoing)}")
    if members.learners or members.learners_next:
        parts.append(f"learners {_ids((*members.learners, *members.learners_next))}")
    return "; ".join(parts)


def _log_fields(log: GroupLog | None) -> Fields:
    if log is None:
        return dict.fromkeys(LOG_FIELDS)
    birth, hard = log.birth, log.hard_state
    return {
        "replica": log.replica,
        "machine": None if birth is None else birth.machine,
        "term": hard.term,
        "vote": hard.vote,
        "commit": hard.commit,
        "first": log.first_index,
        "last": log.last_index,
        "log_bytes": log.run_bytes,
        "members": members_text(log.members),
        "nodes": None if birth is None else {str(replica): node for replica, node in birth.peers},
    }


def _salvaged(node: StoppedNode) -> int | None:
    log = node.log()
    return None if log is None else log.salvaged


def _bounds(log: GroupLog | None, state: GroupState | None) -> dict[str, object]:
    """The keys of a group, by its own state if that tells them, else by its birth."""
    start: bytes | None = None
    end: bytes | None = None
    epoch: int | None = None
    if log is not None and log.birth is not None:
        start, end, epoch = log.birth.start, log.birth.end, log.birth.epoch
    point = None if state is None else state.point or state.checkpoint
    if point is not None and point.applied.metadata:
        with suppress(Corruption):  # a finding tells it
            start, end, epoch, _ = decode_metadata(point.applied.metadata)
    return {
        "start": None if start is None else text_of(start),
        "end": None if end is None else text_of(end),
        "epoch": epoch,
    }


def _ids(ids: tuple[int, ...]) -> str:
    return ", ".join(map(str, ids))
