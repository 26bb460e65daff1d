"""The Python decoders: valid bytes are read, almost valid ones are read or refused with a typed error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import python_run
from tests.fuzz.corpus import files
from tests.fuzz.targets_python import PYTHON_TARGETS, PythonTarget

TARGETS = pytest.mark.parametrize("target", PYTHON_TARGETS.values(), ids=PYTHON_TARGETS)
RUNS = 3000


@TARGETS
def test_samples_are_read(target: PythonTarget):
    """A check that refuses everything would find nothing."""
    read = [target.check(data) for data in target.samples()]
    assert sum(found is not None for found in read) >= len(read) - (target.name == "row")


@TARGETS
def test_the_corpus_breaks_nothing(target: PythonTarget):
    for file in files(target.name):
        target.check(file.read_bytes())


@TARGETS
def test_what_is_almost_valid_is_read_or_refused(target: PythonTarget):
    """``python -m tests.fuzz --target NAME`` goes on from here."""
    outcome = python_run.fuzz(target, seed=1, runs=RUNS, seconds=None)
    assert outcome.finding is None, f"{outcome.finding!r}\n{outcome.log}"
    assert outcome.inputs == RUNS


@TARGETS
@given(noise=st.binary(max_size=300))
def test_noise_is_refused_or_read(target: PythonTarget, noise: bytes):
    target.check(noise)


def test_what_a_check_raises_is_a_finding():
    def check(data: bytes):
        assert data != data[::-1]

    target = PYTHON_TARGETS["hello"]._replace(check=check)
    outcome = python_run.fuzz(target, seed=1, runs=RUNS, seconds=None)
    assert outcome.finding is not None
    assert outcome.finding == outcome.finding[::-1]
    assert "AssertionError" in outcome.log
