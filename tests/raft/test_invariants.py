"""Every assertion of `invariants` notices a state that it forbids; none is there without such a state."""

import ast
import inspect
import re
from collections.abc import Callable, Sequence

import pytest

from multiraft.raft import ConfState, Entry, MemoryStorage, RawNode, invariants
from multiraft.raft.log import RaftLog
from tests.raft.damages import DAMAGES, GOOD, Damage


def failing_line(check: Callable[[], None], words: str) -> int:
    """The line of the assertion that says `words`."""
    with pytest.raises(AssertionError, match=re.escape(words)) as caught:
        check()
    return caught.traceback[-1].lineno + 1


def line_of(damage: Damage) -> int:
    raw = damage.make()
    damage.do(raw.raft)
    return failing_line(lambda: invariants.check(raw), damage.words)


@pytest.mark.parametrize("make", GOOD)
def test_good_states_pass(make: Callable[[], RawNode]):
    raw = make()
    invariants.check(raw)
    invariants.check_whole_log(raw.raft.log)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.words.replace(" ", "-"))
def test_bad_state_is_noticed(damage: Damage):
    line_of(damage)


class Lossy(MemoryStorage):
    """A storage of two entries that serves only the first one, or the wrong ones."""

    served: tuple[Entry, ...] = (Entry(1, 1),)

    def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        return self.served


def whole_log(*served: Entry) -> Callable[[], None]:
    storage = Lossy(ConfState((1,)))
    storage.append([Entry(1, 1), Entry(1, 2)])
    storage.served = served
    log = RaftLog(storage)
    return lambda: invariants.check_whole_log(log)


class Vanishing(MemoryStorage):
    """A storage that is compacted while it is read."""

    def entries(self, low: int, high: int, max_size: int | None) -> Sequence[Entry]:
        self.compact(2)
        return super().entries(low, high, max_size)


def vanishing_log() -> None:
    storage = Vanishing(ConfState((1,)))
    storage.append([Entry(1, 1), Entry(1, 2)])
    invariants.check_whole_log(RaftLog(storage))


WHOLE_LOGS = [
    (whole_log(Entry(1, 1)), "a hole in [1, 2]"),
    (whole_log(Entry(1, 1), Entry(1, 7)), "entry 7 stands at 2"),
    (whole_log(Entry(2, 1), Entry(1, 2)), "term 1 at 2 follows term 2"),
]


@pytest.mark.parametrize(("check", "words"), [*WHOLE_LOGS, (vanishing_log, "a hole in [0, 2]: index 1")])
def test_bad_log_is_noticed(check: Callable[[], None], words: str):
    failing_line(check, words)


def test_every_assertion_has_its_damage():
    """An assertion that nothing can trip would look like a check and be none."""
    tripped = {line_of(damage) for damage in DAMAGES}
    tripped |= {failing_line(check, words) for check, words in WHOLE_LOGS}
    asserts = [
        range(node.lineno, (node.end_lineno or 0) + 1)
        for node in ast.walk(ast.parse(inspect.getsource(invariants)))
        if isinstance(node, ast.Assert)
    ]
    idle = [lines.start for lines in asserts if not tripped & set(lines)]
    assert not idle, f"nothing trips the assertions at lines {idle} of invariants.py"
