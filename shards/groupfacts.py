"""What one node knows of one group, for :mod:`~multiraft.shards.reasons` to judge; nothing is judged here."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, get_type_hints

from ..engine.errors import DiskFull, Error
from ..engine.host import Host
from ..engine.newborns import TERM, Newborn, Stage
from ..engine.node import Node
from ..engine.replica import Replica
from ..engine.stores import BIRTH_POINT
from ..raft.state import Role
from ..raft.status import ProgressStatus, Status
from .answers import json_object
from .explanation import cut_text
from .requests import Malformed, Scalar

MEMBERS_MAX: Final = 64
"""Members of one group and connections of one node that are taken in, at most."""

NODE_LISTS: Final = ("connected", "voters", "voters_outgoing")
NOTHING: Final[Mapping[str, object]] = {}

T = TypeVar("T")


class MemberFacts(NamedTuple):
    """What a leader knows of another member; see :class:`~multiraft.raft.status.ProgressStatus`."""

    node: int
    state: str
    """``"PROBE"``, ``"REPLICATE"`` or ``"SNAPSHOT"``."""
    match: int
    paused: bool
    inflight: int
    window_full: bool
    pending_snapshot: int
    recent_active: bool


class ReplicaFacts(NamedTuple):
    """What a replica that runs says of itself. Replicas are named by the nodes that hold them."""

    role: str
    """``"FOLLOWER"``, ``"CANDIDATE"``, ``"LEADER"`` or ``"PRE_CANDIDATE"``."""
    term: int
    leader: int | None
    commit: int
    applied: int
    last: int
    unstable: int
    """Entries of the log that are not on this node's disk yet."""
    queued: int
    """Proposals that are not in the log yet."""
    waiting: int
    """Proposals in all."""
    reads: int
    commits_own_term: bool
    """Whether an entry of its own term is committed: until then a leader confirms no read."""
    log_full: bool
    """Whether the log takes no more before some of it is committed."""
    installing: bool
    """Whether a snapshot is being put in place."""
    transferee: int | None
    """The node to which leadership is being handed over."""
    apply_stopped: str | None
    """Why the state machine applies nothing any more."""
    log_uncut: str | None
    """Why its log cannot be cut, and grows with every write."""


class GroupFacts(NamedTuple):
    """What a node says of a group."""

    node: int
    stopped: str | None
    """Why the node takes no turns any more."""
    disk_full: str | None
    """What its disk has no space for."""
    disk_failed: str | None
    """Why else its disk takes no writes at present."""
    lost: str | None
    """Why its replica does not run."""
    born: bool
    """Whether its replica is still to come: the birth is not durable."""
    connected: tuple[int, ...]
    voters: tuple[int, ...] = ()
    """The nodes that vote as the replica knows them; none if it does not run."""
    voters_outgoing: tuple[int, ...] = ()
    replica: ReplicaFacts | None = None
    members: tuple[MemberFacts, ...] = ()
    """The others, if the replica leads."""


def group_facts(host: Host, group: int) -> GroupFacts:
    """What this node knows of a group."""
    node = host.node
    trouble = node.replicas.trouble
    found = GroupFacts(
        node=node.node_id,
        stopped=_words(host.stopped),
        disk_full=_words(trouble if isinstance(trouble, DiskFull) else None),
        disk_failed=_words(None if isinstance(trouble, DiskFull) else trouble),
        lost=_words(node.replicas.lost.get(group)),
        born=node.replicas.expects(group),
        connected=tuple(host.connected()),
    )
    newborn = node.replicas.newborns.get(group)
    if newborn is not None:
        nodes = tuple(one for _, one in newborn.peers)
        return found._replace(born=False, voters=nodes, replica=_newborn_facts(newborn))
    replica = node.replicas.running.get(group)
    if replica is None:
        return found
    status = replica.raw.status()
    return found._replace(
        voters=_nodes(replica, status.conf_state.voters),
        voters_outgoing=_nodes(replica, status.conf_state.voters_outgoing),
        replica=_replica_facts(node, replica, status),
        members=_member_facts(replica, status),
    )


def _replica_facts(node: Node, replica: Replica, status: Status) -> ReplicaFacts:
    raft, basic = replica.raw.raft, status.basic
    term, commit = basic.hard_state.term, basic.hard_state.commit
    return ReplicaFacts(
        role=basic.soft_state.role.name,
        term=term,
        leader=replica.leader_node,
        commit=commit,
        applied=replica.applied.index,
        last=raft.log.last_index(),
        unstable=len(raft.log.unstable.entries),
        queued=len(replica.proposals.queued),
        waiting=len(replica.proposals),
        reads=len(replica.reads),
        commits_own_term=raft.log.term(commit) == term,
        log_full=raft.uncommitted_size >= node.config.uncommitted_bytes,
        installing=replica.installing is not None,
        transferee=replica.nodes.get(basic.lead_transferee),
        apply_stopped=_words(replica.quarantine),
        log_uncut=_words(replica.outgrown),
    )


def _newborn_facts(newborn: Newborn) -> ReplicaFacts:
    """In its first election, as it would be told of a whole replica: who has won it leads in a moment."""
    campaigns = newborn.stage in {Stage.CANDIDATE, Stage.LEADER}
    return ReplicaFacts(
        role=(Role.CANDIDATE if campaigns else Role.FOLLOWER).name,
        term=0 if newborn.stage is Stage.NEW else TERM,
        leader=None if campaigns else dict(newborn.peers).get(newborn.lead),
        commit=BIRTH_POINT[0],
        applied=BIRTH_POINT[0],
        last=BIRTH_POINT[0],
        unstable=newborn.in_flight,
        queued=0,
        waiting=0,
        reads=0,
        commits_own_term=False,
        log_full=False,
        installing=False,
        transferee=None,
        apply_stopped=None,
        log_uncut=None,
    )


def _member_facts(replica: Replica, status: Status) -> tuple[MemberFacts, ...]:
    others = [(id_, one) for id_, one in status.progress.items() if id_ != replica.replica_id]
    return tuple(_member(replica.nodes[id_], one) for id_, one in others if id_ in replica.nodes)


def _member(node: int, one: ProgressStatus) -> MemberFacts:
    return MemberFacts(
        node=node,
        state=one.state.name,
        match=one.match,
        paused=one.paused,
        inflight=one.inflight,
        window_full=one.inflight_full,
        pending_snapshot=one.pending_snapshot,
        recent_active=one.recent_active,
    )


def _nodes(replica: Replica, members: Sequence[int]) -> tuple[int, ...]:
    return tuple(replica.nodes[one] for one in members if one in replica.nodes)


def _words(error: Error | None) -> str | None:
    return None if error is None else cut_text(str(error))


# -- as they travel ----------------------------------------------------------------------------------


def encode_facts(facts: GroupFacts) -> str:
    """For a reply between nodes."""
    plain = facts._asdict()
    plain["replica"] = None if facts.replica is None else facts.replica._asdict()
    plain["members"] = [one._asdict() for one in facts.members]
    return json.dumps(plain)


def decode_facts(fields: Sequence[Scalar], node: int) -> GroupFacts:
    """What ``node`` has said. Raises `Malformed`."""
    found = json_object(fields)
    replica = found.get("replica")
    lists: dict[str, object] = {name: _nodes_in(found.get(name)) for name in NODE_LISTS}
    lists["members"] = tuple(_read(MemberFacts, one) for one in _list_in(found.get("members")))
    lists["replica"] = None if replica is None else _read(ReplicaFacts, replica)
    facts = _read(GroupFacts, found, lists)
    if facts.node != node:
        raise Malformed(f"node {node} speaks for node {facts.node}")
    return facts


def _read(kind: type[T], found: object, read: Mapping[str, object] = NOTHING) -> T:
    """A named tuple from a JSON object of scalars; the fields in ``read`` are taken from there."""
    if not isinstance(found, dict):
        raise Malformed(f"{kind.__name__}: this is no JSON object")
    values = {}
    for name, hint in get_type_hints(kind).items():
        value = values[name] = read[name] if name in read else found.get(name)
        if name not in read and not isinstance(value, hint):
            raise Malformed(f"{kind.__name__}: {name} makes no sense")
        if isinstance(value, str):
            values[name] = cut_text(value)
    return kind(**values)


def _nodes_in(found: object) -> tuple[int, ...]:
    nodes = tuple(_list_in(found))
    if any(type(node) is not int for node in nodes):
        raise Malformed("a list of nodes holds something else")
    return nodes


def _list_in(found: object) -> list[Any]:
    if not isinstance(found, list) or len(found) > MEMBERS_MAX:
        raise Malformed(f"a list of nodes is none, or has more than {MEMBERS_MAX} items")
    return found
