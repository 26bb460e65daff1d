"""Valid inputs of the C targets, as their files in ``csrc/`` describe them."""

from struct import pack

from tests.native import models

ENTRIES: list[models.Entry] = [(3, 7, 0, b"first"), (3, 8, 1, b""), (4, 9, 255, b"a longer payload")]
PLAIN, MENDED, FRAME_LIMIT = 0, 1, 2


def message(index: int, entries: list[models.Entry], extra: bytes) -> models.Message:
    """One row with a body."""
    return (100 + index, 2, 1, 3, index % 2 == 1, 5, 4, 6, 5, 0, entries, extra)


def payload(*messages: models.Message):
    """What stands behind the header of a frame."""
    return models.encode_messages(77, list(messages))[24:]


def frames() -> list[bytes]:
    """Headers of every size, and numbers to seal."""
    sealed = [models.seal(kind, bytes(size))[:24] for kind, size in ((1, 0), (2, 100), (255, 70000))]
    numbers = [pack("<QQI", kind, length, 9) for kind, length in ((2, 5), (0, 5), (2, 5242881))]
    return [*(bytes([mode]) + one for one in sealed for mode in (0, 1)), *(b"\x02" + one for one in numbers)]


def runs() -> list[bytes]:
    """One entry, several, and the largest indexes."""
    found = [ENTRIES, ENTRIES[2:], [(1, 2**64 - 1, 0, b"last")], [(2**64 - 1, 0, 0, b"")]]
    return [bytes([mode]) + models.encode_run(one) for one in found for mode in (PLAIN, MENDED)]


def messages() -> list[bytes]:
    """No row, one, and several with runs, extra bytes and both."""
    several = [message(0, ENTRIES[:1], b""), message(1, [], b"context"), message(2, ENTRIES, b"x")]
    found = [payload(), payload(several[0]), payload(several[1]), payload(*several)]
    return [bytes([mode]) + one for one in found for mode in (PLAIN, MENDED, FRAME_LIMIT)]


def checksums() -> list[bytes]:
    """Lengths around the eight bytes of a step."""
    return [
        pack("<IBH", seed, seed % 16, size // 2) + bytes(range(size))
        for seed, size in enumerate((0, 7, 8, 33))
    ]


def windows() -> list[bytes]:
    """Filled and emptied, grown ahead, reset, and made up."""
    add, any_, free, first, reset, grow = range(6)
    return [
        bytes([0, 4, 0, *[add, 0, 5] * 5, free, 2, *[add, 0, 1] * 3, first, reset, *[add, 0, 9] * 2]),
        bytes([0, 8, 20, grow, 6, *[add, 1, 9] * 3, any_, *b"\xff" * 10, free, 0]),
        bytes([1, 4, 8, 3, 3]) + pack("<QB", 30, 50) + bytes([1, 10, 0, 2, 10, 0, 3, 10, 0, 4, 10, 0, 1, 3]),
    ]


def calls_on_groups() -> list[bytes]:
    """Rows that come, come due, go and come again."""
    add, remove, due_at, due = range(4)
    rows = [bytes([add, group, due_at, group, 3 * group]) for group in range(20)]
    return [
        b"".join([*rows, bytes([due, 30, 4, due, 60, 2])]),
        b"".join([*rows, bytes([remove, 3, remove, 5, add, 40, due_at, 5, 1, due_at, 3, 1, due, 9, 0])]),
    ]


def calls_on_a_digest() -> list[bytes]:
    """Groups that come in three orders, go, and are compared with lists."""
    add, remove, lists, unlike, strange = range(5)
    rising = bytes([add, 200, 0, remove, 3, unlike, 0, 255, 2, 1, 0, 0, 0, 2, 0, 0, 0, lists, 1, 250, 4])
    falling = bytes([add, 250, 1, strange, 2, 1, 0, 0, 0, 5, 0, 0, 0, remove, 250, remove, 0])
    stray = bytes([add, 130, 2, lists, 0, 255, 20, *[remove, 200] * 3, unlike, 9, 90, 0])
    return [rising, falling, stray, rising + falling + stray]


def first_elections() -> list[bytes]:
    """A leader's whole way and a follower's; a member that is silent; any bytes."""
    born, frame, any_bytes, stage, durable, time, remove = range(7)
    vote, vote_resp, append, append_resp, rest = range(5)
    settle = bytes([stage, durable])

    def heard(node: int, *rows: tuple[int, ...]) -> bytes:
        return bytes([frame, node - 2, len(rows) - 1, *(number for row in rows for number in row)])

    def said(from_: int, to: int, kind: int, odd: int = 0) -> list[tuple[int, ...]]:
        return [(group - 1, from_, to, kind, 2, odd) for group in (1, 2, 3)]

    leads = bytes([born, 0, 3, 0]) + settle + heard(2, *said(2, 1, vote_resp)) + settle
    leads += heard(2, *said(2, 1, append_resp))
    follows = bytes([born, 0, 3, 2]) + heard(4, *said(21, 22, vote)) + settle
    follows += heard(4, *said(21, 22, append)) + settle
    return [
        leads + heard(3, *said(3, 1, append_resp)),
        leads + bytes([time, 2, remove, 0, born, 0, 9, 1]) + settle * 2,
        follows + heard(4, *said(21, 22, rest)),
        follows + heard(2, *said(23, 22, vote), *said(21, 22, rest, 63)),
        bytes([born, 0, 3, 2]) + heard(4, *said(21, 22, append)) + settle,
        leads + bytes([any_bytes, 120]) + payload(message(1, [], b""), message(2, ENTRIES, b"x"))[:120],
    ]


def columns_of_runs() -> list[bytes]:
    """Columns that add up, and some that do not."""
    rows = bytes([1, 0, 5, 1, 3, 7, 1, 2]) * 4
    return [pack("<BBBHB", 3, 4, 20, 300, mode) + bytes([2, 0, 2]) + rows + bytes(30) for mode in range(4)]


def numbers_of_messages() -> list[bytes]:
    """Rows that add up, and some that do not."""
    rows = pack("<HBB", 259, 60, 3) + pack("<HBB", 3, 0, 9)
    body = models.encode_run(ENTRIES) + b"extra bytes"
    return [pack("<BHHBB", 2, 1000, 500, 2, mode) + rows + body for mode in range(4)]


def log_calls() -> list[bytes]:
    """Births, appends, conflicts, cuts, removals and collections; then the same found by recovery."""
    bear, append = bytes([2, 0, 1, 0]), bytes([2, 6, 1, 0, 0, 7, 1])
    conflict, cut = bytes([2, 7, 1, 0, 2, 23, 3]), bytes([2, 6, 1, 0, 0, 0, 0x12])
    removal, collection = bytes([2, 1, 1, 0]), bytes([6, 0, 0, 0])
    run = models.encode_run([(1, 2, 0, b"x"), (2, 3, 0, b"")])
    padding = bytes(-len(run) % 8)
    row = pack("<QQII8s", 2, 1, len(run), 0, b"\0") + run + padding
    section = bytes([1, 0, len(row)]) + row
    staged = [bear, append, conflict, cut, bytes([1]), collection, bytes([0]), removal, bear]
    found = [bytes([0, 2, 1, 0]), bytes([4, 2, 1, 0]), section, bytes([5, 2, 1, 0, 4, 7, 1, 0])]
    return [
        b"\0" + b"".join(staged),
        b"\0" + bear + bytes([2, 3, 1, 0]) + section + bytes([6]) + section,
        b"\1" + b"".join(found),
        b"\1" + b"".join([*found, bytes([6, 0, 0, 0]), found[2], bytes([7, 2, 0, 0]), found[3]]),
    ]


def log_sections() -> list[bytes]:
    """Rows with runs, hard states and truncations, fresh and rewritten."""
    run = models.encode_run([(1, 2, 0, b"x"), (2, 3, 0, b"yz"), (2, 4, 0, b"")])
    padding = bytes(-len(run) % 8)
    parts = pack("<3Q2Q", 3, 1, 6, 5, 2)
    both = pack("<4QII8s", 1, 2, 11, 12, len(run), 0, b"\1\2") + run + padding + parts
    moved = pack("<3QII8s", 1, 11, 4, len(run), 0, b"\0") + run + padding
    return [b"\0\2" + both, b"\1\1" + moved, b"\0\0"]


def batches() -> list[bytes]:
    """Batches of no, one and three values, with as much room as they need, with more, and with too little."""
    origin = bytes(range(12))
    return [
        origin + bytes([full, least, 3 + more]) + b"body" * (size // 4)
        for full, least, more, size in (
            (100, 50, 0, 0),
            (100, 50, 9, 60),
            (60, 0, 0, 48),
            (44, 44, -1, 12),
            (40, 0, 0, 8),
        )
    ]


def pages() -> list[bytes]:
    """Pages of eight bytes with what is wanted in the first, in the last, and in none."""
    wanted = b"ab"
    return [
        bytes([7, 2, 1, first]) + wanted + b"".join(b"..%s...." % text for text in texts)
        for first, texts in ((0, (b"ab", b"xx")), (1, (b"ab", b"xx", b"ab")), (0, (b"xa", b"ba")))
    ]


def trees() -> list[bytes]:
    """A branch over two leaves, of which one has a value of its own pages; and a list of free pages."""
    size = 512

    def page(number: int, flags: int, nodes: list[bytes]) -> bytes:
        ends = [size - sum(map(len, nodes[: place + 1])) for place in range(len(nodes))]
        lower, upper = 16 + 2 * len(nodes), ends[-1]
        head = pack(f"<QHHHH{len(nodes)}H", number, 0, flags, lower, upper, *ends)
        return head.ljust(upper, b"\0") + b"".join(reversed(nodes))

    def node(key: bytes, value: bytes = b"", *, low: int = 0, big: bool = False) -> bytes:
        node = pack("<IHH", low or len(value), int(big), len(key)) + key + value
        return node + bytes(len(node) % 2)

    branch = page(2, 1, [node(b"", low=3), node(b"m", low=4)])
    leaves = [
        page(3, 2, [node(b"a", b"1"), node(b"bc", b"22")]),
        page(4, 2, [node(b"m", pack("<Q", 5), low=700, big=True)]),
    ]
    run = pack("<QHHI", 5, 0, 4, 2).ljust(2 * size, b"v")
    file = bytes(2 * size) + branch + b"".join(leaves) + run
    free = bytes(2 * size) + page(2, 2, [node(pack("<Q", 9), pack("<QQQ", 2, 4, 3))]) + bytes(2 * size)
    return [b"\2\0\0\2" + file, b"\2\0\1\2" + file, b"\1\1\0\2" + free, b"\1\0\0\xff"]
