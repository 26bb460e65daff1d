"""A run that stands still is a failure with a place, and not a hang."""

import signal

import pytest

from multiraft.shards.leaders import Leaders
from tests.simulation import run
from tests.simulation.endless import Endless, no_longer_than
from tests.simulation.plan import draw
from tests.simulation.run import simulate


def test_code_that_takes_every_exception_for_a_refusal_ends_all_the_same():
    def spin():
        while True:
            try:
                sum(range(10))
            except Exception:  # noqa: BLE001 # what the test is about
                continue

    told: list[Endless] = []
    with pytest.raises(Endless), no_longer_than(0.05, told.append):
        spin()
    assert len(told) == 1


def test_nothing_rings_afterwards():
    before = signal.getsignal(signal.SIGVTALRM)
    with no_longer_than(0.01, pytest.fail):
        pass
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGVTALRM) is before


def test_a_seed_that_stands_still_fails_and_says_where(monkeypatch):
    def spin(*_):
        while True:
            pass

    monkeypatch.setattr(Leaders, "_likely", spin)
    monkeypatch.setattr(run, "LONGEST_S", 0.3)
    violation = simulate(draw(0, nodes=3, groups=2)).violation
    assert violation is not None
    assert violation.kind == "Endless"
    assert "_likely" in violation.where
