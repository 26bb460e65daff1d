"""The key-value machine: an ordered map of one range, changed only by the commands of its group's log."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Self

from ...native.checksum import crc32c
from ..errors import Corruption, RangeDeleted, RangeMoved
from .commands import (
    EPOCH_BYTES,
    HEADER_BYTES,
    Batch,
    CompareAndSwap,
    Delete,
    MalformedCommand,
    Put,
    Retire,
    decode,
    open_envelope,
)
from .keys import lower_stop, prefix_stop
from .kv_snapshot import Bounds, decode_metadata, decode_snapshot, encode_metadata, encode_snapshot
from .paging import Pair
from .store import OrderedStore


class KVMachine:
    """One replica of a range ``[start, end)``; ``end`` None means no upper bound.

    Results of commands: put None, delete whether the key was there, compare-and-swap whether it swapped,
    batch None, retire None. A command that was routed by another epoch, or that names a key outside the
    bounds, changes nothing and its result is a RangeMoved; bytes that are no command give a MalformedCommand.
    A machine that is retired stays so, over restarts and snapshots: it answers RangeDeleted to everything.
    """

    def __init__(
        self,
        store: OrderedStore,
        start: bytes = b"",
        end: bytes | None = None,
        epoch: int = 1,
        retired: bool = False,  # in the order of Bounds
    ) -> None:
        self.store = store
        self._become(Bounds(start, end, epoch, retired))

    @classmethod
    def from_metadata(cls, store: OrderedStore, metadata: bytes) -> Self:
        """The machine as its applied record describes it. Raises Corruption."""
        return cls(store, *decode_metadata(metadata))

    @property
    def durable(self) -> bool:
        """Whether the store's flushes keep the state."""
        return self.store.durable

    @property
    def bounds(self) -> Bounds:
        """Start, end and epoch, and whether it is retired."""
        return self._bounds

    def metadata(self) -> bytes:
        """The bounds, for the applied record."""
        return self._metadata

    def apply(self, commands: Sequence[bytes]) -> list[object]:
        """Apply commands (envelope and body) in order; one result for each."""
        return [self._apply_one(command) for command in commands]

    def snapshot(self) -> bytes:
        """The whole state. Raises SnapshotTooLarge above 64 MiB."""
        return encode_snapshot(self._bounds, self.store.scan(self.start, self.end))

    def restore(self, data: bytes) -> None:
        """Replace the whole state, bounds and epoch too. Raises Corruption and leaves the state as it was."""
        bounds, pairs = decode_snapshot(data)
        self.store.load(pairs)
        self._become(bounds)

    def reload(self, metadata: bytes) -> None:
        """Go on from what is in the store now. Raises Corruption if a key lies outside the bounds."""
        bounds = decode_metadata(metadata)
        below = self.store.scan(b"", bounds.start)
        above = iter(()) if bounds.end is None else self.store.scan(bounds.end, None)
        for key, _ in (*islice(below, 1), *islice(above, 1)):
            raise Corruption(f"the key {key!r} lies outside the bounds of its range")
        self._become(bounds)

    def get(self, key: bytes) -> bytes | None:
        """The value or None. Whether the range serves the key is asked of :meth:`moved`."""
        return self.store.get(key)

    def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        prefix: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[Pair]:
        """Pairs in order that lie in ``[start, stop)``, begin with ``prefix``, and belong to this range.

        What it promises while commands are applied: see ``paging``.
        """
        low = max(self.start, start or b"", prefix or b"")
        high = lower_stop(self.end, stop)
        if prefix:
            high = lower_stop(high, prefix_stop(prefix))
        return islice(self.store.scan(low, high, reverse), limit)

    def digest(self) -> int:
        """A 64-bit sum over all pairs that does not depend on their order; equal for equal contents.

        Computed by a scan: keeping it up to date would cost every put a read of the value it replaces.
        """
        total = 0
        for key, value in self.store.scan(self.start, self.end):
            # Both orders show where a key ends and its value begins, seeds let an empty pair count, and the
            # product tells swapped values apart: a sum of mere checksums may stay the same.
            mixed = crc32c(value, crc32c(key, 1)) << 32 | crc32c(key, crc32c(value, 2))
            total += mixed * (mixed | 1)
        return total & 0xFFFF_FFFF_FFFF_FFFF

    def moved(self, epoch: int, *keys: bytes) -> RangeMoved | None:
        """Why this machine cannot answer for these keys to someone who was routed by ``epoch``."""
        if self.retired:
            return RangeDeleted("the range was deleted, or is about to be")
        if epoch != self.epoch:
            return RangeMoved(f"the range is at epoch {self.epoch}, the request was routed by epoch {epoch}")
        start, end = self.start, self.end
        for key in keys:
            if key < start or (end is not None and key >= end):
                return RangeMoved("a key lies outside the range's bounds")
        return None

    def _become(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.start, self.end, self.epoch, self.retired = bounds
        self._metadata = encode_metadata(bounds)
        self._epoch_bytes = b"" if bounds.retired else bounds.epoch.to_bytes(8, "little")

    def _apply_one(self, data: bytes) -> object:
        try:
            command = decode(data[HEADER_BYTES:])
        except MalformedCommand as refusal:
            return refusal
        if data[EPOCH_BYTES] != self._epoch_bytes:
            return self.moved(open_envelope(data).epoch)
        if type(command) is Retire:
            self._become(self._bounds._replace(retired=True))
            return None
        return _EXECUTE[type(command)](self, command)


# What each command does to a machine whose epoch it names.


def _put(machine: KVMachine, command: Put) -> RangeMoved | None:
    key, value = command
    if key < machine.start or (machine.end is not None and key >= machine.end):
        return machine.moved(machine.epoch, key)
    machine.store.put(key, value)
    return None


def _delete(machine: KVMachine, command: Delete) -> RangeMoved | bool:
    return machine.moved(machine.epoch, command.key) or machine.store.delete(command.key)


def _compare_and_swap(machine: KVMachine, command: CompareAndSwap) -> RangeMoved | bool:
    key, expected, new = command
    if moved := machine.moved(machine.epoch, key):
        return moved
    if machine.store.get(key) != expected:
        return False
    _change(machine.store, key, new)
    return True


def _batch(machine: KVMachine, command: Batch) -> RangeMoved | None:
    if moved := machine.moved(machine.epoch, *[key for key, _ in command.changes]):
        return moved
    for key, value in command.changes:
        _change(machine.store, key, value)
    return None


def _change(store: OrderedStore, key: bytes, value: bytes | None) -> None:
    if value is None:
        store.delete(key)
    else:
        store.put(key, value)


_EXECUTE: Final[dict[type, Callable[[KVMachine, Any], object]]] = {
    Put: _put,
    Delete: _delete,
    CompareAndSwap: _compare_and_swap,
    Batch: _batch,
}
