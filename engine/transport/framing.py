"""Cuts a byte stream into checked frames, under limits that depend on the phase of the connection."""

from ...native.checksum import crc32c
from ...native.errors import BadFrame
from ...native.frames import HEADER_SIZE, open_header
from ..errors import InvalidArgument
from .kinds import GREETING_LIMITS, FrameKind, Limits

Frame = tuple[FrameKind, bytes]


class BadStream(InvalidArgument):
    """What comes in is damaged, over a limit, or not this protocol at all. The connection cannot go on."""


class FrameReader:
    """Reads one direction of one connection.

    Starts in the greeting phase: small frames only, and at most one is handed out per call, so that what
    follows the hello waits until :meth:`admit` has set the limits that apply to it.

    A header is checked as soon as its 24 bytes are there, before its payload is kept. Held at any time:
    at most one incomplete frame and what one ``feed`` brought beyond it. A reader that raised stays broken.
    """

    def __init__(self) -> None:
        self._limits: Limits = GREETING_LIMITS
        self._greeting = True
        self._held = bytearray()
        self._wanted = HEADER_SIZE  # bytes that must be held before there is something new to decide
        self._broken: BadStream | None = None

    @property
    def held(self) -> int:
        """Bytes kept for frames that are not handed out yet."""
        return len(self._held)

    def admit(self, limits: Limits) -> None:
        """The greeting is over. Call ``feed(b"")`` for what came behind it."""
        self._limits = limits
        self._greeting = False
        self._wanted = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the stream; the frames that are complete now, in order.

        Raises:
            BadStream: damaged, of an unknown kind, or too large. Nothing of this call is handed out.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return self._feed(data)
        except BadStream as error:
            self._broken = error
            self._held = bytearray()  # not clear(): the traceback may still export the old one
            raise

    def _feed(self, data: bytes) -> list[Frame]:
        if not self._held:
            # The usual case: whole frames arrive at once and are cut out without being copied twice.
            frames, used = self._cut(data)
            if used < len(data):
                self._held += memoryview(data)[used:]
            return frames
        self._held += data
        if len(self._held) < self._wanted:
            return []
        frames, used = self._cut(self._held)
        del self._held[:used]
        return frames

    def _cut(self, source: bytes | bytearray) -> tuple[list[Frame], int]:
        """The complete frames at the start of ``source`` and how many bytes they take."""
        frames: list[Frame] = []
        offset, available = 0, len(source)
        self._wanted = HEADER_SIZE
        while available - offset >= HEADER_SIZE:
            kind, length, payload_crc = self._open(source, offset)
            end = offset + HEADER_SIZE + length
            if end > available:
                self._wanted = end - offset
                break
            payload = bytes(memoryview(source)[offset + HEADER_SIZE : end])
            if crc32c(payload) != payload_crc:
                raise BadStream(f"the checksum of a {kind.name} payload of {length} bytes is wrong")
            frames.append((kind, payload))
            offset = end
            if self._greeting:
                break
        return frames, offset

    def _open(self, source: bytes | bytearray, offset: int) -> tuple[FrameKind, int, int]:
        try:
            number, length, payload_crc = open_header(source, offset)
        except BadFrame as error:
            raise BadStream(str(error)) from error
        limit = self._limits.get(number)
        if limit is None:
            raise BadStream(f"a frame of kind {number} is not allowed here")
        if length > limit:
            raise BadStream(f"a {FrameKind(number).name} payload of {length} bytes, the limit is {limit}")
        return FrameKind(number), length, payload_crc
