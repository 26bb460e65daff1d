"""A log of several runs, the newest of which stand in its row and the others in an array."""

import pytest

from multiraft.native.logindex import LogIndex
from tests.native.test_logindex import ModelLog, Write, check, copied, opened


def log_of_runs(count: int) -> tuple[LogIndex, ModelLog]:
    """An index of one log, group 7, with `count` entries from 2 on, each in a batch of its own."""
    index, log = LogIndex(), ModelLog()
    for seq in range(1, count + 1):
        index.begin(seq)
        if seq == 1:
            index.bear(7, 1, b"birth")
        write = Write(7, first=seq + 1, terms=[1], hard=(1, 1, seq))
        index.append(opened([write]), 1)
        index.measure(seq, 1, 1000)
        log.take(write)
    return index, log


@pytest.mark.parametrize("count", range(1, 15))
def test_a_log_of_many_runs_is_cut_anywhere_and_undone_whole(count: int):
    """The newest runs stand apart from the older ones: what is taken out may lie on both sides."""
    for entry in range(2, count + 2):
        changes = [
            [Write(7, first=entry, terms=[2])],
            [Write(7, cut=(entry, 1))],
            [
                Write(7, first=count + 2, terms=[1]),
                Write(7, cut=(entry, 1)),
                Write(7, first=entry + 1, terms=[2]),
            ],
        ]
        for writes in changes:
            index, log = log_of_runs(count)
            index.begin(count + 1)
            changed = copied({7: log})
            index.append(opened(writes), len(writes))
            for write in writes:
                changed[7].take(write)
            index.measure(count + 1, 1, 1000)
            check(index, changed)
            index.undo(count + 1)
            check(index, {7: log})
