"""The key-value operations, as everybody calls them: on an embedded engine or on a connected client."""

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Literal, NamedTuple

from ..engine.errors import InvalidArgument
from ..engine.statemachine.commands import check_key, encode_cas, encode_delete, encode_put
from ..engine.statemachine.keys import lower_stop, prefix_stop
from .batch import WriteBatch
from .explanation import Explanation
from .planning import Deleted, chunks, even_cuts, ranges_from_splits, within
from .requests import Scalar
from .scanning import Page, PageRequest, Pair

Consistency = Literal["linearizable", "stale"]
Progress = Callable[[int, int], None]


class CreateResult(NamedTuple):
    """What :meth:`Database.create_ranges` did."""

    created: int
    existing: int
    """Ranges that were there already, exactly as asked for."""
    seconds: float


class DeleteResult(NamedTuple):
    """What :meth:`Database.delete_ranges` did."""

    deleted: int
    seconds: float


class Database(ABC):
    """Ordered keys and values, both ``bytes``. Keys have at most 480 bytes, values 1 MiB, batches 4 MiB.

    Reads are linearizable unless ``consistency="stale"`` asks for whatever the nearest replica holds.
    Every operation takes ``timeout`` in seconds (default: the engine's ``operation_timeout_ms``): a read that
    is not answered in time raises ``Unavailable``, a write ``OutcomeUnknown``. An operation that is cancelled
    — by ``asyncio.timeout`` too — stops waiting; a cancelled write may still commit.
    """

    async def put(self, key: bytes, value: bytes, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 # typed errors instead of TimeoutError
        """Set a value."""
        await self._write(key, key, encode_put(key, value), timeout)

    async def get(
        self,
        key: bytes,
        default: bytes | None = None,
        *,
        consistency: Consistency = "linearizable",
        timeout: float | None = None,  # noqa: ASYNC109 # typed errors instead of TimeoutError
    ) -> bytes | None:
        """The value of a key, or ``default``."""
        check_key(key)
        value = await self._get(key, _is_stale(consistency), timeout)
        return default if value is None else value

    async def delete(self, key: bytes, *, timeout: float | None = None) -> bool:  # noqa: ASYNC109 # as above
        """Remove a key. Returns whether it was there."""
        return bool(await self._write(key, key, encode_delete(key), timeout))

    async def compare_and_swap(
        self,
        key: bytes,
        expected: bytes | None,
        new: bytes | None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 # as above
    ) -> bool:
        """Set ``new`` if the value is ``expected``; ``None`` stands for "no such key" on both sides."""
        return bool(await self._write(key, key, encode_cas(key, expected, new), timeout))

    def batch(self, *, timeout: float | None = None) -> WriteBatch:
        """Writes that happen together or not at all, in one range.

        ``async with db.batch() as batch: batch.put(...)`` writes when the block ends and discards
        everything if it raises.
        """
        return WriteBatch(lambda low, high, body: self._write(low, high, body, timeout))

    async def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
        consistency: Consistency = "linearizable",
        timeout: float | None = None,  # noqa: ASYNC109 # per page; typed errors instead of TimeoutError
    ) -> AsyncGenerator[Pair, None]:
        """Pairs in key order: ``start`` inclusive, ``stop`` exclusive, fetched page by page.

        Linearizable per range and page: writes that happen during the scan may show in its later part.
        """
        pages = self.scan_pages(
            start,
            stop,
            prefix=prefix,
            reverse=reverse,
            limit=limit,
            consistency=consistency,
            timeout=timeout,
        )
        async for page in pages:
            for pair in page:
                yield pair

    async def scan_pages(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        reverse: bool = False,
        limit: int | None = None,
        consistency: Consistency = "linearizable",
        timeout: float | None = None,  # noqa: ASYNC109 # per page; typed errors instead of TimeoutError
    ) -> AsyncGenerator[list[Pair], None]:
        """The same as :meth:`scan`, in lists of up to 1,000 pairs, each from one range; none is empty."""
        stale = _is_stale(consistency)
        for bound in (start, stop, prefix):
            if bound is not None and not isinstance(bound, bytes):
                raise InvalidArgument(f"start, stop and prefix are bytes, not {type(bound).__name__}")
        low = max(start or b"", prefix or b"")
        high = lower_stop(prefix_stop(prefix) if prefix else None, stop)
        left = _check_limit(limit)
        while left != 0 and (high is None or low < high):
            page = await self._scan_page(PageRequest(low, high, reverse, left, stale), timeout)
            if page.pairs:
                yield page.pairs
            left -= len(page.pairs)
            if page.resume is None:
                return
            if reverse:
                high = page.resume
            else:
                low = page.resume

    async def create_ranges(
        self,
        count: int | None = None,
        *,
        between: tuple[bytes, bytes | None] = (b"", None),
        splits: Sequence[bytes] | None = None,
        replicas: int | None = None,
        progress: Progress | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 # per chunk of ranges; typed errors
    ) -> CreateResult:
        """Cover an interval of keys with new ranges: ``count`` even ones, or cut at ``splits``.

        Safe to repeat: ranges that exist exactly so are counted and left alone. ``progress(done, total)``
        is called after every chunk of at most 1,000 ranges. Returns when the ranges are in the directory of
        the node that was asked; each elects its leader at once.

        Args:
            count: how many even ranges.
            between: the interval to cover.
            splits: the keys at which to cut it, instead of ``count``.
            replicas: copies of each range; by default three, or as many as there are nodes.
            progress: called as ``progress(done, total)``.
            timeout: seconds per chunk.

        Raises:
            InvalidRanges: they overlap existing ranges, or the interval is too narrow.
        """
        if (count is None) == (splits is None):
            raise InvalidArgument("create_ranges takes either count or splits")
        if splits is None:
            assert count is not None
            splits = even_cuts(count, *between)
        ranges = ranges_from_splits(splits, between)
        began = time.monotonic()
        created = existing = 0
        for chunk in chunks(ranges):
            new, old = await self._create_chunk(chunk, replicas or 0, timeout)
            created += new
            existing += old
            if progress is not None:
                progress(created + existing, len(ranges))
        return CreateResult(created, existing, time.monotonic() - began)

    async def delete_ranges(
        self,
        between: tuple[bytes, bytes | None],
        *,
        progress: Progress | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 # per chunk of ranges; typed errors
    ) -> DeleteResult:
        """Delete the ranges that lie in an interval, with all that they hold; nothing brings it back.

        First each range stops serving, by an entry of its own log, so that no partitioned leader goes on
        acknowledging writes; then the directory forgets it, and its nodes drop what they have of it. From
        then on no range covers its keys, and ``create_ranges`` may cover them anew.

        Safe to repeat: a call that was cut off, by whatever, is finished by the next one. Ranges that it had
        come to answer ``RangeDeleted`` until then. ``progress(done, total)`` is called after every chunk of
        at most 1,000 ranges.

        Args:
            between: the interval; ``(b"", None)`` is the whole key space.
            progress: called as ``progress(done, total)``.
            timeout: seconds per chunk.

        Raises:
            InvalidRanges: the interval is empty, or cuts a range: that would lose keys outside of it.
            OutcomeUnknown: some ranges serve nothing any more; call again.
            Unavailable: a range has no leader, which has to agree. What else its group answers, likewise.
        """
        began = time.monotonic()
        start, end = within(*between)
        resume: bytes | None = start
        done = 0
        while resume is not None:
            deleted, left, resume = await self._delete_chunk(resume, end, timeout)
            done += deleted
            if progress is not None:
                progress(done, done + left)
        return DeleteResult(done, time.monotonic() - began)

    @abstractmethod
    async def status(self) -> dict[str, object]:
        """The cluster: ``nodes`` (node, address, alive, leaders, replicas, applied_lag) and ``ranges``."""

    @abstractmethod
    async def explain(self, place: bytes | int) -> Explanation:
        """Why proposals or reads of a range are not finished: who is behind, cut off, full, set aside.

        It is what the nodes say that hold the range and answer within two seconds, at one moment: no majority
        is needed for it, nor a leader. ``place`` is a key of the range, or its number; 1 is the directory's.

        Raises:
            NoRange: there is no such range, as far as the node knows.
        """

    @abstractmethod
    async def _write(self, low: bytes, high: bytes, body: bytes, timeout: float | None) -> Scalar: ...  # noqa: ASYNC109 # as above

    @abstractmethod
    async def _get(self, key: bytes, stale: bool, timeout: float | None) -> bytes | None: ...  # noqa: ASYNC109 # as above

    @abstractmethod
    async def _scan_page(self, request: PageRequest, timeout: float | None) -> Page: ...  # noqa: ASYNC109 # as above

    @abstractmethod
    async def _create_chunk(
        self,
        ranges: Sequence[tuple[bytes, bytes | None]],
        replicas: int,
        timeout: float | None,  # noqa: ASYNC109 # as above
    ) -> tuple[int, int]: ...

    @abstractmethod
    async def _delete_chunk(self, start: bytes, end: bytes | None, timeout: float | None) -> Deleted: ...  # noqa: ASYNC109 # as above


SCAN_WITHOUT_LIMIT = 2**62


def _check_limit(limit: int | None) -> int:
    if limit is None:
        return SCAN_WITHOUT_LIMIT
    if type(limit) is not int or limit < 0:
        raise InvalidArgument(f"a scan's limit is a number of pairs, not {limit!r}")
    return min(limit, SCAN_WITHOUT_LIMIT)


def _is_stale(consistency: str) -> bool:
    if consistency not in {"linearizable", "stale"}:
        raise InvalidArgument(f'consistency must be "linearizable" or "stale", not {consistency!r}')
    return consistency == "stale"
