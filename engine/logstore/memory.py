"""The log store in memory: the same code on an environment that a crash can be tried on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..errors import Corruption
from .chunks import Buffer
from .collection import CollectionPolicy
from .environment import Get
from .store import CACHE_BYTES, LogStore
from .valuesize import ValueSizes


class MemoryEnvironment:
    """Implements `environment.LiveEnvironment` with a dictionary: what is committed is left by a crash."""

    def __init__(self, values: dict[bytes, bytes] | None = None) -> None:
        """Begin with a copy of these values."""
        self.values = dict(sorted((values or {}).items()))
        self.aside: dict[int, list[bytes]] = {}
        """Batches that were set aside."""
        self.before_write: Callable[[], None] | None = None
        """Called before each transaction; what it raises is what the transaction fails with."""

    def write(
        self,
        dropped: Sequence[bytes],
        added: Sequence[tuple[bytes, Buffer]],
        before_flush: Callable[[], None] | None = None,
    ) -> None:
        """See `Environment.write`."""
        if self.before_write is not None:
            self.before_write()
        last = next(reversed(self.values), b"")
        for key, _ in added:
            if key <= last:
                raise Corruption(f"the log holds a key beyond {key.hex()}, which is not its own")
            last = key
        for key in dropped:
            self.values.pop(key, None)
        if before_flush is not None:
            before_flush()
        self.values.update((key, bytes(value)) for key, value in added)

    def write_again(self, dropped: Sequence[bytes], added: Sequence[tuple[bytes, bytes]]) -> None:
        """See `Environment.write_again`."""
        self.write(dropped, added)

    def set_aside(self, seq: int, values: Sequence[bytes]) -> None:
        """See `Environment.set_aside`."""
        self.aside[seq] = list(values)

    def sync(self) -> None:
        """See `Environment.sync`: a crash takes nothing that was written."""

    def reopen(self) -> None:
        """See `LiveEnvironment.reopen`."""

    def copy(self) -> None:
        """See `LiveEnvironment.copy`: it is refused if a write is."""
        if self.before_write is not None:
            self.before_write()

    def adopt(self) -> None:
        """See `LiveEnvironment.adopt`."""

    def remains(self, wanted: bytes) -> Iterator[Buffer]:
        """See `Environment.remains`: there are only values that a key leads to."""
        return iter([value for value in self.values.values() if value.startswith(wanted)])

    @property
    def value_min(self) -> int:
        """See `Environment.value_min`."""
        return 0

    @property
    def value_small(self) -> int:
        """See `Environment.value_small`: that of LMDB."""
        return 4080

    def footprint(self, size: int) -> int:
        """See `Environment.footprint`."""
        return size

    def last_key(self) -> bytes | None:
        """See `Environment.last_key`."""
        return next(reversed(self.values), None)

    @contextmanager
    def reading(self) -> Iterator[Get]:
        """See `Environment.reading`."""
        yield self.values.get

    @property
    def count(self) -> int:
        """See `Environment.count`."""
        return len(self.values)

    def scan(self, start: bytes = b"") -> Iterator[tuple[Buffer, Buffer]]:
        """See `Environment.scan`."""
        for key, value in self.values.items():
            if key >= start:
                yield key, value

    def close(self) -> None:
        """See `Environment.close`. The values stay, as a disk's would."""


class MemoryLogStore(LogStore):
    """A log store for simulation and fast tests: nothing but what was committed survives `crash`."""

    def __init__(
        self,
        environment: MemoryEnvironment | None = None,
        *,
        cache_bytes: int = CACHE_BYTES,
        collection: CollectionPolicy | None = None,
        sizes: ValueSizes | None = None,
    ) -> None:
        """Open the store that an environment holds; without one, a new store."""
        self.environment = environment or MemoryEnvironment()
        self._options = (cache_bytes, collection, sizes)
        super().__init__(self.environment, cache_bytes=cache_bytes, collection=collection, sizes=sizes)

    def crash(self) -> "MemoryLogStore":
        """The store as it is found after a crash at this moment; this one is closed."""
        self.close()
        cache_bytes, collection, sizes = self._options
        survived = MemoryEnvironment(self.environment.values)
        return MemoryLogStore(survived, cache_bytes=cache_bytes, collection=collection, sizes=sizes)
