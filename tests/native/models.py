"""The obvious twins of the C code: what each noun means, written plainly and as slowly as it likes."""

import struct

POLYNOMIAL = 0x82F63B78

Entry = tuple[int, int, int, bytes]
"""(term, index, type, data)"""

Message = tuple[int, int, int, int, bool, int, int, int, int, int, list[Entry], bytes]
"""(group, to, from_, type, reject, term, log_term, index, commit, reject_hint, entries, extra)"""


def crc32c(data: bytes, seed: int = 0):
    """CRC-32C, a bit at a time."""
    crc = seed ^ 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Inflights:
    """The window as a list of (index, bytes)."""

    def __init__(self, size: int, max_bytes: int = 0) -> None:
        self.size = size
        self.max_bytes = max_bytes
        self.messages: list[tuple[int, int]] = []
        self.capacity = 0  # of a ring that doubles when it has to, and is given back by reset

    @property
    def count(self):
        return len(self.messages)

    @property
    def bytes(self):
        return sum(size for _, size in self.messages)

    def full(self):
        return self.count == self.size or (self.max_bytes > 0 and self.bytes >= self.max_bytes)

    def add(self, index: int, size: int):
        assert not self.full()
        if self.count == self.capacity:
            self.capacity = min(self.size, max(1, 2 * self.capacity))
        self.messages.append((index, size))

    def free_le(self, index: int):
        self.messages = [message for message in self.messages if message[0] > index]

    def free_first_one(self):
        self.messages = self.messages[1:]

    def reset(self):
        self.messages = []
        self.capacity = 0


def encode_run(entries: list[Entry]):
    """An encoded run of (term, index, type, data) tuples with consecutive indexes."""
    if not entries:
        return b""
    table, payloads = b"", b""
    for term, index, kind, data in entries:
        word = kind << 24 | len(data)
        checksum = crc32c(struct.pack("<QQI", index, term, word) + data)
        table += struct.pack("<QII", term, word, checksum)
        payloads += data
    return struct.pack("<QII", entries[0][1], len(entries), len(payloads)) + table + payloads


def seal(kind: int, payload: bytes):
    """A frame: header and payload."""
    header = b"MRF1" + struct.pack("<BBHIII", 1, kind, 0, len(payload), crc32c(payload), 0)
    return header + struct.pack("<I", crc32c(header)) + payload


def encode_messages(directory_index: int, messages: list[Message], kind: int = 2):
    """A whole frame of messages."""
    rows, bodies, entries_in_all = b"", b"", 0
    for group, to, from_, type_, reject, term, log_term, index, commit, hint, entries, extra in messages:
        run = encode_run(entries)
        entries_in_all += len(entries)
        rows += struct.pack("<8Q", group, to, from_, term, log_term, index, commit, hint)
        rows += struct.pack("<3I", type_ | reject << 8, len(run), len(extra))
        bodies += run + extra
    head = struct.pack("<QII", directory_index, len(messages), entries_in_all)
    return seal(kind, head + rows + bodies)


class RestDigest:
    """The resting groups as a dictionary."""

    def __init__(self) -> None:
        self.groups: dict[int, tuple[int, int]] = {}

    @property
    def total(self):
        mask = 2**64 - 1
        sums = (
            scrambled(scrambled(group * 0x9E3779B97F4A7C15 + term & mask) + commit & mask)
            for group, (term, commit) in self.groups.items()
        )
        return sum(sums) & mask

    def add(self, group: int, point: tuple[int, int]):
        assert group not in self.groups
        self.groups[group] = point

    def remove(self, group: int):
        del self.groups[group]


def scrambled(value: int):
    """The finalizer of splitmix64."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & 2**64 - 1
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & 2**64 - 1
    return value ^ (value >> 31)
