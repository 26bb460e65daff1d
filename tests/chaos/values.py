"""Values that say who wrote them and how long they are, so that a history need not keep their bytes."""

from typing import Final

UNREADABLE: Final = b"unreadable "


def full(mark: bytes | None) -> bytes | None:
    """The value that a mark ``client.number.size.`` stands for: the mark and so many zero bytes."""
    return None if mark is None else mark + bytes(int(mark.split(b".")[2]))


def mark(client: int, number: int, size: int) -> bytes:
    """The mark of a value; unique if client and number are."""
    return b"%d.%d.%d." % (client, number, size)


def mark_of(value: bytes | None) -> bytes | None:
    """The mark of a value that was read; of one that nobody can have written, something that is no mark."""
    if value is None:
        return None
    head = value.rstrip(b"\0")
    if head.count(b".") == 3 and head.endswith(b".") and full(head) == value:
        return head
    return UNREADABLE + value[:64]
