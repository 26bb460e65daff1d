"""What a seed stands for: a cluster, its settings, every fault and every operation, drawn before it begins.

Because all of it is drawn first, single faults and operations can be left out and the rest stays as it was:
that is what shrinking a failure rests on.
"""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Final

from multiraft.engine.config import MIB, EngineConfig
from multiraft.engine.transport.tcp import TcpOptions

from .checkers.base import Kind

MANY_GROUPS: Final = 64
MANY_GROUPS_SHARE: Final = 0.06
"""How many of the seeds have so many groups."""

LASTING: Final = ("cut", "deaf", "mute", "alone")
"""Partitions that stay: two nodes do not reach each other, or one is deaf, or mute, or both."""
LASTING_SHARE: Final = 0.15

FAULTS: Final[dict[str, float]] = {
    # kind: how often it is drawn, compared with the others
    "crash": 3.0,
    "power": 2.0,
    "trap": 3.0,
    "close": 1.0,
    "blackout": 0.4,
    "away": 0.7,
    "pause": 2.0,
    "late": 2.0,
    "clock": 1.0,
    "isolate": 2.0,
    "one way": 2.0,
    "cut": 2.0,
    "split": 1.0,
    "strand": 2.0,
    "reset": 2.0,
    "slow link": 1.5,
    "delay": 1.5,
    "lossy": 1.5,
    "corrupt": 1.5,
    "echo": 1.0,
    "forge": 0.7,
    "old map": 1.0,
    "slow disk": 1.5,
    "stall": 1.0,
    "broken disk": 1.0,
    "full disk": 1.0,
    "flip": 0.4,
    "wipe": 0.25,
    "copy": 0.5,
}
"""Every kind of fault; :mod:`.faults` has one method for each."""

POISONS: Final = ("sicken", "poison")
"""State machines that raise, drawn apart: one replica's, or all of a group at the same command."""
POISONED_SHARE: Final = 0.1
"""How many of the seeds have them."""

STATE_LOSSES: Final = ("lose state", "age state", "damage state")
"""What happens to state stores, drawn apart as well; all of it to one node."""
STATE_LOSS_SHARE: Final = 0.12

HUSHED_SHARE: Final = 0.15

LEISURELY_SHARE: Final = 0.2
"""How many of the seeds have machines that apply outside the turn, if they live in memory."""

DELETING_SHARE: Final = 0.3
"""How many of the seeds delete ranges."""

OPERATIONS: Final[dict[Kind, float]] = {
    Kind.PUT: 45,
    Kind.GET: 20,
    Kind.DELETE: 5,
    Kind.CAS: 15,
    Kind.BATCH: 6,
    Kind.SCAN: 5,
    Kind.STALE_GET: 4,
    Kind.CREATE_RANGES: 3,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: when it begins, how long it lasts, and numbers in [0, 1) that say whom it hits."""

    number: int
    at: float
    kind: str
    lasts: float
    luck: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One operation that a client will ask for; what depends on the moment is decided by ``luck``."""

    number: int
    client: int
    at: float
    kind: Kind
    timeout: float
    luck: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run. Times are seconds since the cluster has come together (or since its start)."""

    seed: int
    nodes: int
    groups: int
    """Ranges that exist when all is said and done, without the system group."""
    at_first: int
    """Of these, the ones that are created before anything goes wrong."""
    seconds: float
    hot: bool
    """Whether faults begin before the cluster has come together."""
    clients: int
    remote: int
    """How many of the clients come over the network."""
    keys: int
    """Keys per range that are used."""
    config: EngineConfig = field(repr=False)
    options: TcpOptions = field(repr=False)
    hushed: bool
    """Whether no word that a group does not rest ever arrives."""
    leisure: float
    """Seconds that a machine in memory takes at most for what it is given; 0: it applies within the turn."""
    log_slack: int
    """Garbage that a log may hold before it is collected."""
    pass_cost: float
    """Seconds that a process takes for one pass of its loop: if slow, more comes together in a turn."""
    tear_share: float
    lasting: tuple[str, float] | None
    """The partition that stays for a while when all else is whole again: its kind, and whom it hits."""
    kinds: tuple[str, ...]
    """The kinds of faults that this run has."""
    faults: tuple[Fault, ...] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)

    def without(self, faults: Collection[int] = (), steps: Collection[int] = ()) -> "Plan":
        """The same without these faults and operations."""
        return replace(
            self,
            faults=tuple(one for one in self.faults if one.number not in faults),
            steps=tuple(one for one in self.steps if one.number not in steps),
        )


def draw(seed: int, nodes: int | None = None, groups: int | None = None) -> Plan:
    """The run that a seed stands for; the number of nodes or groups can be given instead of drawn."""
    source = random.Random(f"plan {seed}")
    drawn_nodes = source.choices((3, 4, 5, 6, 7), (14, 3, 2, 1, 1))[0]
    drawn_groups = _draw_groups(source)
    nodes, groups = nodes or drawn_nodes, groups or drawn_groups
    seconds = source.uniform(4, 9)
    clients = source.randint(6, 8)
    kinds = _draw_kinds(source)
    poisons = _draw_poisons(seed, seconds)
    lossless = not {"flip", "wipe", "copy"} & set(kinds)
    return Plan(
        seed=seed,
        nodes=nodes,
        groups=groups,
        at_first=source.choice((groups, groups, max(1, groups // 2), 0)),
        seconds=seconds,
        hot=source.random() < 0.15 and lossless,
        clients=clients,
        remote=source.choice((0, 0, 1, clients // 2)),
        keys=source.choice((1, 2, 3)),
        config=replace(
            _draw_config(source),
            memtable_bytes=_draw_memtable(seed),
            rest_after_beats=_draw_rest(seed),
            elections_in_flight=random.Random(f"elections {seed}").choice((4, 128, 128)),
            **_draw_snapshots(seed),
        ),
        hushed=random.Random(f"hush {seed}").random() < HUSHED_SHARE,
        leisure=_draw_leisure(seed),
        options=_draw_options(source),
        log_slack=source.choice((2_000, 50_000, 8 << 20)),
        pass_cost=source.choice((0.0002, 0.001, 0.003)),
        tear_share=0.1 if lossless and source.random() < 0.1 else 0.0,
        lasting=_draw_lasting(source),
        kinds=kinds,
        faults=_draw_faults(source, kinds, seconds)
        + poisons
        + (_draw_state_losses(seed, seconds) if nodes > 1 else ()),  # of a node alone nobody has the state
        steps=_with_deletions(seed, _draw_steps(source, clients, seconds, groups), poisoned=bool(poisons)),
    )


def _draw_lasting(source: random.Random) -> tuple[str, float] | None:
    kind, luck = source.choice(LASTING), source.random()
    return (kind, luck) if source.random() < LASTING_SHARE else None


def _draw_leisure(seed: int) -> float:
    source = random.Random(f"leisure {seed}")
    return source.choice((0.005, 0.02, 0.1)) if source.random() < LEISURELY_SHARE else 0.0


def _draw_groups(source: random.Random) -> int:
    if source.random() < MANY_GROUPS_SHARE:
        return MANY_GROUPS
    return source.choice((1, 2, 3, 4, 4, 6, 8, 12))


def _draw_kinds(source: random.Random) -> tuple[str, ...]:
    """Every run has some kinds only: all at once leave too little time between them."""
    share = source.choice((0.15, 0.3, 0.5))
    kinds = [kind for kind in FAULTS if source.random() < share]
    return tuple(kinds or [source.choice(list(FAULTS))])


def _draw_faults(source: random.Random, kinds: tuple[str, ...], seconds: float) -> tuple[Fault, ...]:
    count = source.choice((6, 10, 16, 24))
    weights = [FAULTS[kind] for kind in kinds]
    times = sorted(source.uniform(0, seconds) for _ in range(count))
    return tuple(
        Fault(
            number,
            at,
            source.choices(kinds, weights)[0],
            min(source.expovariate(1 / 1.2) + 0.05, 6.0),
            tuple(source.random() for _ in range(4)),
        )
        for number, at in enumerate(times)
    )


def _draw_poisons(seed: int, seconds: float) -> tuple[Fault, ...]:
    """Numbered apart from the other faults, and like them in the order of time."""
    source = random.Random(f"poison {seed}")
    if source.random() >= POISONED_SHARE:
        return ()
    times = sorted(source.uniform(0, seconds) for _ in range(source.choice((1, 2, 4))))
    weights = (3, 1)
    return tuple(
        Fault(number, at, source.choices(POISONS, weights)[0], 0.0, tuple(source.random() for _ in range(4)))
        for number, at in enumerate(times, 1000)
    )


def _draw_state_losses(seed: int, seconds: float) -> tuple[Fault, ...]:
    """As the poisons."""
    source = random.Random(f"state {seed}")
    if source.random() >= STATE_LOSS_SHARE:
        return ()
    victim = source.random()
    times = sorted(source.uniform(0, seconds) for _ in range(source.choice((1, 2, 4))))
    return tuple(
        Fault(
            number,
            at,
            source.choice(STATE_LOSSES),
            source.uniform(0.05, 2.0),
            (victim, 1.0, source.random(), source.random()),
        )
        for number, at in enumerate(times, 2000)
    )


def _draw_steps(source: random.Random, clients: int, seconds: float, groups: int) -> tuple[Step, ...]:
    count = source.randint(225, 435)
    kinds, weights = list(OPERATIONS), list(OPERATIONS.values())
    bursts = [source.uniform(0, seconds) for _ in range(source.choice((count, count // 4, count // 8)))]
    times = sorted(source.choice(bursts) + source.uniform(0, 0.002) for _ in range(count))
    patience = source.choice((0.3, 0.8, 2.0))
    return tuple(
        Step(
            number,
            source.randrange(clients),
            at,
            source.choices(kinds, weights)[0],
            patience * source.uniform(0.5, 1.5),
            tuple(source.random() for _ in range(4)),
        )
        for number, at in enumerate(times)
    )


def _with_deletions(seed: int, steps: tuple[Step, ...], *, poisoned: bool) -> tuple[Step, ...]:
    """Drawn apart: some of the creations delete instead. A group that cannot apply cannot retire either."""
    source = random.Random(f"deletion {seed}")
    if poisoned or source.random() >= DELETING_SHARE:
        return steps
    share = source.choice((0.3, 0.7))
    return tuple(
        replace(step, kind=Kind.DELETE_RANGES)
        if step.kind is Kind.CREATE_RANGES and source.random() < share
        else step
        for step in steps
    )


def _draw_config(source: random.Random) -> EngineConfig:
    """Small limits, so that each of them is met."""
    append = source.choice((64, 300, MIB, MIB))
    return EngineConfig(
        tick_ms=100,
        beat_ms=source.choice((200, 400, 400)),
        election_timeout_ms=source.choice((500, 1000)),
        append_bytes=append,
        inflight_messages=source.choice((1, 2, 256)),
        inflight_bytes=source.choice((append, 4 * MIB)),
        uncommitted_bytes=source.choice((300, 16 * MIB, 16 * MIB)),
        apply_bytes=source.choice((50, 4 * MIB)),
        log_keep_bytes=source.choice((200, 4 * MIB)),
        log_keep_entries=source.choice((1, 2, 5, 1000)),
        flush_ms=source.choice((50, 200, 1000)),
        batches_in_flight=source.choice((1, 2, 4)),
        parked_bytes=source.choice((1000, 16 * MIB)),
        parked_ms=source.choice((300, 5000)),
        snapshot_ms=source.choice((1000, 4000)),
        request_bytes=source.choice((500, 256 * MIB, 256 * MIB, 256 * MIB)),
        operation_timeout_ms=2000,
        state_machine=source.choice(("lmdb", "lmdb", "memory")),
    )


def _draw_memtable(seed: int) -> int:
    """Drawn apart: with little of it, applying often has to wait."""
    return random.Random(f"memtable {seed}").choice((500, 64 * MIB, 64 * MIB))


def _draw_rest(seed: int) -> int:
    """Drawn apart: with one beat, groups rest between two operations."""
    return random.Random(f"rest {seed}").choice((1, 1, 2, 6))


def _draw_options(source: random.Random) -> TcpOptions:
    return TcpOptions(
        peer_queue_bytes=source.choice((4096, 64 * 1024, 32 * MIB, 32 * MIB)),
        hello_s=source.choice((1.0, 5.0)),
        quiet_rounds=source.choice((2, 4, 10)),
    )


def _draw_snapshots(seed: int) -> dict[str, int]:
    """How snapshots travel: whole, or in so many chunks that a break finds them anywhere."""
    source = random.Random(f"snapshots {seed}")
    return {
        "snapshot_chunk_bytes": source.choice((1, 40, 200, 256 * 1024)),
        "snapshot_bytes_per_second": source.choice((2_000, 64 * MIB, 64 * MIB)),
        "snapshots_in": source.choice((1, 2)),
        "snapshots_out": source.choice((1, 2)),
    }


Chooser = Callable[[float], int]


def pick(choices: Collection, luck: float):
    """One of them, by a number in [0, 1)."""
    ordered = list(choices)
    return ordered[int(luck * len(ordered))]
