"""The ordered file under a state store: one flat key space, read in short looks, written in transactions."""

from collections.abc import Callable
from typing import Protocol

from .paging import Page, Pair


class Writer(Protocol):
    """One open transaction. All of it becomes visible at once, or nothing of it."""

    def get(self, key: bytes) -> bytes | None:
        """The value as of now in this transaction, or None."""
        ...

    def get_many(self, keys: list[bytes]) -> list[Pair]:
        """The pairs of those keys that are there; cheapest with keys in ascending order."""
        ...

    def put_many(self, pairs: list[Pair]) -> None:
        """Set every pair; cheapest with keys in ascending order."""
        ...

    def delete(self, key: bytes) -> None:
        """Remove the key if it is there."""
        ...

    def delete_range(self, start: bytes, stop: bytes, limit: int) -> int:
        """Remove at most ``limit`` keys of ``[start, stop)``, lowest first. Returns how many it removed."""
        ...


class Moment(Protocol):
    """The file as it was at one moment, whatever is committed later. Closed by whoever asked for it.

    Its methods may be called from any thread. Once the medium is reopened or closed they raise StorageFailed.
    """

    def get(self, key: bytes) -> bytes | None:
        """The value as a copy, or None."""
        ...

    def page(self, start: bytes, stop: bytes, limit: int) -> Page:
        """At most ``limit`` pairs and about ``PAGE_BYTES`` bytes of ``[start, stop)``, ascending."""
        ...

    def close(self) -> None:
        """Let the file use the space again that only this moment still needed. Idempotent."""
        ...


class Medium(Protocol):
    """An ordered map of bytes to bytes that outlives the process.

    Reads come from one thread, the loop's. ``commit`` may run in another one at the same time: reads then
    see the state before it or after it.
    """

    def get(self, key: bytes) -> bytes | None:
        """The value as a copy, or None."""
        ...

    def page(self, start: bytes, stop: bytes, limit: int, *, reverse: bool) -> Page:
        """At most ``limit`` pairs and about ``PAGE_BYTES`` bytes of ``[start, stop)``, read at one moment."""
        ...

    def around(self, start: bytes, stop: bytes) -> list[Pair]:
        """The last pair below ``start`` and the first one from ``stop`` on, as far as they are there."""
        ...

    def moment(self) -> Moment:
        """The file as it is now. From the loop's thread."""
        ...

    def commit(self, work: Callable[[Writer], None]) -> None:
        """Run ``work`` in one transaction and make it durable. After an error nothing of it is visible.

        Raises DiskFull, StorageFailed, and whatever ``work`` raises.
        """
        ...

    def reopen(self) -> None:
        """Open the file anew, as after a failed commit. From the loop's thread."""
        ...

    def copy(self) -> None:
        """Write everything to a new file, flush and compare it. From any thread; nobody commits meanwhile.

        Raises DiskFull, StorageFailed, Corruption; then there is no new file.
        """
        ...

    def adopt(self) -> None:
        """Put what ``copy`` has written in the place of the file, and go on with it, as in ``reopen``."""
        ...

    def close(self) -> None:
        """Release the file; waits for a commit in progress."""
        ...
