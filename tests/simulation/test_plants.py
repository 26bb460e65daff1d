"""Planted bugs fit the product, change what it does, and are caught; the late ones are hunted by hand."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from multiraft.raft import dispatch, election, follower
from multiraft.raft.messages import MsgType
from multiraft.raft.state import Role
from tests.simulation.plan import draw
from tests.simulation.plants import PLANTS, WAITING
from tests.simulation.plants_edits import Edit, Misfit, Plant, function_of, planted_codes
from tests.simulation.run import simulate

CATCHING = 5
"""Seeds within which each of the plants that are caught quickly must be."""
MISTAKES = ("AttributeError", "NameError", "TypeError")
"""What a plant fails with that is no bug but nonsense."""
QUICK = (
    "bug-3",
    "bug-4",
    "bug-10",
    "bug-18",
    "bug-21",
    "rule-applied-beyond-local-log",
    "rule-births-not-durable-first",
    "rule-directory-before-births",
    "rule-directory-before-tombstones",
    "rule-log-cut-before-state",
    "rule-newborn-promise-durable",
    "rule-response-before-durable",
    "rule-retire-before-deletion",
    "rule-vote-outlives-the-object",
    "rule-vote-request-before-durable",
)
ASKED_FOR = (1, 3, 4, 8, 9, 10, 15, 16, 17, 18, 20, 21, 22, 24)
ALL_BUGS = 26


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_caught(name: str):
    with PLANTS[name].apply():
        found = next(filter(None, (simulate(draw(seed)).violation for seed in range(CATCHING))), None)
    assert found, f"{name}: {PLANTS[name].what}, and {CATCHING} seeds do not mind"
    assert found.kind not in MISTAKES, f"{name} does not fit any more: {found.where}"


@pytest.mark.parametrize("name", PLANTS)
def test_a_plant_fits_the_product_and_is_taken_back(name: str):
    """Every function of it runs other instructions, or with other constants, and its own again afterwards."""
    plant = PLANTS[name]
    before = {function: function.__code__ for function in map(function_of, plant.edits)}
    with plant.apply():
        for function, code in before.items():
            planted = function.__code__
            same = (planted.co_code, planted.co_consts, planted.co_names)
            assert same != (code.co_code, code.co_consts, code.co_names)
    assert before == {function: function.__code__ for function in before}


def test_every_known_bug_is_planted_or_says_what_it_waits_for():
    assert {f"bug-{number}" for number in ASKED_FOR} <= set(PLANTS)
    assert not set(PLANTS) & set(WAITING)
    bugs = {name for name in {*PLANTS, *WAITING} if name.startswith("bug-")}
    assert bugs == {f"bug-{number}" for number in range(1, ALL_BUGS + 1)}


@contextmanager
def misfit(edit: Edit) -> Iterator[None]:
    """Planting this is refused, and nothing of what is planted with it stays."""
    fits = Edit(election, "start", "raft.pre_vote", "not raft.pre_vote")
    code = election.start.__code__
    with pytest.raises(Misfit) as refused, Plant("mixed", "", (fits, edit)).apply():
        pass
    assert election.start.__code__ is code
    yield
    assert edit.name in str(refused.value)


def test_an_edit_that_does_not_fit_says_so():
    with misfit(Edit(election, "start", "no such text", "")):
        pass
    with misfit(Edit(election, "start", "raft", "Raft")):  # stands there more than once
        pass
    with misfit(Edit(election, "no_such_function", "", "")):
        pass
    with misfit(Edit(election, "in_lease", "raft.check_quorum", "unheard_of")):  # would raise NameError
        pass


def test_a_plant_reaches_functions_that_a_table_holds():
    handler = dispatch.HANDLERS[Role.FOLLOWER, MsgType.HEARTBEAT]
    edit = Edit(follower, "heartbeat", "raft.lead = m.from_", "raft.lead = 0")
    (code,) = planted_codes([edit]).values()
    with Plant("in a table", "", (edit,)).apply():
        assert handler.__code__.co_code == code.co_code


def test_the_list_names_plants_and_what_waits():
    command = [sys.executable, "-m", "tests.simulation", "--plant"]
    printed = subprocess.run([*command, "list"], capture_output=True, text=True, check=True).stdout
    for name in (*PLANTS, *WAITING):
        assert f"\n{name}: " in f"\n{printed}"
    refused = subprocess.run([*command, "bug-2"], check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "membership" in refused.stderr


def test_the_command_says_how_many_seeds_it_took():
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "0:5", "--plant", "bug-3", "--json"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert report["ok"] is True
    assert report["violations"] == 1
    assert 1 <= report["seeds"] <= CATCHING
