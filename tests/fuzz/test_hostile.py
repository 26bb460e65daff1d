"""What costs the reader more than the writer: bounded time and memory, for every format that Python decodes.

The inputs are short here; ``python -m tests.fuzz --target hostile`` takes them as long as each format allows.
"""

import pytest

from tests.fuzz import hostile
from tests.fuzz.targets_python import KIB, PYTHON_TARGETS, PythonTarget

SHORT = 128 * KIB


@pytest.mark.parametrize("target", PYTHON_TARGETS.values(), ids=PYTHON_TARGETS)
def test_memory_and_time_stay_in_proportion_to_the_input(target: PythonTarget):
    too_much = hostile.violations(target, min(target.limit, SHORT))
    assert not too_much, "\n".join(too_much)


def test_what_costs_too_much_is_seen():
    def greedy(data: bytes):
        return [bytearray(100) for _ in data]

    target = PythonTarget("greedy", greedy, list, KIB)
    assert hostile.violations(target._replace(base=0), KIB)


def test_what_takes_too_long_is_seen():
    def quadratic(data: bytes):
        return [sum(data[:end]) for end in range(len(data))]

    allowed = 0.1 + hostile.SECONDS_PER_BYTE * 12 * KIB
    assert hostile.cost(quadratic, bytes(12 * KIB), allowed).seconds > allowed
