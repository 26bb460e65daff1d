"""The order of keys: byte strings compared as numbers from the left, a prefix before its extensions."""


def successor(key: bytes) -> bytes:
    """The smallest key that is greater than ``key``."""
    return key + b"\x00"


def prefix_stop(prefix: bytes) -> bytes | None:
    """The smallest key greater than every key that begins with ``prefix``; None if there is no such key."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else None


def lower_stop(left: bytes | None, right: bytes | None) -> bytes | None:
    """The lower of two exclusive upper bounds, where None means unbounded."""
    if left is None:
        return right
    return left if right is None else min(left, right)
