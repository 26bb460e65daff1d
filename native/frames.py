"""The header before everything that nodes send: kind, length and checksums."""

from typing import Final

from ._native import ffi, lib
from .checksum import crc32c
from .errors import bad_frame, refusal

_seal = lib.mr_frame_seal
_open = lib.mr_frame_open
_from_buffer = ffi.from_buffer
_buffer = ffi.buffer
_new = ffi.new

HEADER_SIZE: Final = lib.MR_FRAME_HEADER
"""Bytes of a frame header."""

VERSION: Final = lib.MR_FRAME_VERSION
"""Version of the frame layout."""

MAX_PAYLOAD: Final = lib.MR_FRAME_PAYLOAD_MAX
"""Bytes that the payload of any frame may have: an entry of 4 MiB and what stands around it."""


def seal(kind: int, payload: bytes) -> bytes:
    """A whole frame: header and ``payload``. ``kind`` is 1..255 and the transport's business.

    Raises TooLarge (payload) or Malformed (kind).
    """
    header = _new("uint8_t[]", HEADER_SIZE)
    status = _seal(kind, len(payload), crc32c(payload), header)
    if status:
        raise refusal(status, f"frame of kind {kind} with {len(payload)} bytes")
    return _buffer(header)[:] + payload


def open_header(buffer: bytes | bytearray | memoryview, offset: int = 0) -> tuple[int, int, int]:
    """``(kind, length, payload_crc)`` of the frame whose header begins at ``offset`` of ``buffer``.

    The payload need not be there yet; when it is, compare ``crc32c(payload)`` with ``payload_crc``.
    Raises BadFrame if fewer than HEADER_SIZE bytes are there, or the header is damaged or unsupported.
    """
    header = bytes(buffer[offset : offset + HEADER_SIZE])
    frame = _new("struct mr_frame *")
    status = _open(header, len(header), frame)
    if status:
        raise bad_frame(status, f"frame header at offset {offset}")
    return frame.kind, frame.length, frame.payload_crc
