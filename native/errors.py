"""What the native part raises: status codes of the C side, turned into exceptions in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._native import ffi, lib

if TYPE_CHECKING:
    from ._native import CData


def _text(pointer: CData) -> str:
    return ffi.string(pointer).decode()


NAMES: Final = {-code: _text(lib.mr_status_name(-code)) for code in range(lib.mr_status_count())}
TEXTS: Final = {-code: _text(lib.mr_status_text(-code)) for code in range(lib.mr_status_count())}
_CODES: Final = {name: code for code, name in NAMES.items()}
GROW: Final = _CODES["MR_GROW"]
RANGE: Final = _CODES["MR_RANGE"]


class NativeError(Exception):
    """Base of everything that ``multiraft.native`` raises; never raised itself.

    ``reason`` is the name of the C status, such as ``"MR_CHECKSUM"``, or ``""`` if Python found the fault.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class NativeBug(NativeError, AssertionError):
    """An invariant of the C code does not hold: our bug. The call changed nothing; give up its group."""


class BadFrame(NativeError):
    """Bytes from a peer are not a frame, damaged, or over a limit. Drop the connection that brought them."""


class Damaged(NativeError):
    """An encoded run does not hold what was put into it.

    ``index``: the first entry that cannot be trusted, as the run numbers it; 0 if not even its header is
    there. Quarantine the replica whose log this is.
    """

    def __init__(self, index: int, message: str = "an encoded run is damaged", reason: str = "") -> None:
        super().__init__(f"entry {index}: {message}", reason)
        self.index = index


class Full(NativeError):
    """A message was added to a full window. Ask ``full()`` before sending."""


class OutOfOrder(NativeError, ValueError):
    """An index does not follow the one before it: entries of a run are consecutive, a window's increase."""


class TooLarge(NativeError, ValueError):
    """An entry, a run or a payload is over its limit in bytes. Refuse it, or cut it and try again."""


class TooMany(NativeError, ValueError):
    """More entries or messages than one run or frame may hold. Cut it and try again."""


class Malformed(NativeError, ValueError):
    """The caller's numbers contradict each other: lengths that do not add up, unknown flags, a bad run."""


class Refused(NativeError, ValueError):
    """The index of a log cannot take what it was given; ``group`` and ``index`` are 0 if not known."""

    def __init__(self, message: str, reason: str, group: int, index: int) -> None:
        super().__init__(message, reason)
        self.group = group
        self.index = index


_FAMILIES: Final[dict[str, type[NativeError]]] = {
    "MR_FULL": Full,
    "MR_ORDER": OutOfOrder,
    "MR_TOO_LARGE": TooLarge,
    "MR_TOO_MANY": TooMany,
}


def refusal(status: int, where: str) -> NativeError:
    """The exception for a failed call on values that the caller made up; ``where`` names the value."""
    family = _FAMILIES.get(NAMES[status], Malformed)
    return _bug(status, where) or family(f"{where}: {TEXTS[status]}", NAMES[status])


def damage(status: int, index: int) -> NativeError:
    """The exception for a failed call on a stored run."""
    return _bug(status, f"entry {index}") or Damaged(index, TEXTS[status], NAMES[status])


def bad_frame(status: int, where: str) -> NativeError:
    """The exception for a failed call on bytes from a peer."""
    return _bug(status, where) or BadFrame(f"{where}: {TEXTS[status]}", NAMES[status])


def index_refusal(status: int, group: int = 0, index: int = 0) -> Exception:
    """The exception for a failed call on a table of groups or the index of a log."""
    name, where = NAMES[status], f"group {group}, entry {index}" if index else f"group {group}"
    if name == "MR_MEMORY":
        return MemoryError("no memory for the native tables")
    return _bug(status, where) or Refused(f"{where}: {TEXTS[status]}", name, group, index)


def _bug(status: int, where: str) -> NativeBug | None:
    """Our own fault: a broken invariant, or memory that the Python side made too small."""
    if NAMES[status] == "MR_BUG":
        return NativeBug(f"{where}: {TEXTS[status]} ({_text(lib.mr_last_bug())})", NAMES[status])
    if status == GROW:
        return NativeBug(f"{where}: {TEXTS[status]}", NAMES[status])
    return None
