"""Makes a failing run small: leaves faults and operations out as long as it still fails."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from .plan import Plan
from .run import Failure, simulate


@dataclass
class Shrunk:
    """What is left of a run."""

    plan: Plan
    faults: set[int]
    """Numbers of the faults that it does without."""
    steps: set[int]
    """Numbers of the operations, likewise."""
    violation: Failure
    was: Failure
    """What the whole run failed with: the same checker's words, perhaps of another place."""
    runs: int = 1
    """Made so far."""


Tell = Callable[[Shrunk], None]


def shrink(plan: Plan, tell: Tell) -> Shrunk | None:
    """The smallest run found; None if the plan does not fail at all. ``tell`` hears of every run made.

    First whole kinds of faults go, then halves, quarters and so on of what is left. A run counts as failing
    if the same checker objects: another violation may be another bug.
    """
    violation = simulate(plan).violation
    if violation is None:
        return None
    shrunk = Shrunk(plan, set(), set(), violation, was=violation)
    tell(shrunk)
    for kind in sorted({fault.kind for fault in plan.faults}):
        _try(shrunk, plan, {fault.number for fault in plan.faults if fault.kind == kind}, set(), tell)
    _halve(shrunk, plan, [fault.number for fault in plan.faults], shrunk.faults, tell)
    _halve(shrunk, plan, [step.number for step in plan.steps], shrunk.steps, tell)
    return shrunk


def _halve(shrunk: Shrunk, plan: Plan, numbers: list[int], gone: set[int], tell: Tell) -> None:
    """Leave pieces out, from large ones to single ones."""
    size = max(1, len(numbers) // 2)
    while True:
        left = [number for number in numbers if number not in gone]
        for start in range(0, len(left), size):
            piece = set(left[start : start + size])
            if gone is shrunk.faults:
                _try(shrunk, plan, piece, set(), tell)
            else:
                _try(shrunk, plan, set(), piece, tell)
        if size == 1:
            return
        size = max(1, size // 2)


def _try(shrunk: Shrunk, plan: Plan, faults: Collection[int], steps: Collection[int], tell: Tell) -> None:
    """Keep these out if it fails without them."""
    smaller = plan.without(shrunk.faults | set(faults), shrunk.steps | set(steps))
    if len(smaller.faults) + len(smaller.steps) == len(shrunk.plan.faults) + len(shrunk.plan.steps):
        return
    violation = simulate(smaller).violation
    shrunk.runs += 1
    if violation is not None and violation.kind == shrunk.was.kind:
        shrunk.plan, shrunk.violation = smaller, violation
        shrunk.faults.update(faults)
        shrunk.steps.update(steps)
    tell(shrunk)


def spans(numbers: Iterable[int]) -> str:
    """Numbers as ``1,4-7``."""
    pieces: list[list[int]] = []
    for number in sorted(numbers):
        if pieces and pieces[-1][1] == number - 1:
            pieces[-1][1] = number
        else:
            pieces.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in pieces)


def unspans(text: str) -> set[int]:
    """The numbers that :func:`spans` wrote."""
    numbers: set[int] = set()
    for piece in filter(None, text.split(",")):
        first, _, last = piece.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers
