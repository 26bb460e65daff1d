"""What a link does to frames, as plain functions of a seed."""

import random

import pytest

from multiraft.engine.transport.framing import BadStream, FrameReader
from multiraft.engine.transport.kinds import PEER_LIMITS, FrameKind
from multiraft.native.errors import BadFrame
from multiraft.native.frames import seal
from tests.chaos.weather import CALM, Cut, Fates, Frame, FrameCutter, Tally, Weather, combined, flip_bit

PAYLOADS = [b"", b"a", b"b" * 1000, b"c" * 70_000]
FRAMES = [Frame(FrameKind.MESSAGES, seal(FrameKind.MESSAGES, payload)) for payload in PAYLOADS]


def fates(seed=1):
    tally = Tally()
    return Fates(random.Random(seed), tally), tally


def numbered(count, kind=FrameKind.MESSAGES):
    return [Frame(kind, seal(kind, b"%d" % number)) for number in range(count)]


@pytest.mark.parametrize("size", [1, 7, 24, 25, 1000, 1 << 20])
def test_a_stream_is_cut_at_its_frames_however_it_arrives(size):
    stream = b"".join(frame.data for frame in FRAMES)
    cutter, found = FrameCutter(), []
    for start in range(0, len(stream), size):
        found += cutter.feed(stream[start : start + size])
    assert found == FRAMES


def test_what_is_no_stream_of_frames_is_refused():
    with pytest.raises(BadFrame):
        FrameCutter().feed(b"GET / HTTP/1.1\r\nHost: nobody\r\n")


def test_calm_weather_passes_everything_at_once_and_in_order():
    one, tally = fates()
    assert [one.deliveries(CALM, frame, 5.0) for frame in FRAMES] == [
        [(5.0, frame.data, False)] for frame in FRAMES
    ]
    assert tally == Tally(passed=len(FRAMES))


def test_the_same_seed_is_the_same_weather():
    weather = Weather((0.0, 1.0), ordered=False, loss=0.2, repeat=0.3, damage=0.2)
    runs = []
    for seed in (1, 1, 2):
        one, tally = fates(seed)
        runs.append(([one.deliveries(weather, frame, 0.0) for frame in numbered(100)], tally))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_loss_and_repetition_are_of_whole_frames_and_as_frequent_as_asked():
    one, tally = fates()
    frames = numbered(2000)
    weather = Weather(loss=0.25, repeat=0.5)
    arrived = [delivery.data for frame in frames for delivery in one.deliveries(weather, frame, 0.0)]
    assert set(arrived) <= {frame.data for frame in frames}
    assert tally.lost == 2000 - len(set(arrived))
    assert 400 < tally.lost < 600
    assert tally.repeated == len(arrived) - len(set(arrived))
    assert 600 < tally.repeated < 900


def test_requests_and_hellos_are_never_repeated_or_overtaken():
    weather = Weather((0.0, 1.0), ordered=False, repeat=1.0)
    one, _ = fates()
    for kind in (FrameKind.HELLO, FrameKind.REQUEST):
        latest = 0.0
        for first, second in zip(numbered(50), numbered(50, kind), strict=True):
            before = [delivery.at for delivery in one.deliveries(weather, first, 0.0)]
            assert len(before) == 2
            assert min(before) >= latest  # it does not overtake the one before it either
            (delivery,) = one.deliveries(weather, second, 0.0)
            assert delivery.at >= max(before)
            latest = delivery.at


def test_unordered_frames_overtake_and_ordered_ones_do_not():
    for ordered in (True, False):
        one, tally = fates()
        weather = Weather((0.0, 1.0), ordered=ordered)
        times = [one.deliveries(weather, frame, 0.0)[0].at for frame in numbered(50)]
        assert (times == sorted(times)) is ordered
        assert (tally.overtaking == 0) is ordered


def test_a_dropping_cut_loses_everything():
    one, tally = fates()
    assert [one.deliveries(Weather(cut=Cut.DROP), frame, 0.0) for frame in FRAMES] == [[]] * len(FRAMES)
    assert tally.lost == len(FRAMES)


@pytest.mark.parametrize("seed", range(50))
def test_every_damaged_frame_is_refused_by_a_node(seed):
    """One flipped bit, anywhere: the checksums of header and payload leave no gap."""
    one, tally = fates(seed)
    (delivery,) = one.deliveries(Weather(damage=1.0), FRAMES[2], 0.0)
    assert delivery.data != FRAMES[2].data
    assert delivery.damaged
    assert tally.damaged == 1
    reader = FrameReader()
    reader.admit(PEER_LIMITS)
    with pytest.raises(BadStream):
        # A length that grew is noticed by the header's checksum, before anything is waited for.
        reader.feed(delivery.data)


def test_flipping_a_bit_twice_changes_nothing():
    data = bytes(range(256))
    assert all(flip_bit(flip_bit(data, bit), bit) == data != flip_bit(data, bit) for bit in range(2048))


def test_of_two_weathers_the_worse_rules():
    slow, lossy = Weather(rate=10.0, delay=(0.1, 0.2)), Weather(loss=0.5, ordered=False, cut=Cut.STALL)
    both = Weather((0.1, 0.2), ordered=False, loss=0.5, rate=10.0, cut=Cut.STALL)
    assert combined([slow, lossy]) == combined([lossy, CALM, slow]) == both
    assert combined([]) == CALM
    assert combined([lossy, Weather(cut=Cut.DROP)]).cut is Cut.DROP
