"""What clients were told holds (`faults.md` §1): nothing acknowledged is lost, nothing happens twice.

Each write that leaves a value is known by its command, so the log says how often it was carried out: once if
it was acknowledged, never if it was refused, at most once if its outcome is unknown. Scans show, range by
range, a state that there was, and none older than what was known when they were asked: so the keys of a batch
change together or not at all. Stale reads show a value that there was.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from math import inf
from typing import NamedTuple

from multiraft.engine.errors import Corruption
from multiraft.engine.replica import Replica
from multiraft.engine.statemachine.commands import HEADER_BYTES, encode_delete
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.raft.entry import Entry

from .base import Checker, Cluster, Kind, Operation, Outcome
from .models import REFUSED, Models, RangeModel, body_of, is_command

Pair = tuple[bytes, bytes]
Write = tuple[Operation, bytes | None]


class Page(NamedTuple):
    """What a scan says of one range: all pairs that have a key in ``[start, stop)``."""

    model: RangeModel
    start: bytes
    stop: bytes | None
    pairs: dict[bytes, bytes]


class Acknowledged(Checker):
    """See the module."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._rotten: set[int] = set()
        """Nodes whose state store was damaged."""
        self._writes: dict[bytes, Operation] = {}
        """By command the operations that write a value of their own."""
        self._seen: dict[bytes, tuple[int, int]] = {}
        """By command where it was carried out first: group and index."""
        self._known: dict[int, int] = {}
        """By group an index that some caller knows to be committed."""
        self._known_before: dict[int, dict[int, int]] = {}
        """The same as of each operation under way, by its id."""
        self._gone: set[int] = set()
        """Groups of which some caller knows that they are deleted."""
        self._gone_before: dict[int, frozenset[int]] = {}
        """The same as of each operation under way, by its id."""
        self._left: dict[bytes, list[Write]] = {}
        """By key every write, with what it leaves behind."""
        self._early: list[Operation] = []
        """Stale reads that have shown what nobody is known to have applied: some machines take their time."""
        self._keys: list[bytes] = []

    # -- writes ----------------------------------------------------------------------------------

    def invoked(self, op: Operation) -> None:
        body = body_of(op)
        if body is not None:
            self._writes[body] = op
        for key, value in _writes_of(op):
            self._left.setdefault(key, []).append((op, value))
        if op.kind is Kind.SCAN or op.kind is Kind.DELETE:
            self._known_before[op.id] = dict(self._known)
            self._gone_before[op.id] = frozenset(self._gone)

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        group = replica.group
        for entry in entries:
            if not is_command(entry):
                continue
            body = entry.data[HEADER_BYTES:]
            op = self._writes.get(body)
            model = self._models.by_group.get(group)
            if op is None or (model is not None and model.results.get(entry.index) == REFUSED):
                continue  # it stands behind the retirement of its range
            place = self._seen.setdefault(body, (group, entry.index))
            if place != (group, entry.index):
                raise self.violation(f"{op} is carried out at {place} and at {group, entry.index}")
            if op.outcome is Outcome.REFUSED:
                raise self.violation(f"{op} is carried out at {place} all the same")

    def completed(self, op: Operation) -> None:
        body = body_of(op)
        if op.outcome is Outcome.REFUSED and body in self._seen:
            raise self.violation(f"{op} was carried out at {self._seen[body]}")
        gone = self._gone_before.pop(op.id, frozenset())
        if op.outcome is not Outcome.OK:
            self._known_before.pop(op.id, None)
        elif op.kind is Kind.DELETE_RANGES:
            self._note_gone(op)
        elif op.kind is Kind.SCAN:
            self._check_scan(op, gone)
        elif op.kind is Kind.STALE_GET:
            self._check_stale(op)
        elif op.kind is Kind.DELETE:
            self._check_delete(op)
        elif body is not None:
            self._check_done(op, body)

    def _check_done(self, op: Operation, body: bytes) -> None:
        place = self._seen.get(body)
        if place is None:
            raise self.violation(f"{op} is acknowledged, and no replica has carried it out")
        group, index = place
        self._known[group] = max(self._known.get(group, 1), index)

    def _note_gone(self, op: Operation) -> None:
        """What was deleted is read by nobody who asks from now on."""
        for key in op.keys:
            self._gone |= {one.birth.group for one in self._models.holding(key) if one.retired_at < inf}

    def _check_delete(self, op: Operation) -> None:
        """Deletes of a key look alike: one of those carried out since it was asked for has its result."""
        known, key = self._known_before.pop(op.id, {}), op.keys[0]
        told = [
            model.results[index]
            for model in self._models.holding(key)
            for index in model.places.get(encode_delete(key), ())
            if index > known.get(model.birth.group, 1)
        ]
        if op.result not in told:
            raise self.violation(f"{op}: deletes of that key since it was asked for gave {told}")

    # -- reads -----------------------------------------------------------------------------------

    def _check_stale(self, op: Operation) -> None:
        if op.result is not None and not self._was(op):
            self._early.append(op)

    def _was(self, op: Operation) -> bool:
        """Whether the key of a read ever had the value."""
        key = op.keys[0]
        return any(next(model.spans(key, op.result), None) for model in self._models.holding(key))

    def _check_scan(self, op: Operation, gone: Collection[int]) -> None:
        known = self._known_before.pop(op.id, {})
        if [*op.result] != sorted(op.result, reverse=op.arguments[2]):
            raise self.violation(f"{op}: the pairs are not in order")
        if op.arguments[3] is not None and len(op.result) > op.arguments[3]:
            raise self.violation(f"{op}: there are more pairs than the limit")
        for pages in self._pages(op).values():
            page = pages[0]
            stood = any(
                _stood_at_once(page, known.get(page.model.birth.group, 1))
                for page in pages
                if page.model.birth.group not in gone
            )
            uncovered = not page.pairs and any(one.model.retired_at < inf for one in pages)
            if not (stood or uncovered):
                groups = [one.model.birth.group for one in pages]
                since = [known.get(group, 1) for group in groups]
                raise self.violation(
                    f"{op}: group {', '.join(map(str, groups))} never held {page.pairs} in "
                    f"[{page.start!r}, {page.stop!r}) at one index from {', '.join(map(str, since))} on"
                )

    def _pages(self, op: Operation) -> dict[tuple[bytes, bytes | None], list[Page]]:
        """The scan by ranges, each with the groups that have served it.

        A limit that was reached hides what lies behind the last pair.
        """
        start, stop, reverse, limit = op.arguments
        pairs: Sequence[Pair] = op.result
        if limit is not None and len(pairs) == limit:
            last = pairs[-1][0] if pairs else None
            start, stop = (last, stop) if reverse else (start, None if last is None else last + b"\0")
            if last is None:
                return {}
        pages: dict[tuple[bytes, bytes | None], list[Page]] = {}
        for model in self._models.by_group.values():
            low, high = _meet(start or b"", stop, model)
            if high is None or low < high:
                inside = {key: value for key, value in pairs if key >= low and (high is None or key < high)}
                pages.setdefault((low, high), []).append(Page(model, low, high, inside))
        return pages

    # -- the end ---------------------------------------------------------------------------------

    def finished(self, cluster: Cluster) -> None:
        """Every replica has come as far as any caller was told, and no value is older than it may be."""
        for op in self._early:
            if not self._was(op):
                raise self.violation(f"{op}: that value never was")
        self._keys = sorted(self._left)
        for node_id, node in cluster.nodes.items():
            if node_id not in cluster.excused:
                for replica in node.replicas.running.values():
                    if replica.quarantine is None:
                        self._check_sound(node_id, replica)

    def _check_sound(self, node_id: int, replica: Replica) -> None:
        """A value may have rotted and nobody has met it: then it says so, and is not taken for another."""
        try:
            self._check_end(node_id, replica)
        except Corruption:
            if node_id not in self._rotten:
                raise

    def state_lost(self, node_id: int) -> None:
        self._rotten.add(node_id)

    def _check_end(self, node_id: int, replica: Replica) -> None:
        known = self._known.get(replica.group, 1)
        if replica.applied.index < known:
            raise self.violation(
                f"node {node_id}, group {replica.group}: applied is {replica.applied.index}, callers know of "
                f"{known}"
            )
        if isinstance(replica.machine, KVMachine):
            self._check_final(node_id, replica.machine, replica.group)

    def _check_final(self, node_id: int, machine: KVMachine, group: int) -> None:
        """By the histories of clients alone: no write was acknowledged after the one whose value is there."""
        keys = self._keys
        until = len(keys) if machine.end is None else bisect_left(keys, machine.end)
        for key in keys[bisect_left(keys, machine.start) : until]:
            value, writes = machine.get(key), self._left[key]
            if self._is_overtaken(value, writes):
                raise self.violation(
                    f"node {node_id}, group {group}: {key!r} is {value!r} in the end, and acknowledged later "
                    f"was {self._latest(writes)}"
                )

    def _is_overtaken(self, value: bytes | None, writes: Sequence[Write]) -> bool:
        """Whether all that may have left this value had returned before an acknowledged write began."""
        ends = [-inf] if value is None else []
        for op, left in writes:
            if left == value and _may_have_happened(op):
                ends.append(op.returned if op.outcome is Outcome.OK and op.returned is not None else inf)
        latest = self._latest(writes)
        return not ends or (latest is not None and max(ends) < latest.invoked)

    @staticmethod
    def _latest(writes: Sequence[Write]) -> Operation | None:
        """The acknowledged write that was asked for last."""
        done = [op for op, _ in writes if op.outcome is Outcome.OK and _may_have_happened(op)]
        return max(done, key=lambda op: op.invoked, default=None)


def _may_have_happened(op: Operation) -> bool:
    """Not if it was refused, or told that it did not swap."""
    return op.outcome is not Outcome.REFUSED and not (op.kind is Kind.CAS and op.result is False)


def _writes_of(op: Operation) -> list[tuple[bytes, bytes | None]]:
    """What an operation leaves behind if it happens, by key."""
    match op.kind:
        case Kind.PUT | Kind.CAS:
            return [(op.keys[0], op.arguments[-1])]
        case Kind.DELETE | Kind.DELETE_RANGES:
            return [(key, None) for key in op.keys]
        case Kind.BATCH:
            return list(zip(op.keys, op.arguments, strict=True))
        case _:
            return []


def _meet(start: bytes, stop: bytes | None, model: RangeModel) -> tuple[bytes, bytes | None]:
    """The part of ``[start, stop)`` that lies in a range."""
    end = model.birth.end
    low = max(start, model.birth.start)
    if stop is None or end is None:
        return low, end if stop is None else stop
    return low, min(stop, end)


def _stood_at_once(page: Page, after: int) -> bool:
    """Whether some index from `after` on has exactly these pairs."""
    model = page.model
    inside = [key for key in model.history if key >= page.start and (page.stop is None or key < page.stop)]
    if not set(page.pairs) <= set(inside):
        return False
    possible = [(after, max(after, model.last))]
    for key in inside:
        spans = list(model.spans(key, page.pairs.get(key)))
        possible = [
            (max(low, since), min(high, until))
            for low, high in possible
            for since, until in spans
            if max(low, since) <= min(high, until)
        ]
    return bool(possible)
