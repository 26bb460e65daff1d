"""One socket that speaks frames: reading under limits, a bounded queue, refusing, closing.

The same class serves both ends and every kind of peer; what a frame means is the sink's business.
"""

import asyncio
from typing import Protocol, cast

from ...native.frames import HEADER_SIZE, seal
from ..errors import Error, Unavailable
from .framing import BadStream, FrameReader
from .kinds import HELLO_LIMIT, FrameKind, Limits
from .refusal import encode_refusal
from .sendqueue import CHUNK_BYTES, SendQueue

_LINGER_S = 1.0


class Sink(Protocol):
    """What a connection reports to. Never called from inside ``send``."""

    def received(self, connection: "Connection", kind: FrameKind, payload: bytes, /) -> None:
        """A complete frame."""

    def lost(self, connection: "Connection", /) -> None:
        """The connection is gone; comes exactly once, to the sink of that moment."""


class Greeter(Sink, Protocol):
    """The first sink of a connection; in its first ``received`` it admits, refuses or closes it."""

    def opened(self, connection: "Connection", /) -> None:
        """The socket is connected; now is the time to send a hello, or to refuse."""


class Connection(asyncio.Protocol):
    """A framed connection.

    Args:
        greeter: told what happens until somebody is admitted.
        hello_s: the connection is closed unless it is admitted within these seconds.
    """

    def __init__(self, greeter: Greeter, hello_s: float) -> None:
        self._greeter = greeter
        self._sink: Sink = greeter
        self._loop = asyncio.get_running_loop()
        self._queue = SendQueue(HEADER_SIZE + HELLO_LIMIT)
        self._reader = FrameReader()
        self._hello_s = hello_s
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None  # of the hello, later of the lingering
        self._flush_due = False
        self._paused = False
        self._closing = False
        self.closed: asyncio.Future[None] = self._loop.create_future()
        """Done once the socket is gone and the sink knows."""
        self.error: Error | OSError | None = None
        """Why the connection ended; None while it lives and after an orderly end."""
        self.quiet_rounds = 0
        """Rounds of the transport's clock since anything came in."""
        self.idle = True
        """Nothing was sent since the transport's clock set this."""

    # -- what the owner calls ----------------------------------------------------------------------

    @property
    def remote(self) -> str:
        """The other side's address, for logs."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unknown address"

    @property
    def closing(self) -> bool:
        """Whether the connection is gone or on its way out: nothing can be sent any more."""
        return self._closing

    def send(self, frame: bytes, *, urgent: bool = False) -> bool:
        """Queue a sealed frame. ``False``: the connection is closing or its queue is full."""
        if self._closing or self._transport is None:
            return False
        if not self._queue.offer(frame, urgent, self._transport.get_write_buffer_size()):
            return False
        self.idle = False
        # What one pass of the loop sends leaves in one system call.
        if not self._flush_due and not self._paused:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        return True

    def admit(self, sink: Sink, limits: Limits, queue_bytes: int) -> None:
        """The hello of the other side is accepted.

        From now on ``sink`` is told what happens, ``limits`` hold for what comes in, and ``queue_bytes``
        bounds what waits to be sent.
        """
        self._stop_deadline()
        self._sink = sink
        self._reader.admit(limits)
        self._queue.limit = queue_bytes

    def refuse(self, error: Error, *, linger: bool = True) -> None:
        """Tell the other side why and close.

        Closing with unread input makes the kernel reset the connection, and the reason would be lost. So the
        sending half is closed first, and input is thrown away until the other side closes or a second is over
        (unless ``linger`` is false: when there are too many connections already).
        """
        if self._closing or self._transport is None:
            return
        self._start_closing(error)
        self._transport.write(seal(FrameKind.REFUSED, encode_refusal(error)))
        if not linger:
            self._transport.close()
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._deadline = self._loop.call_later(_LINGER_S, self._transport.abort)

    def close(self, error: Error | None = None) -> None:
        """Close once what is queued has been written, or after a second; nothing more is handed out."""
        if self._closing or self._transport is None:
            return
        self._start_closing(error, keep_queue=True)
        while self._queue.waiting:
            self._transport.write(self._queue.take())
        self._transport.close()
        self._deadline = self._loop.call_later(_LINGER_S, self._transport.abort)

    def abort(self, error: Error | None = None) -> None:
        """Close at once and drop what is queued."""
        if self._transport is not None and not self.closed.done():
            self._start_closing(error)
            self._transport.abort()

    def disown(self) -> None:
        """Whoever connected was cancelled or failed: end at once, without waiting for the event loop.

        uvloop closes a socket whose connect is cancelled at the last moment without a ``connection_lost``.
        """
        if self._transport is not None:
            self._transport.abort()
            self.connection_lost(None)

    def pause_reading(self) -> None:
        """Take nothing more from the socket until ``resume_reading``."""
        if self._transport is not None and not self._closing:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()

    # -- what the event loop calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        # No isinstance: uvloop's transports are not asyncio's. Both loops set TCP_NODELAY by themselves.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=CHUNK_BYTES)
        self._deadline = self._loop.call_later(self._hello_s, self._hello_missing)
        self._greeter.opened(self)

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        if self._closing:
            return
        self.quiet_rounds = 0
        try:
            frames = self._reader.feed(data)
            while frames:
                for kind, payload in frames:
                    self._sink.received(self, kind, payload)
                    if self.closing:
                        return
                frames = self._reader.feed(b"")  # what waited behind the hello
        except BadStream as error:
            self.refuse(error)

    def pause_writing(self) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        self._paused = True

    def resume_writing(self) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        self._paused = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        if self.closed.done():  # disowned
            return
        if isinstance(exc, OSError) and self.error is None:
            self.error = exc
        self._closing = True
        self._stop_deadline()
        self._queue.clear()
        self._sink.lost(self)
        self.closed.set_result(None)

    # -- inner -------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._flush_due = False
        while self._queue.waiting and not self._paused and not self._closing:
            assert self._transport is not None
            self._transport.write(self._queue.take())

    def _hello_missing(self) -> None:
        self.abort(Unavailable(f"no hello within {self._hello_s:g} s"))

    def _start_closing(self, error: Error | None, keep_queue: bool = False) -> None:
        self._closing = True
        self.error = self.error or error
        self._stop_deadline()
        if not keep_queue:
            self._queue.clear()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
