"""CRC-32C: golden values, both implementations against the twin, every kind of buffer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiraft.native import checksum
from multiraft.native._native import lib
from multiraft.native.checksum import crc32c
from tests.native import models

# The check value of the catalogue of CRCs, and the four patterns and the SCSI read command of RFC 3720, B.4.
GOLDEN = [
    (b"", 0x00000000),
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C),
    (
        bytes.fromhex(
            "01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000"
        ),
        0xD9963A56,
    ),
]


@pytest.mark.parametrize(("data", "expected"), GOLDEN)
def test_golden_values(data: bytes, expected: int):
    assert crc32c(data) == expected
    assert lib.mr_crc32c_portable(0, data, len(data)) == expected
    assert lib.mr_crc32c_released(0, data, len(data)) == expected
    assert models.crc32c(data) == expected


@given(data=st.binary(max_size=200), seed=st.integers(0, 2**32 - 1))
def test_both_implementations_match_the_twin_from_any_seed(data: bytes, seed: int):
    expected = models.crc32c(data, seed)
    assert crc32c(data, seed) == expected
    assert lib.mr_crc32c_portable(seed, data, len(data)) == expected


@given(data=st.binary(max_size=100), cut=st.integers(0, 100))
def test_a_checksum_continues_where_the_last_one_ended(data: bytes, cut: int):
    assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data)


@pytest.mark.parametrize("start", range(9))
def test_alignment_does_not_matter(start: int):
    data = bytes(range(256)) * 2
    view = memoryview(data)[start:-3]
    expected = models.crc32c(data[start:-3])
    assert crc32c(view) == expected
    assert crc32c(bytearray(view)) == expected


def test_a_memoryview_counts_in_bytes():
    data = bytes(range(64))
    assert crc32c(memoryview(data).cast("Q")) == crc32c(data)


def test_large_buffers_give_the_same_as_small_pieces():
    """Above the size from where on the GIL is released, and across it."""
    data = bytes(range(256)) * 4100
    expected = 0
    for start in range(0, len(data), 4096):
        expected = crc32c(data[start : start + 4096], expected)
    assert crc32c(data) == expected
    assert crc32c(bytearray(data)) == expected
    assert lib.mr_crc32c_portable(0, data, len(data)) == expected


def test_a_bytearray_can_be_resized_afterwards():
    """The buffer is not held on to."""
    data = bytearray(b"abc")
    crc32c(data)
    data += b"def"
    assert crc32c(data) == crc32c(b"abcdef")


def test_a_view_with_holes_is_refused():
    with pytest.raises((BufferError, ValueError)):
        crc32c(memoryview(b"abcdef")[::2])


def test_dispatch_is_reported():
    assert checksum.ACCELERATED is bool(lib.mr_crc32c_accelerated())
