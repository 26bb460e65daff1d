"""Known bugs, put back into the product for one run: every one of them has to be caught.

A plant is an edit of the source of single functions, made in the memory of the process that tests and taken
back after the run. ``bug-N`` is a bug that another system had; ``rule-…`` takes a rule of the design away. An
edit whose text is not in the product any more raises :class:`Misfit`, and the suite fails.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from multiraft.engine.node import Node
from multiraft.engine.replica import Replica
from multiraft.raft import replication


class Misfit(AssertionError):
    """The product no longer has what a plant edits."""


class Plant(NamedTuple):
    """One bug."""

    name: str
    what: str
    apply: Callable[[], AbstractContextManager[None]]


PLANTS: dict[str, Plant] = {}


def plant(name: str, what: str) -> Callable[[Callable[[], Iterator[None]]], None]:
    """Enter a generator that edits, yields and restores into the list."""

    def enter(patch: Callable[[], Iterator[None]]) -> None:
        PLANTS[name] = Plant(name, what, contextmanager(patch))

    return enter


@contextmanager
def edited(owner: Any, name: str, old: str, new: str) -> Iterator[None]:
    """Have a function of a module or class say ``new`` where its source says ``old``, for a while."""
    original = vars(owner).get(name)
    if not isinstance(original, FunctionType):
        raise Misfit(f"{owner.__name__} has no function {name}")
    source = textwrap.dedent(inspect.getsource(original))
    if source.count(old) != 1:
        raise Misfit(f"{owner.__name__}.{name} says {source.count(old)} times, not once: {old!r}")
    module = compile(source.replace(old, new), f"<plant in {name}>", "exec")
    code = next(one for one in module.co_consts if isinstance(one, CodeType) and one.co_name == name)
    planted = FunctionType(code, original.__globals__, name, original.__defaults__)
    planted.__kwdefaults__ = original.__kwdefaults__
    setattr(owner, name, planted)
    try:
        yield
    finally:
        setattr(owner, name, original)


@plant("bug-1", "entries of earlier terms are committed by counting replicas")
def _commit_by_counting() -> Iterator[None]:
    old = "index <= log.committed or not log.match_term(raft.term, index)"
    with edited(replication, "maybe_commit", old, "index <= log.committed"):
        yield


@plant("bug-3", "term and vote are not made durable")
def _volatile_hard_state() -> Iterator[None]:
    old = "write.hard_state, self._hard_state = self._hard_state, None"
    with edited(Replica, "writes_of", old, "self._hard_state = None"):
        yield


@plant("rule-response-before-durable", "what a batch promises leaves before the batch is durable")
def _promise_early() -> Iterator[None]:
    old = "turn.held.append((replica, held))"
    with edited(Node, "_write", old, "self._delivery.deliver(turn, replica, held)"):
        yield
