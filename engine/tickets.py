"""What callers hold while a node works for them."""

import asyncio

from .errors import Error, OutcomeUnknown


class Ticket:
    """A future, and the room that the request takes."""

    __slots__ = ("future", "size", "writes")

    def __init__(self, future: "asyncio.Future[object]", size: int, *, writes: bool) -> None:
        self.future = future
        self.size = size
        self.writes = writes

    def lost(self, reason: Error) -> Error:
        """What to tell the caller if nobody knows what became of the request."""
        if not self.writes:
            return reason
        unknown = OutcomeUnknown("the node stopped while it worked on the write")
        unknown.__cause__ = reason
        return unknown
