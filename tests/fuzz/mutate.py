"""Bytes that are almost right: seeded changes to valid inputs, made for msgpack and for fixed layouts."""

import random
import struct
from collections.abc import Iterator, Sequence

HEADS = [
    b"\x90", b"\x80", b"\xc0", b"\xc1", b"\xc2", b"\xc3", b"\xca\x7f\xc0\x00\x00", b"\xcb" + b"\xff" * 8,
    b"\xcc\xff", b"\xcf" + b"\xff" * 8, b"\xd3" + b"\x80" + bytes(7), b"\xd9\x02\xed\xa0", b"\xa3ab",
    b"\xc4\x00", b"\xc4\xff", b"\xc6\xff\xff\xff\xff", b"\xc7\x00\x01", b"\xd4\x05", b"\xdb\xff\xff\xff\xff",
    b"\xdc\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xde\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x9f", b"\x91" * 40,
]  # fmt: skip
"""Beginnings of msgpack values: claims, wrong types, limits, invalid text, nesting."""

NUMBERS = (
    0,
    1,
    2,
    3,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**64 - 1,
)


def mutations(inputs: Sequence[bytes], seed: int, longest: int) -> Iterator[bytes]:
    """An endless sequence of inputs; the same for the same arguments."""
    draw = random.Random(seed)
    while True:
        data = bytearray(draw.choice(inputs))
        for _ in range(draw.randint(1, 5)):
            _mutate(draw, data, inputs)
        yield bytes(data[:longest])


def _mutate(draw: random.Random, data: bytearray, inputs: Sequence[bytes]) -> None:
    at = draw.randrange(len(data) + 1)
    match draw.randrange(8):
        case 0 if data:
            data[at % len(data)] ^= 1 << draw.randrange(8)
        case 1 if data:
            data[at % len(data)] = draw.randrange(256)
        case 2:
            width = draw.choice("BHIQ")
            number = draw.choice(NUMBERS) % 2 ** (8 * struct.calcsize(width))
            packed = struct.pack(draw.choice("<>") + width, number)
            data[at : at + len(packed)] = packed
        case 3:
            data[at : at + draw.randrange(3)] = draw.choice(HEADS)
        case 4:
            del data[at : at + draw.randint(1, 8)]
        case 5:
            data[at:at] = draw.randbytes(draw.randrange(16))
        case 6:
            other = draw.choice(inputs)
            start = draw.randrange(len(other) + 1)
            data[at:at] = other[start : start + draw.randrange(40)]
        case _:
            del data[at:]
