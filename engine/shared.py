"""What the replicas of a node have in common."""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .config import EngineConfig
from .statemachine.store import StateStore

if TYPE_CHECKING:
    from .replica import Replica


class Shared(NamedTuple):
    """What all replicas of a node use."""

    state: StateStore
    config: EngineConfig
    seed: random.Random
    rebuilding: "dict[int, Replica]"
    """Those whose state is lost, by group."""
    read_rounds: Iterator[int]
    """A number for each round of reads, of any group: answers to one must never count for another one."""
