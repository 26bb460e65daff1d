"""The C targets: the corpus passes, planted bugs are found, no function of the C part goes without."""

import re
from pathlib import Path

import pytest

from tests.fuzz import campaign
from tests.fuzz.build import HERE, PRODUCT, TARGETS, build, libfuzzer_compiler
from tests.fuzz.corpus import CORPUS, files, name_of, samples
from tests.fuzz.planted import PLANTS, Plant, plant
from tests.fuzz.targets_c import C_TARGETS, CTarget

RUNS = 2_000_000
"""Inputs within which a planted bug must be found: a few seconds."""
RUNS_OF_THE_SUITE = 20_000
WITHOUT_TARGET = {"mr_base.h": "statuses by number"}
ENGINES = [False, True] if libfuzzer_compiler() else [False]


@pytest.mark.parametrize("target", C_TARGETS.values(), ids=C_TARGETS)
def test_the_corpus_and_what_is_near_it_break_nothing(target: CTarget):
    program = build(target.name, libfuzzer=False)
    corpus = CORPUS / target.name
    outcome = campaign.fuzz(
        program, corpus, max_len=target.max_len, seed=1, runs=RUNS_OF_THE_SUITE, seconds=None
    )
    assert outcome.finding is None, outcome.log
    assert outcome.inputs == RUNS_OF_THE_SUITE


@pytest.mark.parametrize(
    "libfuzzer", ENGINES, ids=["libfuzzer" if engine else "driver" for engine in ENGINES]
)
@pytest.mark.parametrize("bug", PLANTS, ids=lambda bug: f"{bug.target}-{bug.name}")
def test_a_planted_bug_is_found(bug: Plant, libfuzzer: bool, tmp_path: Path):
    """The finding is an input that breaks the planted copy again, and does nothing to the product."""
    target = C_TARGETS[bug.target]
    program = build(bug.target, plant(bug, tmp_path), libfuzzer=libfuzzer)
    outcome = campaign.fuzz(
        program, CORPUS / bug.target, max_len=target.max_len, seed=1, runs=RUNS, seconds=60
    )
    assert outcome.finding is not None, f"{bug} was not found in {outcome.inputs} inputs"
    file = tmp_path / "finding"
    file.write_bytes(outcome.finding)
    assert campaign.replay(program, [file]).finding is not None
    assert campaign.replay(build(bug.target, libfuzzer=libfuzzer), [file]).finding is None


def test_every_function_has_a_target():
    """Whoever adds a header adds targets for what it declares, or says here why it needs none."""
    declared = set()
    for header in PRODUCT.glob("*.h"):
        if header.name not in WITHOUT_TARGET:
            parts = re.findall(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", header.read_text(), re.DOTALL)
            declared |= set(re.findall(r"\b(mr_\w+)\(", "".join(parts)))
    code = "".join(source.read_text() for source in TARGETS.glob("*.[ch]"))
    called = set(re.findall(r"\b(mr_\w+)\(", code))
    assert declared - {"mr_crc32c_accelerated"} <= called, declared - called


def test_every_target_has_a_source_and_every_source_a_target():
    sources = {source.stem for source in TARGETS.glob("*.c")} - {"fuzz", "driver"}
    assert sources == set(C_TARGETS)


def test_the_corpus_is_what_the_script_writes():
    for target, inputs in samples().items():
        names = {file.name for file in files(target) if not file.name.startswith("found-")}
        assert names == {name_of(data) for data in inputs}, f"run python -m tests.fuzz.corpus ({target})"
    assert {folder.name for folder in CORPUS.iterdir()} == set(samples())


def test_the_corpus_is_small():
    assert sum(file.stat().st_size for file in (HERE / "corpus").rglob("*") if file.is_file()) < 64 * 1024
