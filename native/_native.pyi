"""Types of what the C extension offers. The C headers declare it; this is for type checkers."""

from collections.abc import Callable
from typing import Any, TypeAlias, final

CData: TypeAlias = Any  # a pointer, array or struct; cffi checks its type at each call
Source: TypeAlias = bytes | CData  # const uint8_t *: cffi takes bytes as they are, without a copy

@final
class Buffer:
    """C memory as bytes: a slice is a copy."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: slice, /) -> bytes: ...

@final
class FFI:
    """The part of cffi that is used here, with the types that it has for our numbers and bytes."""

    def new(self, ctype: str, size: int = ..., /) -> CData: ...
    def new_allocator(self, *, should_clear_after_alloc: bool) -> Callable[[str, int], CData]: ...
    def buffer(self, cells: CData, /) -> Buffer: ...
    def from_buffer(self, data: bytearray | memoryview, /) -> CData: ...
    def string(self, pointer: CData, /) -> bytes: ...
    def unpack(self, cells: CData, count: int, /) -> list[int]: ...

@final
class Lib:
    """The functions and constants between the cffi marks of the headers."""

    MR_RUN_HEADER: int
    MR_RUN_ROW: int
    MR_RUN_ENTRIES_MAX: int
    MR_ENTRY_BYTES_MAX: int
    MR_RUN_BYTES_MAX: int
    MR_FRAME_HEADER: int
    MR_FRAME_VERSION: int
    MR_FRAME_PAYLOAD_MAX: int
    MR_MESSAGES_HEADER: int
    MR_MESSAGES_ROW: int
    MR_MESSAGES_FIELDS: int
    MR_MESSAGES_ROWS_MAX: int
    MR_MESSAGES_ENTRIES_MAX: int
    MR_MESSAGES_PAYLOAD_MAX: int

    def mr_status_count(self) -> int: ...
    def mr_status_name(self, status: int, /) -> CData: ...
    def mr_status_text(self, status: int, /) -> CData: ...
    def mr_last_bug(self) -> CData: ...
    def mr_crc32c(self, seed: int, data: Source, length: int, /) -> int: ...
    def mr_crc32c_portable(self, seed: int, data: Source, length: int, /) -> int: ...
    def mr_crc32c_released(self, seed: int, data: Source, length: int, /) -> int: ...
    def mr_crc32c_accelerated(self) -> int: ...
    def mr_inflights_init(self, window: CData, size: int, max_bytes: int, /) -> None: ...
    def mr_inflights_full(self, window: CData, /) -> int: ...
    def mr_inflights_next_capacity(self, window: CData, /) -> int: ...
    def mr_inflights_grow(self, window: CData, records: CData, capacity: int, /) -> int: ...
    def mr_inflights_add(self, window: CData, index: int, payload_bytes: int, /) -> int: ...
    def mr_inflights_free_le(self, window: CData, index: int, /) -> int: ...
    def mr_inflights_free_first_one(self, window: CData, /) -> int: ...
    def mr_inflights_reset(self, window: CData, /) -> None: ...
    def mr_runs_encode(
        self,
        counts: Source,
        runs: int,
        numbers: Source,
        types: Source,
        entries: int,
        payload: Source,
        payload_bytes: int,
        target: CData,
        room: int,
        ends: CData,
        failed: CData,
        /,
    ) -> int: ...
    def mr_run_open(self, data: Source, length: int, run: CData, /) -> int: ...
    def mr_run_verify(self, data: Source, length: int, run: CData, /) -> int: ...
    def mr_run_decode(self, data: Source, length: int, run: CData, columns: CData, /) -> int: ...
    def mr_frame_seal(self, kind: int, length: int, payload_crc: int, target: CData, /) -> int: ...
    def mr_frame_open(self, data: Source, available: int, frame: CData, /) -> int: ...
    def mr_messages_seal(
        self,
        kind: int,
        payload_max: int,
        directory_index: int,
        numbers: Source,
        rows: int,
        body: Source,
        body_bytes: int,
        target: CData,
        room: int,
        failed_row: CData,
        /,
    ) -> int: ...
    def mr_messages_decode(
        self,
        payload: Source,
        length: int,
        payload_max: int,
        messages: CData,
        columns: CData,
        entries: CData,
        /,
    ) -> int: ...

lib: Lib
ffi: FFI
