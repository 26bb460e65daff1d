"""The checker of what clients were told."""

import pytest

from multiraft.engine.statemachine.commands import encode_batch, encode_cas, encode_delete, encode_put
from multiraft.raft.entry import Entry
from tests.simulation.checkers.acknowledged import Acknowledged
from tests.simulation.checkers.base import Kind, Operation, Outcome, Violation
from tests.simulation.checkers.raft_safety import RaftSafety
from tests.simulation.traces import GROUP, NODES, Trace, command, put


class Clients(Trace):
    """A trace with clients; a moment passes with everything that they do."""

    def __init__(self) -> None:
        super().__init__(
            lambda shared: [
                RaftSafety(shared.disks, shared.chosen),
                shared.models,
                Acknowledged(shared.models),
            ]
        )
        self.moment = 0.0
        self.asked = 0

    def ask(self, kind: str, *arguments, keys: tuple = (b"k",)) -> Operation:
        self.moment += 1
        self.asked += 1
        op = Operation(self.asked, 1, Kind(kind), keys, arguments, self.moment)
        self.suite.invoked(op)
        return op

    def tell(self, op: Operation, outcome: Outcome = Outcome.OK, result: object = None) -> None:
        self.moment += 1
        op.outcome, op.returned, op.result = outcome, self.moment, result
        self.suite.completed(op)

    def agree(self, *entries: Entry) -> None:
        self.everywhere(*entries)
        for node in NODES:
            self.apply(node, *entries)

    def scan(self, *pairs: tuple[bytes, bytes], bounds=(b"", None), reverse=False, limit=None) -> None:
        self.tell(self.ask("scan", *bounds, reverse, limit, keys=()), result=pairs)


@pytest.fixture
def trace() -> Clients:
    return Clients()


def broken(text: str):
    return pytest.raises(Violation, match=f"acknowledged: .*{text}")


# -- writes ---------------------------------------------------------------------------------------


def test_what_clients_may_be_told_passes(trace: Clients):
    first, second, third = (trace.ask("put", value) for value in (b"1", b"2", b"3"))
    swap = trace.ask("cas", b"none", b"4")
    trace.tell(first, Outcome.REFUSED)
    trace.agree(put(2, value=b"2"), command(3, encode_cas(b"k", b"none", b"4")))
    trace.tell(second)
    trace.tell(swap, result=False)
    trace.tell(third, Outcome.UNKNOWN)
    trace.agree(put(4, value=b"3"))
    gone = trace.ask("delete")
    trace.agree(command(5, encode_delete(b"k")))
    trace.tell(gone, result=True)
    trace.finish()


def test_an_acknowledged_write_that_nobody_carried_out(trace: Clients):
    op = trace.ask("put", b"1")
    with broken("is acknowledged, and no replica has carried it out"):
        trace.tell(op)


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.UNKNOWN])
def test_a_write_carried_out_twice(trace: Clients, outcome: Outcome):
    op = trace.ask("put", b"1")
    trace.agree(put(2, value=b"1"))
    trace.tell(op, outcome)
    with broken(r"is carried out at \(2, 2\) and at \(2, 3\)"):
        trace.agree(put(3, value=b"1"))


def test_a_refused_write_carried_out_later(trace: Clients):
    op = trace.ask("put", b"1")
    trace.tell(op, Outcome.REFUSED)
    with broken("is carried out at .* all the same"):
        trace.agree(put(2, value=b"1"))


def test_a_write_refused_after_it_was_carried_out(trace: Clients):
    op = trace.ask("batch", b"1", None, keys=(b"a", b"b"))
    trace.agree(command(2, encode_batch([(b"a", b"1"), (b"b", None)])))
    with broken(r"was carried out at \(2, 2\)"):
        trace.tell(op, Outcome.REFUSED)


# -- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_delete_with_a_result_that_none_had(trace: Clients, carried_out: bool):
    write = trace.ask("put", b"1")
    trace.agree(command(2, encode_delete(b"k")), put(3, value=b"1"))
    trace.tell(write)
    gone = trace.ask("delete")
    if carried_out:
        trace.agree(command(4, encode_delete(b"k")))
    with broken(
        "deletes of that key since"
    ):  # the one at index 2 found nothing, and is older than the question
        trace.tell(gone, result=False)


def two_writes(trace: Clients) -> None:
    for index, value in ((2, b"old"), (3, b"new")):
        op = trace.ask("put", value)
        trace.agree(put(index, value=value))
        trace.tell(op)


def test_an_older_value_in_the_end(trace: Clients):
    two_writes(trace)
    trace.replicas[2].machine.store.put(b"k", b"old")
    with broken("node 2, group 2: b'k' is b'old' in the end, and acknowledged later was #2"):
        trace.finish()


def test_no_value_in_the_end(trace: Clients):
    two_writes(trace)
    trace.replicas[3].machine.store.delete(b"k")
    with broken("b'k' is None in the end"):
        trace.finish()


def test_a_value_that_nobody_wrote_in_the_end(trace: Clients):
    two_writes(trace)
    trace.replicas[3].machine.store.put(b"k", b"stray")
    with broken("b'k' is b'stray' in the end"):
        trace.finish()


def test_a_delete_of_unknown_outcome_may_explain_the_end(trace: Clients):
    two_writes(trace)
    trace.tell(trace.ask("delete"), Outcome.UNKNOWN)
    trace.agree(command(4, encode_delete(b"k")))
    trace.finish()


def test_a_value_written_by_a_swap_that_failed(trace: Clients):
    op = trace.ask("cas", b"x", b"y")
    trace.agree(command(2, encode_cas(b"k", b"x", b"y")))
    trace.tell(op, result=False)
    trace.replicas[1].machine.store.put(b"k", b"y")
    with broken("b'k' is b'y' in the end"):
        trace.finish()


def test_a_replica_behind_what_callers_know(trace: Clients):
    two_writes(trace)
    trace.replicas[2].applied = trace.replicas[2].applied._replace(index=2)
    with broken("node 2, group 2: applied is 2, callers know of 3"):
        trace.finish()
    trace.excused.add(2)
    trace.finish()


# -- reads ----------------------------------------------------------------------------------------


def batches(trace: Clients) -> None:
    for index, value in ((2, b"1"), (3, b"2")):
        op = trace.ask("batch", value + b"a", value + b"b", keys=(b"a", b"b"))
        trace.agree(command(index, encode_batch([(b"a", value + b"a"), (b"b", value + b"b")])))
        if index == 2:
            trace.tell(op)


def test_scans_of_states_that_there_were_pass(trace: Clients):
    trace.scan()
    batches(trace)
    trace.scan((b"a", b"1a"), (b"b", b"1b"))
    trace.scan((b"a", b"2a"), (b"b", b"2b"))
    trace.scan((b"b", b"2b"), (b"a", b"2a"), reverse=True)
    trace.scan((b"a", b"1a"), limit=1)
    trace.scan((b"b", b"1b"), limit=1, reverse=True)
    trace.scan((b"b", b"2b"), bounds=(b"aa", b"c"))
    trace.scan(limit=0)


@pytest.mark.parametrize(
    ("pairs", "more"),
    [
        (((b"a", b"1a"), (b"b", b"2b")), {}),
        (((b"a", b"2a"),), {}),
        (((b"b", b"2b"),), {}),
        ((), {}),
        (((b"a", b"1a"), (b"b", b"1b"), (b"c", b"x")), {}),
        (((b"b", b"2b"),), {"limit": 1}),
        (((b"a", b"2a"),), {"limit": 1, "reverse": True}),
        ((), {"bounds": (b"b", b"c")}),
    ],
)
def test_a_scan_of_a_state_that_never_was(trace: Clients, pairs: tuple, more: dict):
    """Half of a batch, a key left out, a key too many, and what was known to be gone."""
    batches(trace)
    with broken("group 2 never held"):
        trace.scan(*pairs, **more)


def test_a_scan_older_than_what_was_acknowledged_before_it(trace: Clients):
    two_writes(trace)
    with broken("at one index from 3 on"):
        trace.scan((b"k", b"old"))


def test_a_scan_may_be_as_old_as_its_question(trace: Clients):
    first = trace.ask("put", b"old")
    trace.agree(put(2, value=b"old"))
    trace.tell(first)
    scan = trace.ask("scan", b"", None, False, None, keys=())
    second = trace.ask("put", b"new")
    trace.agree(put(3, value=b"new"))
    trace.tell(second)
    trace.tell(scan, result=((b"k", b"old"),))


def test_a_scan_out_of_order_or_beyond_its_limit(trace: Clients):
    batches(trace)
    with broken("not in order"):
        trace.scan((b"b", b"1b"), (b"a", b"1a"))
    with broken("more pairs than the limit"):
        trace.scan((b"a", b"1a"), (b"b", b"1b"), limit=1)


def test_a_stale_read_shows_what_there_was(trace: Clients):
    two_writes(trace)
    for value in (b"old", b"new", None):
        trace.tell(trace.ask("stale_get"), result=value)
    trace.tell(trace.ask("stale_get"), result=b"other")
    with broken("that value never was"):
        trace.finish()


def test_a_stale_read_may_show_what_is_being_applied(trace: Clients):
    op = trace.ask("put", b"1")
    trace.tell(trace.ask("stale_get"), result=b"1")
    trace.agree(command(2, encode_put(b"k", b"1")))
    trace.tell(op)
    trace.finish()


def test_the_commands_of_clients_are_known_by_their_bytes(trace: Clients):
    op = trace.ask("put", b"1")
    trace.agree(command(2, encode_put(b"k", b"1")))
    trace.tell(op)
    assert trace.models.places(encode_put(b"k", b"1")) == [(GROUP, 2)]
