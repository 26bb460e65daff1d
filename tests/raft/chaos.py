"""A whole group under faults, driven by one seed: the network, the faults, and what clients ask for.

Messages are lost, doubled, delayed and reordered, links are cut, one way or both; replicas crash at any
moment, also between a write and what follows it, and come back with what was flushed and nothing else.
Members come and go; who was removed does not come back, its place is taken under an id never used before.
"""

import random
from collections.abc import Callable

from multiraft.raft import (
    Change,
    ChangeType,
    CommitNotice,
    ConfChange,
    ConfState,
    EntryId,
    FullWindow,
    Message,
    MsgType,
    ReadOnly,
    Ready,
    Role,
    Transition,
)
from tests.raft.host import Disk, Host
from tests.raft.judge import Judge

VOTE_REQUESTS = (MsgType.VOTE, MsgType.PRE_VOTE)
UNDER_WAY_MAX = 300
DISTURBANCES = {
    "heal": 0.12,
    "cut off": 0.1,
    "cut a link": 0.1,
    "part": 0.1,
    "fork": 0.15,
    "restart": 0.2,
    "checkpoint": 0.2,
    "rest": 0.05,
    "force election": 0.05,
    "campaign": 0.1,
    "transfer": 0.1,
    "forget": 0.03,
    "unreachable": 0.03,
    "snapshot report": 0.03,
}
"""What happens besides lost messages and crashes during a write, and how often."""


class Chaos:
    """The group, its network and its faults, all from one seed.

    `members` begin the group, `strangers` wait, with empty disks, to be added to it.
    """

    def __init__(self, seed: int, *, members: int = 3, strangers: int = 0, **settings: object) -> None:
        self.random = random.Random(seed)
        self.is_async = bool(settings.get("async_storage_writes"))
        self.has_leases = settings.get("read_only") is ReadOnly.LEASE_BASED
        conf = ConfState(tuple(range(1, members + 1)))
        self.hosts: dict[int, Host] = {}
        self.judge = Judge(self.hosts, conf)
        for id_ in range(1, members + strangers + 1):
            self.hosts[id_] = Host(id_, settings, Disk(conf if id_ <= members else None), self.judge)
        self.network: list[tuple[int, Message | CommitNotice]] = []
        self.cut: set[tuple[int, int]] = set()
        self.stopped: set[int] = set()
        self.faults = True
        # Swarm testing: each seed has faults of its own, so that rare ones are not drowned in frequent ones.
        self.loss, self.doubling, self.crashing = (self.random.choice((0, 0.01, 0.1)) for _ in range(3))
        self.crashing /= 10
        self.disturbances = [weight * self.random.choice((0, 1, 1, 3)) for weight in DISTURBANCES.values()]
        self.disturbances[0] += 0.01
        self.wishes = [weight * self.random.choice((1, 1, 3)) for weight in (0.65, 0.2, 0.15)]
        self.patience = self.random.choice((0.9, 0.5, 0.1))
        self.proposed = 0
        self.reads: dict[bytes, int] = {}
        self.reads_answered = 0

    # -- one step -----------------------------------------------------------------------------------------

    def step(self) -> None:
        """Do one thing, drawn by chance, and judge it."""
        running = [host for id_, host in self.hosts.items() if id_ not in self.stopped]
        host = self.random.choice(running)
        draw = self.random.random()
        if not self.faults and draw > 0.8:
            draw -= 0.7  # time passes more slowly, so that everything under way gets done
        if draw < 0.38 and self.network:
            self._deliver()
        elif draw < 0.54:
            host = self._one_of([host for host in running if host.raw.has_ready()], host)
            self._take_ready(host)
        elif draw < 0.78 and self.is_async:
            host = self._one_of([host for host in running if host.writing or host.applying], host)
            self._finish_work(host)
        elif draw < 0.91:
            host.do("tick")
        elif draw < 0.97 and self.faults:
            self._ask(self._leader_or(host))
        elif self.faults:
            self._disturb(self._leader_or(host))
        if host.raw.has_ready() and not self.is_async:
            self._take_ready(host)
        self.judge.rests(host)

    def _one_of(self, busy: list[Host], otherwise: Host) -> Host:
        return self.random.choice(busy) if busy else otherwise

    def _leader_or(self, host: Host) -> Host:
        """Now and then one that believes to lead: what happens to leaders is what matters most."""
        leaders = [host for host in self.hosts.values() if _leads(host)]
        return self._one_of(leaders, host) if self.random.random() < 0.5 else host

    # -- the network --------------------------------------------------------------------------------------

    def _send(self, host: Host, *messages: Message | CommitNotice) -> None:
        for m in messages:
            if isinstance(m, Message):
                self.judge.sent(host, m)
            self.network.append((host.id, m))
        while len(self.network) > UNDER_WAY_MAX:  # as a queue would that is full
            self._report(*self.network.pop(0), is_lost=True)

    def _report(self, sender: int, m: Message | CommitNotice, *, is_lost: bool) -> None:
        if isinstance(m, Message) and m.type is MsgType.SNAP:
            self.hosts[sender].do("report_snapshot", m.to, ok=not is_lost)

    def _deliver(self) -> None:
        if not self.network:
            return
        reach = 1 if not self.faults else 40 if self.random.random() < 0.9 else len(self.network)
        sender, m = self.network.pop(self.random.randrange(min(len(self.network), reach)))
        fault = self.random.random() if self.faults else 0.5
        is_gone = m.to in self.stopped or m.to not in self.hosts
        is_lost = is_gone or fault < self.loss or (sender, m.to) in self.cut
        self._report(sender, m, is_lost=is_lost)
        if is_lost:
            return
        if fault > 1.0 - self.doubling:
            self.network.append((sender, m))
        host = self.hosts[m.to]
        if isinstance(m, Message):
            host.step(m)
        else:
            host.do("step_commit_notice", sender, m.term, m.commit)
        self.judge.rests(host)

    # -- the host's work ----------------------------------------------------------------------------------

    def _take_ready(self, host: Host) -> None:
        if not host.raw.has_ready():
            return
        ready = host.raw.ready()
        self.judge.observe(host)
        self.judge.appends(host.raw.raft, ready.entries)
        self._send(host, *(m for m in ready.messages if m.type not in VOTE_REQUESTS))
        self._send(host, *ready.commit_notices)
        for state in ready.read_states:
            self.reads_answered += 1
            if not self.has_leases:  # ticks by chance are no clocks that a lease could rely on
                self.judge.reads(host, state.index, self.reads[state.context])
        host.writing.append(ready)
        if ready.committed_entries:
            host.applying.append(ready.committed_entries)
        if not self.is_async:
            self._finish_work(host)

    def _finish_work(self, host: Host) -> None:
        """The disk gets one batch done, or the state machine one run of entries."""
        if not self.is_async:
            for ready in list(host.writing):
                self._write(host, ready)
            host.writing.clear()
        elif host.writing and (not host.applying or self.random.random() < 0.6):
            self._write(host, host.writing.pop(0))
        elif host.applying:
            entries = host.applying.pop(0)
            host.apply(entries)
            host.do("acknowledge_apply", entries)

    def _write(self, host: Host, ready: Ready) -> None:
        """Write a batch and do what is due then; the host may crash before, between and after."""
        if self._crashes(host):
            return
        host.write(ready)
        if self._crashes(host):
            return
        # A careful host lets vote requests wait: the reference hands them out at once.
        self._send(host, *(m for m in ready.messages if m.type in VOTE_REQUESTS))
        for m in ready.messages_after_append:
            if m.to != host.id:
                self._send(host, m)
                continue
            if m.type in (MsgType.VOTE_RESP, MsgType.APP_RESP):
                self.judge.sent(host, m)
            host.step(m)
        if not self.is_async:
            host.applying.clear()
            host.apply(ready.committed_entries)
            if not self._crashes(host):
                host.do("advance")

    def _crashes(self, host: Host) -> bool:
        if not self.faults or self.random.random() >= self.crashing:
            return False
        self._restart(host)
        return True

    def _restart(self, host: Host) -> None:
        host.start()
        self.judge.restarted(host)

    # -- clients ------------------------------------------------------------------------------------------

    def _ask(self, host: Host) -> None:
        [what] = self.random.choices(("propose", "read", "change"), self.wishes)
        if what == "propose":
            self._propose(host)
        elif what == "read":
            context = b"read %d" % len(self.reads)
            self.reads[context] = self.judge.highest_commit
            host.do("read_index", context)
        else:
            change = self._draw_change(host)
            host.do("propose_conf_change", change, v1=self._fits_v1(change))

    def _propose(self, host: Host) -> None:
        datas = []
        for _ in range(self.random.choice((1, 1, 2, 3))):
            self.proposed += 1
            datas.append(b"%d;" % self.proposed * self.random.choice((1, 1, 8)))
        self.judge.offered.update(datas)
        place = host.do("propose_batch", datas)
        if isinstance(place, EntryId):
            for back, data in enumerate(reversed(datas)):
                self.judge.proposes(place.term, place.index - back, data)

    def _fits_v1(self, change: ConfChange) -> bool:
        fits = len(change.changes) == 1 and change.transition is Transition.AUTO
        return fits and self.random.random() < 0.5

    def _draw_change(self, host: Host) -> ConfChange:
        """A change of one to three members; who is added has been no member before, or is one now."""
        tracker = host.raw.raft.tracker
        if tracker.is_joint() and self.random.random() < self.patience:
            return ConfChange()
        newest = self.judge.confs[-1][1]
        present = {*newest.voters, *newest.voters_outgoing, *newest.learners}
        gone = {id_ for _, conf in self.judge.confs for id_ in (*conf.voters, *conf.learners)} - present
        candidates = [id_ for id_ in self.hosts if id_ not in gone]
        changes = []
        for id_ in self.random.sample(candidates, min(len(candidates), self.random.choice((1, 1, 2, 3)))):
            kinds = [ChangeType.ADD_VOTER, ChangeType.ADD_VOTER, ChangeType.ADD_LEARNER, ChangeType.UPDATE]
            if id_ in present and len(present) > 2:
                kinds.append(ChangeType.REMOVE)
            changes.append(Change(self.random.choice(kinds), id_))
        return ConfChange(tuple(changes), self.random.choice(list(Transition)))

    # -- faults -------------------------------------------------------------------------------------------

    def _disturb(self, host: Host) -> None:
        other = self.random.choice([id_ for id_ in self.hosts if id_ != host.id])
        [name] = self.random.choices(list(DISTURBANCES), self.disturbances)
        acts: dict[str, Callable[[], object]] = {
            "heal": self.cut.clear,
            "cut off": lambda: self._cut_off(host.id),
            "cut a link": lambda: self.cut.add((host.id, other)),
            "part": self._part,
            "fork": lambda: self._fork(host),
            "restart": lambda: self._restart(host),
            "checkpoint": lambda: host.checkpoint(self.random),
            "rest": host.rest,
            "force election": lambda: host.do("force_election"),
            "campaign": lambda: host.do("campaign"),
            "transfer": lambda: host.do("transfer_leadership", other),
            "forget": lambda: host.do("forget_leader"),
            "unreachable": lambda: host.do("report_unreachable", other),
            "snapshot report": lambda: host.do("report_snapshot", other, ok=self.random.random() < 0.5),
        }
        acts[name]()

    def _cut_off(self, *ids: int) -> None:
        others = [other for other in self.hosts if other not in ids]
        self.cut |= {pair for id_ in ids for other in others for pair in ((id_, other), (other, id_))}

    def _part(self) -> None:
        self._cut_off(*self.random.sample(list(self.hosts), self.random.randint(1, len(self.hosts) - 1)))

    def _fork(self, host: Host) -> None:
        """Make logs diverge: what is proposed here reaches nobody, and others elect a leader of their own."""
        self._cut_off(host.id)
        for _ in range(self.random.randint(1, 4)):
            self._propose(host)
        rival = self.hosts[self.random.choice([id_ for id_ in self.hosts if id_ != host.id])]
        rival.do("forget_leader")
        rival.do("campaign")

    # -- the end ------------------------------------------------------------------------------------------

    def heal(self, steps: int = 40000) -> None:
        """Stop all faults, and whoever was removed; then everyone must apply the same within `steps`."""
        self.faults = False
        self.cut.clear()
        for _ in range(steps):
            newest = self.judge.confs[-1][1]
            members = {*newest.voters, *newest.voters_outgoing, *newest.learners}
            self.stopped = set(self.hosts) - members
            self.step()
            if self.random.random() < 0.01 and self._converged(members):
                self.judge.logs_match()
                return
        raise AssertionError("no convergence after the network healed")

    def _converged(self, members: set[int]) -> bool:
        leaders = [host for id_, host in self.hosts.items() if id_ in members and _leads(host)]
        if not leaders:
            return False
        leader = max(leaders, key=lambda host: host.raw.raft.term)
        applied = {self.hosts[id_].machine.index for id_ in members}
        return applied == {leader.raw.raft.log.last_index()}


def _leads(host: Host) -> bool:
    return host.raw.raft.role is Role.LEADER


def settings_for(seed: int) -> dict[str, object]:
    """A configuration drawn by the seed, so that many seeds cover the combinations."""
    draw = random.Random(~seed)
    size = draw.choice([None, 0, 50])
    return {
        "election_tick": 10,
        "heartbeat_tick": 2,
        "async_storage_writes": draw.random() < 0.6,
        "pre_vote": draw.random() < 0.5,
        "check_quorum": draw.random() < 0.5,
        "commit_notices": draw.random() < 0.5,
        "max_size_per_msg": size,
        "max_inflight_msgs": draw.choice([1, 3, 256]),
        "max_inflight_bytes": draw.choice([0, 0, 60]) if size is not None else 0,
        "max_committed_size_per_ready": draw.choice([0, 30]),
        "max_uncommitted_size": draw.choice([0, 60]),
        "max_pending_reads": draw.choice([2, 1000]),
        "full_window_on_heartbeat": draw.choice(list(FullWindow)),
        "step_down_on_removal": draw.random() < 0.5,
        "disable_proposal_forwarding": draw.random() < 0.2,
    }
