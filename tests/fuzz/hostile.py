"""Inputs that cost the reader more than the writer: deep nesting, great claims, millions of tiny values.

:func:`cost` measures what a check takes for them.
"""

import gc
import math
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.fuzz.campaign import Outcome
from tests.fuzz.targets_python import KIB, PYTHON_TARGETS, PythonTarget
from tests.native import models

NAME = "hostile"
SECONDS_PER_BYTE = 4e-6
"""Of processor time; a decoder that is not quadratic stays far below."""
AGAIN = 4
"""How often what took too long is measured once more."""

UNITS = {
    "empty arrays": b"\x90",
    "nils": b"\xc0",
    "small numbers": b"\x01",
    "numbers": b"\xcd\x01\x01",
    "empty bytes": b"\xc4\x00",
    "short bytes": b"\xc4\x02ab",
    "short texts": b"\xa2ab",
    "pairs of numbers": b"\x92\x01\x01",
    "requests": b"\x93\x01\x06\x00",
    "replies": b"\x92\x01\x00",
    "claims of 4 G items": b"\xdd\xff\xff\xff\xff",
    "claims of 4 G pairs": b"\xdf\xff\xff\xff\xff",
    "claims of 4 GiB": b"\xc6\xff\xff\xff\xff",
    "claims of 64 KiB": b"\xdb\x00\x00\xff\xff",
    "zeros": b"\x00",
    "letters": b"[",
}

ENVELOPES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("bare", lambda body: body),
    ("in an array", lambda body: b"\xdd" + struct.pack(">I", min(len(body), 2**31)) + body),
    ("as a batch", lambda body: bytes(24) + b"\xdd" + struct.pack(">I", 200_001) + b"\x04" + body),
    ("as a command", lambda body: bytes(24) + body),
    ("as a directory", lambda body: b"\x01MRDR" + bytes(4) + body),
    ("as a directory's pair", lambda body: b"\x01MRDR" + bytes(4) + _pair(body)),
    ("as members", lambda body: bytes([7, 0, 0, 0, 1]) + struct.pack("<QQI", 1, 1, len(body)) + body),
    ("as a checkpoint", lambda body: b"\x01" + bytes(12) + struct.pack("<IQ", len(body), 0) + body),
    ("as a body", lambda body: b"\x03" + body),
    ("as a stream", lambda body: b"\xff" + models.seal(1, b"") + body),
]


class Cost(NamedTuple):
    """What one decoding took."""

    bytes: int
    seconds: float


def _pair(body: bytes) -> bytes:
    return b"\x93\x01\xc4\x01c\xc6" + struct.pack(">I", len(body)) + body


def nested(items: int, depth: int) -> bytes:
    """Arrays in arrays, each of which claims that so many items follow."""
    return (b"\xdd" + struct.pack(">I", items)) * depth


def inputs(limit: int) -> Iterator[tuple[str, bytes]]:
    """Hostile inputs of at most ``limit`` bytes, each with its name."""
    bodies = {name: unit * max(1, limit // len(unit)) for name, unit in UNITS.items()}
    bodies["nesting of 100,000 levels"] = b"\x91" * 100_000
    for items in (1000, 1024, 2000, 4096, limit // 8):
        filler = b"\x01" * max(0, min(items, limit - 5 * 1000))
        bodies[f"1,000 levels of {items} items"] = nested(items, 1000) + filler
    for envelope, wrap in ENVELOPES:
        for name, body in bodies.items():
            room = limit - len(wrap(b""))
            yield f"{name}, {envelope}", wrap(body[: max(0, room)])[:limit]


def processor_time(check: Callable[[bytes], object], data: bytes) -> float:
    """Seconds of this thread, and without what it costs to look through the garbage of others."""
    gc.freeze()
    try:
        start = time.thread_time()
        check(data)
        return time.thread_time() - start
    finally:
        gc.unfreeze()


def cost(check: Callable[[bytes], object], data: bytes, seconds: float = math.inf) -> Cost:
    """Time without, and peak memory with, the eyes of tracemalloc on it.

    What seems to take longer than ``seconds`` is measured again: a busy machine only ever adds to it.
    """
    taken = processor_time(check, data)
    for _ in range(AGAIN):
        if taken <= seconds:
            break
        taken = min(taken, processor_time(check, data))
    tracemalloc.start()
    try:
        check(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return Cost(peak, taken)


def violations(target: PythonTarget, longest: int, seconds_per_byte: float = SECONDS_PER_BYTE) -> list[str]:
    """What takes more than the target may; the inputs have at most ``longest`` bytes."""
    found = []
    for name, data in inputs(longest):
        seconds = 0.1 + seconds_per_byte * len(data)
        taken = cost(target.check, data, seconds)
        if taken.bytes > target.base + target.factor * len(data):
            found.append(f"{target.name}: {name}: {taken.bytes:,} bytes for an input of {len(data):,}")
        if taken.seconds > seconds:
            found.append(f"{target.name}: {name}: {taken.seconds:.2f} s for an input of {len(data):,}")
    return found


def measure_all() -> Outcome:
    """Every target with inputs as long as its format allows."""
    start = time.monotonic()
    found = [one for target in PYTHON_TARGETS.values() for one in violations(target, target.limit)]
    log = "\n".join(found)
    inputs_in_all = sum(len(list(inputs(KIB))) for _ in PYTHON_TARGETS)
    return Outcome(inputs_in_all, time.monotonic() - start, log.encode() if found else None, log)
