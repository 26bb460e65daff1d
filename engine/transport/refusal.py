"""The payload of a REFUSED frame: a typed error as [name, message]."""

from collections.abc import Callable
from functools import partial

import msgpack

from ..errors import (
    ClusterMismatch,
    Error,
    InvalidArgument,
    Overloaded,
    VersionMismatch,
)

_TEXT_BYTES = 1024
_REPLACED = "ClusterMismatch.replaced"
_TYPES: dict[str, Callable[[str], Error]] = {
    kind.__name__: kind for kind in (ClusterMismatch, VersionMismatch, InvalidArgument, Overloaded)
}
_TYPES[_REPLACED] = partial(ClusterMismatch, replaced=True)


def encode_refusal(error: Error) -> bytes:
    """Name and message of an error; a long message is cut.

    An error of another type travels as its nearest ancestor in the table, or else as InvalidArgument: the
    other side must be able to name what it is told.
    """
    known = (base.__name__ for base in type(error).__mro__ if base.__name__ in _TYPES)
    replaced = isinstance(error, ClusterMismatch) and error.replaced
    name = _REPLACED if replaced else next(known, "InvalidArgument")
    text = str(error).encode()[:_TEXT_BYTES].decode(errors="ignore")
    return msgpack.packb([name, text])


def decode_refusal(payload: bytes) -> Error:
    """The error that the other side gave; InvalidArgument if what it gave makes no sense."""
    try:
        fields = msgpack.unpackb(
            payload, max_array_len=2, max_str_len=_TEXT_BYTES, max_bin_len=0, max_map_len=0, max_ext_len=0
        )
    except (ValueError, msgpack.UnpackException) as error:
        return InvalidArgument(f"refused without a readable reason ({error})")
    match fields:
        case [str(name), str(text)] if name in _TYPES:
            return _TYPES[name](text)
        case _:
            return InvalidArgument("refused without a readable reason")
