"""From what the nodes know of a group to the reasons why its requests are not finished: plain functions.

Each reason has a code, of the form in which programs compare it:

- about the group: ``no-leader``, ``no-quorum``;
- about a node: ``silent``, ``unreachable``, ``stopped``, ``disk-full``, ``disk-failed``, ``quarantined``,
  ``apply-stopped``, ``missing``, ``unborn``, ``installing``, ``log-uncut``;
- about a member, as its leader sees it: ``snapshot``, ``probing``, ``window-full``, ``behind``;
- about the leader's work: ``queued``, ``log-full``, ``transfer``, ``writing``, ``uncommitted``, ``applying``,
  ``new-leader``.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from .explanation import REASONS_MAX, Explanation, Reason
from .groupfacts import GroupFacts, MemberFacts, ReplicaFacts

HINDERING: Final = frozenset(
    {
        "unreachable",
        "stopped",
        "disk-full",
        "disk-failed",
        "quarantined",
        "missing",
        "unborn",
        "installing",
        "snapshot",
        "probing",
        "window-full",
    }
)
"""What keeps a member from acknowledging anything: if too many are hindered, the group is."""


def judge(group: int, asked: int, members: Sequence[int], facts: Mapping[int, GroupFacts]) -> Explanation:
    """Explain a group.

    Args:
        group: its id.
        asked: the node that has asked the others.
        members: the nodes that should hold a replica.
        facts: what those nodes have said that answered.
    """
    leader = _leader(facts)
    found = [*_nodes(asked, members, facts, leader)]
    if leader is None or leader.replica is None:
        found.append(_no_leader(facts))
    else:
        found += _members(leader, leader.replica)
        found += _work(leader, leader.replica)
    found += _no_quorum(members, facts, leader, found)
    found.sort(key=lambda reason: not reason.blocks)  # stable: within each half the order is that above
    known = [one.replica for one in facts.values() if one.replica is not None]
    term = max((one.term for one in known), default=0)
    leads = leader.node if leader is not None else _believed(facts)
    return Explanation(group, leads, term, tuple(found[:REASONS_MAX]))


def _leader(facts: Mapping[int, GroupFacts]) -> GroupFacts | None:
    """Who leads: a replica that was cut off may believe it of an older term."""
    leading = [
        (one.replica.term, one)
        for one in facts.values()
        if one.stopped is None and one.replica is not None and one.replica.role == "LEADER"
    ]
    return max(leading, key=lambda pair: pair[0])[1] if leading else None


def _believed(facts: Mapping[int, GroupFacts]) -> int | None:
    """Who leads as the others believe."""
    followers = [one.replica for one in facts.values() if one.stopped is None and one.replica is not None]
    newest = max(followers, key=lambda one: (one.term, one.leader is not None), default=None)
    return None if newest is None else newest.leader


# -- the group ---------------------------------------------------------------------------------------


def _no_leader(facts: Mapping[int, GroupFacts]) -> Reason:
    running = {one.node: one.replica for one in facts.values() if one.replica is not None}
    campaigns = [(node, one.term) for node, one in running.items() if one.role.endswith("CANDIDATE")]
    believed = _believed(facts)
    if campaigns:
        node, term = campaigns[0]
        text = f"Nobody leads: node {node} calls an election in term {term} and has no majority yet."
    elif believed is not None:
        text = f"Node {believed} leads as far as the others know, and does not say so itself."
    else:
        text = "Nobody leads: no election has begun since the last leader was lost."
    return Reason("no-leader", None, True, text)


def _no_quorum(
    members: Sequence[int],
    facts: Mapping[int, GroupFacts],
    leader: GroupFacts | None,
    found: list[Reason],
) -> list[Reason]:
    """Whether too many members are hindered; then what hinders them blocks, which is noted in ``found``."""
    hindered = {reason.node for reason in found if reason.code in HINDERING}
    known = leader or next((one for one in facts.values() if one.voters), None)
    sides = (members,) if known is None else (known.voters, known.voters_outgoing)
    short = [voters for voters in sides if voters and 2 * len(_without(voters, hindered)) <= len(voters)]
    if not short:
        return []
    for at, reason in enumerate(found):
        if reason.code in HINDERING:
            found[at] = reason._replace(blocks=True)
    voters = short[0]
    able, needed = len(_without(voters, hindered)), len(voters) // 2 + 1
    text = f"{able} of {len(voters)} replicas that vote can take part now, and {needed} are needed."
    return [Reason("no-quorum", None, True, text)]


def _without(voters: Sequence[int], hindered: Collection[int | None]) -> list[int]:
    return [node for node in voters if node not in hindered]


# -- each node ---------------------------------------------------------------------------------------


def _nodes(
    asked: int, members: Sequence[int], facts: Mapping[int, GroupFacts], leader: GroupFacts | None
) -> Iterator[Reason]:
    for node in members:
        said = facts.get(node)
        if said is None:
            yield _silent(node, asked, leader)
        else:
            yield from _node(said, leads=said is leader)
            if leader is not None and node not in {leader.node, *leader.connected}:
                text = f"Node {leader.node}, which leads, has no connection to node {node}."
                yield Reason("unreachable", node, False, text)


def _silent(node: int, asked: int, leader: GroupFacts | None) -> Reason:
    if leader is not None and node in leader.connected:
        text = (
            f"Node {node} does not answer node {asked}; node {leader.node}, which leads, is connected to it."
        )
        return Reason("silent", node, False, text)
    return Reason("unreachable", node, False, f"Node {node} is down, or cannot be reached from node {asked}.")


def _node(said: GroupFacts, *, leads: bool) -> Iterator[Reason]:
    node, replica = said.node, said.replica
    if said.disk_full is not None:
        yield Reason("disk-full", node, leads, f"The disk of node {node} is full: {said.disk_full}.")
    if said.disk_failed is not None:
        text = f"The disk of node {node} takes no writes at present: {said.disk_failed}."
        yield Reason("disk-failed", node, leads, text)
    if said.stopped is not None:
        yield Reason("stopped", node, leads, f"Node {node} has stopped: {said.stopped}.")
    if said.lost is not None:
        yield Reason("quarantined", node, False, f"Node {node} has set its replica aside: {said.lost}.")
    elif said.born:
        yield Reason("unborn", node, False, f"The replica on node {node} is not on its disk yet.")
    elif replica is None:
        yield Reason(
            "missing", node, False, f"Node {node} holds no replica: its directory is older, or lost it."
        )
    elif replica.apply_stopped is not None:
        text = f"Node {node} votes and replicates, and applies nothing more: {replica.apply_stopped}."
        yield Reason("apply-stopped", node, leads, text)
    elif replica.installing:
        yield Reason("installing", node, False, f"Node {node} is putting a snapshot in place.")
    elif replica.log_uncut is not None:
        text = f"The log of node {node} cannot be cut, and grows with every write: {replica.log_uncut}."
        yield Reason("log-uncut", node, False, text)


# -- what the leader sees ----------------------------------------------------------------------------


def _members(leader: GroupFacts, replica: ReplicaFacts) -> Iterator[Reason]:
    for member in leader.members:
        held = _held_up(member)
        if held is not None:
            yield held
        if member.match < replica.last:
            text = (
                f"Node {member.node} is {_counted(replica.last - member.match, 'entry', 'entries')} behind: "
                f"it has acknowledged index {member.match} of {replica.last}"
            )
            unheard = ", and has not been heard of lately" if not member.recent_active else ""
            yield Reason("behind", member.node, False, f"{text}{unheard}.")


def _held_up(member: MemberFacts) -> Reason | None:
    node = member.node
    if member.state == "SNAPSHOT":
        text = f"A snapshot of index {member.pending_snapshot} is on its way to node {node}."
        return Reason("snapshot", node, False, text)
    if member.state == "PROBE" and member.paused:
        text = f"Node {node} is probed: it gets nothing more before it says how far its log agrees."
        return Reason("probing", node, False, text)
    if member.window_full:
        text = f"The window of node {node} is full: {member.inflight} appends to it have no answer."
        return Reason("window-full", node, False, text)
    return None


def _work(leader: GroupFacts, replica: ReplicaFacts) -> Iterator[Reason]:
    """What is under way at the leader, in the order in which a proposal passes through it."""
    node = leader.node
    if replica.transferee is not None:
        text = f"Leadership is being handed to node {replica.transferee}: no proposals are taken meanwhile."
        yield Reason("transfer", node, True, text)
    if replica.log_full:
        text = f"The log of node {node} takes no proposals before some of it is committed."
        yield Reason("log-full", node, True, text)
    if replica.queued:
        waiting = _counted(replica.queued, "proposal is", "proposals are")
        yield Reason("queued", node, False, f"{waiting} not in the log of node {node} yet.")
    if replica.unstable:
        waiting = _counted(replica.unstable, "entry is", "entries are")
        yield Reason("writing", node, False, f"{waiting} not on the disk of node {node} yet.")
    if replica.commit < replica.last:
        text = f"No quorum has acknowledged the entries from {replica.commit + 1} to {replica.last} yet."
        yield Reason("uncommitted", None, False, text)
    if replica.applied < replica.commit and replica.apply_stopped is None:
        waiting = _counted(replica.commit - replica.applied, "committed entry is", "committed entries are")
        yield Reason("applying", node, False, f"{waiting} not applied on node {node} yet.")
    if not replica.commits_own_term:
        text = f"Node {node} has committed nothing in its term {replica.term} yet, and so answers no reads."
        yield Reason("new-leader", node, True, text)


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
