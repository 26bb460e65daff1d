"""The twin of the nursery in plain Python: one object for each newborn, one step after the other."""

from dataclasses import dataclass, field

NEW, CANDIDATE, VOTED, LEADER, FOLLOWER = range(5)
FIRST = (1, 2, 0, b"")
"""The entry that opens term 1: term, index, type, data."""


@dataclass
class Said:
    """A message of a frame."""

    group: int
    to: int
    from_: int
    kind: str
    term: int = 1
    log_term: int = 0
    index: int = 0
    commit: int = 0
    reject: bool = False
    entries: tuple = ()


@dataclass
class Newborn:
    group: int
    peers: tuple[tuple[int, int], ...]
    own: int
    """Its replica id."""
    since: int
    stage: int = NEW
    vote: int = 0
    lead: int = 0
    approving: set[int] = field(default_factory=set)
    in_flight: int = 0
    committed: int | None = None
    """The tick since which a quorum has its entry."""

    @property
    def others(self) -> list[int]:
        return [replica for replica, _ in self.peers if replica != self.own]


class NurseryModel:
    def __init__(self, node: int, ticks: int, committed_ticks: int) -> None:
        self.node, self.ticks, self.committed_ticks = node, ticks, committed_ticks
        self.newborns: dict[int, Newborn] = {}
        self.alive: set[int] = set()
        self.moved = 0
        """The tick in which any newborn took a step last."""
        self.sent: dict[int, list[Said]] = {}
        self.writes: list[tuple[int, int, tuple | None, tuple]] = []
        """Group, replica, hard state, entries."""
        self.promises: list[tuple[int, int]] = []
        """Group and stage, one for each write."""
        self.rest: dict[int, tuple[int, int, bool]] = {}
        """Who has left: vote, lead, and whether it leads."""
        self.led: dict[int, set[int]] = {}
        self.followed: dict[int, set[int]] = {}

    # -- who comes and goes

    def take_in(self, group: int, peers: tuple[tuple[int, int], ...], tick: int) -> None:
        own = next(replica for replica, node in peers if node == self.node)
        one = self.newborns[group] = Newborn(group, peers, own, tick)
        self.moved = tick
        if own == peers[0][0]:
            one.stage, one.vote = CANDIDATE, own
            self._write(one, vote=True)

    def late(self, tick: int) -> set[int]:
        return {
            group
            for group, one in self.newborns.items()
            if not one.in_flight
            and (
                self._too_long(one, one.since, self.ticks, 4 * self.ticks, tick)
                or self._too_long(one, one.committed, self.committed_ticks, self.ticks, tick)
            )
        }

    def _too_long(self, one: Newborn, since: int | None, ticks: int, most: int, tick: int) -> bool:
        if since is None or tick - since < ticks:
            return False
        awaited = {
            NEW: {one.peers[0][0]},
            VOTED: {one.vote},
            FOLLOWER: {one.lead},
        }.get(one.stage, set(one.others) - one.approving)
        others_move = tick - self.moved < max(ticks, self.ticks // 2)
        return not (
            others_move and tick - since < most and {dict(one.peers)[other] for other in awaited} & self.alive
        )

    # -- what becomes durable

    def _write(self, one: Newborn, *, vote: bool = False, entry: bool = False) -> None:
        hard_state = (1, one.vote, 1) if vote else None
        self.writes.append((one.group, one.own, hard_state, (FIRST,) if entry else ()))
        self.promises.append((one.group, one.stage))
        one.in_flight += 1

    def durable(self, promises: list[tuple[int, int]], tick: int) -> None:
        for group, stage in promises:
            one = self.newborns[group]
            one.in_flight -= 1
            one.since = self.moved = tick
            if stage == CANDIDATE:
                for other in one.others:
                    self._send(one, other, "vote", log_term=1, index=1)
                self._take_vote(one, one.own, tick)
            elif stage == VOTED:
                self._send(one, one.vote, "vote_resp")
            elif stage == LEADER:
                self._take_acknowledgement(one, one.own, tick)
            else:
                self._send(one, one.lead, "append_resp", index=2)

    # -- what comes in

    def step(self, said: Said, node: int, tick: int) -> bool:
        """Whether the message is taken, or lost on the way; else it is for a whole replica."""
        one = self.newborns[said.group]
        if said.kind in {"wake", "unknown"}:
            return True
        known = (said.from_, node) in one.peers and said.to == one.own
        calm = known and said.term == 1 and not said.reject and self._hear(one, said, tick)
        return calm or one.in_flight > 0

    def _hear(self, one: Newborn, said: Said, tick: int) -> bool:
        at_birth = (said.index, said.log_term) == (1, 1)
        opens_term = at_birth and said.commit <= 1 and said.entries == (FIRST,)
        calm = {
            "vote": one.stage == NEW and at_birth,
            "append": one.stage in {NEW, VOTED} and opens_term,
            "vote_resp": one.stage in {CANDIDATE, LEADER},
            "append_resp": one.stage == LEADER and said.index == 2,
            "rest": True,
        }.get(said.kind, False)
        if not calm:
            return False
        if said.kind == "vote":
            one.stage, one.vote, one.since = VOTED, said.from_, tick
            self.moved = tick
            self._write(one, vote=True)
        elif said.kind == "append":
            enters = one.stage == NEW
            one.stage, one.lead, one.since = FOLLOWER, said.from_, tick
            self.moved = tick
            self._write(one, vote=enters, entry=True)
        elif said.kind == "vote_resp":
            self._take_vote(one, said.from_, tick)
        elif said.kind == "append_resp":
            self._take_acknowledgement(one, said.from_, tick)
        elif one.stage == FOLLOWER and (said.from_, said.commit) == (one.lead, 2) and not one.in_flight:
            self._leave(one)
        return True

    def _take_vote(self, one: Newborn, from_: int, tick: int) -> None:
        if one.stage != CANDIDATE:
            return
        one.approving.add(from_)
        self.moved = tick
        if 2 * len(one.approving) > len(one.peers):
            one.stage, one.lead, one.since, one.approving = LEADER, one.own, tick, set()
            for other in one.others:
                self._send(one, other, "append", log_term=1, index=1, commit=1, entries=(FIRST,))
            self._write(one, entry=True)

    def _take_acknowledgement(self, one: Newborn, from_: int, tick: int) -> None:
        one.approving.add(from_)
        self.moved = tick
        if len(one.approving) == len(one.peers):
            for other in one.others:
                self._send(one, other, "rest", commit=2)
            self._leave(one)
        elif 2 * len(one.approving) > len(one.peers) and one.committed is None:
            one.committed = tick

    def _leave(self, one: Newborn) -> None:
        del self.newborns[one.group]
        leads = one.lead == one.own
        self.rest[one.group] = one.vote, one.lead, leads
        nodes = dict(one.peers)
        for replica in one.others if leads else [one.lead]:
            (self.led if leads else self.followed).setdefault(nodes[replica], set()).add(one.group)

    def _send(self, one: Newborn, to: int, kind: str, **fields: object) -> None:
        self.sent.setdefault(dict(one.peers)[to], []).append(Said(one.group, to, one.own, kind, **fields))
