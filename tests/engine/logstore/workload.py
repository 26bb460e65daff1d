"""A life of a log store, the same for the same seed: batches, and what is known after each."""

import random

from multiraft.engine.logstore.collection import CollectionPolicy
from multiraft.engine.logstore.port import GroupWrite
from multiraft.raft.state import HardState

from .builders import MEMBERS, appended, born, make_entries
from .model import Model

GROUPS = 5
POLICY = CollectionPolicy(factor=1.5, slack=20_000, batches=3, live_bytes=8_000)
_SIZES = (10, 10, 60, 300, 300, 3_000, 9_000, 70_000)


def life(seed: int, count: int) -> tuple[list[list[GroupWrite]], list[Model]]:
    """`count` batches, and what is known after each number of them."""
    draw = random.Random(seed)
    models = [Model()]
    batches = []
    replicas = dict.fromkeys(range(1, GROUPS + 1), 1)
    for _ in range(count):
        writes = []
        for group in sorted(draw.sample(range(1, GROUPS + 1), draw.randint(1, GROUPS))):
            writes += _writes(draw, models[-1], group, replicas)
        batches.append(writes)
        models.append(models[-1].after(writes))
    return batches, models


def _writes(draw: random.Random, model: Model, group: int, replicas: dict[int, int]) -> list[GroupWrite]:
    known = model.groups.get(group)
    replica = replicas[group]
    if known is None:
        return [born(group, replica)]
    chance = draw.random()
    if chance < 0.03:
        replicas[group] += 1
        return [GroupWrite(group, replica, tombstone=True)]
    if chance < 0.06:
        return [GroupWrite(group, replica, snapshot_point=(known.last + 5, known.last_term, MEMBERS))]
    if chance < 0.2 and known.entries:
        cut = draw.choice(known.entries)
        return [GroupWrite(group, replica, truncate=(cut.index, cut.term))]
    term = known.last_term + (draw.random() < 0.1)
    first = draw.randint(known.first, known.last + 1) if chance < 0.3 else known.last + 1
    entries = make_entries(first, draw.randint(1, 3), term, draw.choice(_SIZES))
    return [appended(group, entries, HardState(term, 1, known.point[0]), replica)]
