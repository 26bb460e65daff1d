"""What ``open`` and ``connect`` return."""

from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, NoReturn, Protocol, TypeVar


class Closable(Protocol):
    """Something that is closed in the end."""

    async def close(self) -> None:
        """Release everything; idempotent."""
        ...


T = TypeVar("T", bound=Closable)


class Opening(Generic[T]):
    """Something being opened: ``await`` it, or enter it with ``async with``, which closes it in the end."""

    def __init__(self, opener: Callable[[], Awaitable[T]]) -> None:
        self._opener = opener
        self._opened: T | None = None

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{name!r}: this is still being opened. Write `async with ... as db:` or `db = await ...` first"
        )

    def __await__(self) -> Generator[Any, None, T]:
        return self._opener().__await__()

    async def __aenter__(self) -> T:
        self._opened = await self._opener()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._opened is not None
        await self._opened.close()
