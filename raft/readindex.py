"""Linearizable reads: requests wait until a quorum has confirmed that the leader leads (thesis §6.4)."""

from collections.abc import Iterable

from .messages import Message


class _Request:
    """A read request, the commit index it was received at, and who has confirmed the leader since."""

    __slots__ = ("acknowledged", "index", "message")

    def __init__(self, message: Message, index: int, acknowledged: Iterable[int]) -> None:
        self.message = message
        self.index = index
        self.acknowledged = dict.fromkeys(acknowledged, True)  # a dict: its order is the order of arrival


class ReadQueue:
    """Unconfirmed requests in the order of arrival, by context.

    A confirmed request confirms all earlier ones: the quorum answered a heartbeat sent after them.
    """

    __slots__ = ("_requests",)

    def __init__(self) -> None:
        self._requests: dict[bytes, _Request] = {}

    def __contains__(self, context: bytes) -> bool:
        return context in self._requests

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, message: Message, index: int, leader: int) -> None:
        """Take a request at commit index `index`; the leader confirms it at once. A repetition is ignored."""
        self._requests.setdefault(message.context, _Request(message, index, (leader,)))

    def acknowledge(self, replica: int, context: bytes) -> tuple[int, ...]:
        """Note that `replica` answered the heartbeat of `context`; returns all who did, none if unknown."""
        request = self._requests.get(context)
        if request is None:
            return ()
        request.acknowledged[replica] = True
        return tuple(request.acknowledged)

    def pending(self) -> list[tuple[bytes, tuple[int, ...]]]:
        """The contexts, newest first, each with those who have confirmed it."""
        return [
            (context, tuple(request.acknowledged)) for context, request in reversed(self._requests.items())
        ]

    def items(self) -> list[tuple[Message, int, tuple[int, ...]]]:
        """The requests, oldest first: message, commit index, and those who have confirmed it."""
        return [(r.message, r.index, tuple(r.acknowledged)) for r in self._requests.values()]

    def restore(self, message: Message, index: int, acknowledged: Iterable[int]) -> None:
        """Put back, behind the others, a request that `items` told of."""
        self._requests[message.context] = _Request(message, index, acknowledged)

    def release(self, context: bytes) -> list[tuple[Message, int]]:
        """Take out the request of `context` and all before it, with their commit indexes."""
        released = []
        if context in self._requests:
            for key in list(self._requests):
                request = self._requests.pop(key)
                released.append((request.message, request.index))
                if key == context:
                    break
        return released

    def last_context(self) -> bytes:
        """The context of the newest request, which a heartbeat may confirm; empty if there is none."""
        return next(reversed(self._requests), b"")

    def clear(self) -> None:
        """Forget every request: leadership is lost and their senders have to ask again."""
        self._requests.clear()
