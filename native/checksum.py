"""CRC-32C, the one checksum of files, entries, values and frames."""

from typing import Final

from ._native import ffi, lib

_crc32c = lib.mr_crc32c
_crc32c_released = lib.mr_crc32c_released
_from_buffer = ffi.from_buffer

ACCELERATED: Final = bool(lib.mr_crc32c_accelerated())
"""Whether the processor's own instruction does the work."""

_LONG: Final = 512 * 1024  # bytes that take some 50 us, from where on it pays to let other threads run


def crc32c(data: bytes | bytearray | memoryview, seed: int = 0) -> int:
    """Checksum of ``data``. ``seed`` is that of what stands before it: 0, or an earlier result.

    ``data`` is contiguous; a memoryview counts in bytes, whatever its items are. The GIL is released while a
    large buffer is read, so nobody may write to it meanwhile.
    """
    if isinstance(data, bytes):
        length = len(data)
        if length < _LONG:
            return _crc32c(seed, data, length)
        return _crc32c_released(seed, data, length)
    with _from_buffer(data) as view:
        length = len(view)
        return (_crc32c if length < _LONG else _crc32c_released)(seed, view, length)
