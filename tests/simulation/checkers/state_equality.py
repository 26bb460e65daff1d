"""Replicas that have applied the same index hold the same state, and answer the same (`faults.md` §1).

All are held against a model of their range. What a replica has just applied is compared key by key; the whole
state, by a sum that knows no order, whenever it came from somewhere else: a snapshot or a disk. The directory
has a checker of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from multiraft.engine.errors import Corruption
from multiraft.engine.node import Node
from multiraft.engine.replica import Replica
from multiraft.engine.statemachine.commands import MalformedCommand, decode, open_envelope
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.raft.entry import Entry

from .base import Checker, Cluster, Operation, Outcome
from .disk import Disks
from .models import Models, RangeModel, body_of, is_command, keys_of, state_sum


class StateEquality(Checker):
    """See the module."""

    def __init__(self, disks: Disks, models: Models) -> None:
        self._disks = disks
        self._models = models

    # -- whole states ----------------------------------------------------------------------------

    def started(self, node_id: int, node: Node) -> None:
        for replica in node.replicas.running.loaded.values():
            self._compare(node_id, replica)

    def begun(self, node_id: int, replica: Replica) -> None:
        self._compare(node_id, replica)

    def installed(self, node_id: int, replica: Replica) -> None:
        self._compare(node_id, replica)

    def finished(self, cluster: Cluster) -> None:
        for node_id, node in cluster.nodes.items():
            for replica in node.replicas.running.values():
                self._compare(node_id, replica)

    def _compare(self, node_id: int, replica: Replica) -> None:
        """The whole state, as it is. Damaged bytes must say so, and never pass for a value."""
        machine = replica.machine
        if not isinstance(machine, KVMachine) or replica.quarantine is not None:
            return
        if replica.silence is not None:
            if not self._disks.of(node_id).excused:
                raise self.violation(f"node {node_id}, group {replica.group} is silent, and nothing is wrong")
            return
        if self._is_lost(node_id, replica):
            return
        try:
            self._compare_state(node_id, replica, machine)
        except Corruption:
            if not (self._disks.of(node_id).excused or self._disks.of(node_id).state_lost):
                raise

    def _is_lost(self, node_id: int, replica: Replica) -> bool:
        """Whether the replica has no state; only who lost some of what was on its disk may have none."""
        if replica.rebuilding is None:
            return False
        if not (self._disks.of(node_id).excused or self._disks.of(node_id).state_lost):
            raise self.violation(f"node {node_id}: {replica.rebuilding.reason}, and nothing is wrong")
        return True

    def _compare_state(self, node_id: int, replica: Replica, machine: KVMachine) -> None:
        born, index = replica.birth, replica.applied.index
        where = f"node {node_id}, group {replica.group}, index {index}"
        model = self._models.by_group.get(replica.group) or RangeModel(born)
        if machine.bounds != (born.start, born.end, born.epoch, index >= model.retired_at):
            raise self.violation(
                f"{where}: bounds and epoch are {machine.bounds}, born as {born}, "
                f"retired at {model.retired_at}"
            )
        if index > model.last:
            raise self.violation(f"{where}: only {model.last} was ever applied")
        if state_sum(machine.scan()) != model.sums[index - 1]:
            found, expected = dict(machine.scan()), model.state_at(index)
            differing = sorted(set(found.items()) ^ set(expected.items()))
            raise self.violation(f"{where}: the state differs from the model's in {differing[:6]}")

    # -- what was just applied -------------------------------------------------------------------

    def applied(self, node_id: int, replica: Replica, entries: Sequence[Entry]) -> None:
        machine, model = replica.machine, self._models.by_group.get(replica.group)
        if model is None or not isinstance(machine, KVMachine) or self._is_lost(node_id, replica):
            return
        index = replica.applied.index
        for key in _touched(entries):
            try:
                found, expected = machine.get(key), model.value_at(key, index)
            except Corruption:
                return  # damage that is told is no wrong answer
            if found != expected:
                raise self.violation(
                    f"node {node_id}, group {replica.group}, index {index}: {key!r} is {found!r}, "
                    f"the model has {expected!r}"
                )

    # -- answers ---------------------------------------------------------------------------------

    def completed(self, op: Operation) -> None:
        """A write's caller is told what the model says of the entry that carried it out."""
        body = body_of(op)
        if op.outcome is not Outcome.OK or body is None:
            return
        places = self._models.places(body)
        told = [self._models.by_group[group].results[index] for group, index in places]
        if op.result not in told:
            raise self.violation(f"{op}: the model says {told}, at {places}")


def _touched(entries: Sequence[Entry]) -> dict[bytes, None]:
    """The keys that these entries name, in their order."""
    keys: dict[bytes, None] = {}
    for entry in entries:
        if is_command(entry):
            try:
                keys.update(dict.fromkeys(keys_of(decode(open_envelope(entry.data).body))))
            except MalformedCommand:
                continue
    return keys
