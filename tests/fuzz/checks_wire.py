"""What the decoders of the wire promise, as a check on any bytes: a typed error, or a value that survives.

A check returns what it decoded, or None if the bytes were refused; whatever else it raises is a finding.
"""

import struct

from multiraft.engine.errors import Corruption, Error, InvalidArgument
from multiraft.engine.snapshots.chunks import decode_chunk, encode_chunk
from multiraft.engine.snapshots.frames import (
    decode_grant,
    decode_head,
    decode_offer,
    encode_grant,
    encode_head,
    encode_offer,
)
from multiraft.engine.transport.framing import BadStream, FrameReader
from multiraft.engine.transport.hello import decode_hello, encode_hello
from multiraft.engine.transport.kinds import GREETING_LIMITS, PEER_LIMITS, REQUEST_LIMITS
from multiraft.engine.transport.refusal import decode_refusal, encode_refusal
from multiraft.engine.wire import read_frame
from multiraft.native.checksum import crc32c
from multiraft.native.entries import encode_runs
from multiraft.native.errors import BadFrame
from multiraft.native.frames import HEADER_SIZE
from multiraft.native.messages import REJECT, encode_messages
from multiraft.shards.answers import json_object
from multiraft.shards.explanation import encode_explanation, explanation_of
from multiraft.shards.groupfacts import decode_facts, encode_facts
from multiraft.shards.reasons import judge
from multiraft.shards.requests import (
    Malformed,
    Reply,
    decode_replies,
    decode_requests,
    encode_failure,
    encode_reply,
    encode_request,
)


def hello(data: bytes):
    try:
        found = decode_hello(data)
    except InvalidArgument:
        return None
    assert decode_hello(encode_hello(found)) == found
    return found


def refusal(data: bytes):
    found = decode_refusal(data)
    assert isinstance(found, Error)
    again = decode_refusal(encode_refusal(found))
    assert (type(again), str(again)) == (type(found), str(found))
    return found


def requests(data: bytes):
    try:
        found = decode_requests(data)
    except Malformed:
        return None
    encoded = b"".join(map(encode_request, found))
    assert b"".join(map(encode_request, decode_requests(encoded))) == encoded
    return found


def replies(data: bytes):
    try:
        found = decode_replies(data)
    except Malformed:
        return None
    encoded = b"".join(map(_encoded, found))
    assert b"".join(map(_encoded, decode_replies(encoded))) == encoded
    return found


def _encoded(reply: Reply):
    return (
        encode_reply(reply.id, reply.fields) if reply.error is None else encode_failure(reply.id, reply.error)
    )


def group_facts(data: bytes):
    """What node 3 answers when it is asked about a group."""
    try:
        found = decode_facts([data.decode(errors="replace")], 3)
    except Malformed:
        return None
    assert decode_facts([encode_facts(found)], 3) == found
    assert judge(7, 1, (1, 2, 3), {3: found}).reasons
    return found


def explanation(data: bytes):
    try:
        found = explanation_of(json_object([data.decode(errors="replace")]))
    except Malformed:
        return None
    assert explanation_of(json_object([encode_explanation(found)])) == found
    return found


def stream(data: bytes):
    """The first byte cuts the stream; where it is cut must not matter, and little is kept."""
    if not data:
        return None
    step, rest = data[0] + 1, data[1:]
    whole, broken = _read(rest, len(rest) or 1)
    frames, broken_too = _read(rest, step)
    assert broken == broken_too
    assert frames[: len(whole)] == whole  # what comes in one piece with damage is not handed out
    assert broken or len(frames) == len(whole)
    return whole or None


def _read(data: bytes, step: int):
    """The frames, and whether the stream broke."""
    reader, frames = FrameReader(), []
    limits = PEER_LIMITS if len(data) % 2 else REQUEST_LIMITS
    most = max(GREETING_LIMITS.values())
    for start in range(0, len(data), step):
        try:
            found = reader.feed(data[start : start + step])
            while found:
                frames += found
                if len(frames) == 1:
                    reader.admit(limits)
                    most = max(limits.values())
                found = reader.feed(b"")
        except BadStream:
            assert reader.held == 0
            return frames, True
        assert reader.held <= most + 24 + step
    return frames, False


def frame(data: bytes):
    try:
        index, received = read_frame(data)
    except BadFrame:
        return None
    return index, list(received)


def row(data: bytes):
    """Right checksums around hostile fields: type, reject, term, entries and extra bytes are the input's."""
    kind, count, entry_kind, gap, term, *_ = data[:5].ljust(5, b"\0")
    first = 8 + gap % 2
    (run,) = encode_runs(
        [[(term % 4, first + i, entry_kind % 5, data[5 : 5 + 3 * i]) for i in range(count % 4)]]
    )
    extra = data[5:]
    flags = kind | (REJECT if count & 128 else 0)
    numbers = [1, 2, 3, flags, term % 4, 1, 7, 7, 0, len(run), len(extra)]
    try:
        _, received = read_frame(encode_messages(5, numbers, [run, extra])[HEADER_SIZE:])
    except BadFrame:
        return None
    (found,) = received
    return found


def snapshot_head(data: bytes):
    """Point, members and metadata of a snapshot."""
    try:
        head = decode_head(data)
    except BadFrame:
        return None
    assert decode_head(encode_head(head)[HEADER_SIZE:]) == head
    return head


def snapshot_offer(data: bytes):
    """What a sender offers, or what a receiver grants: they differ in length."""
    for decode, encode in ((decode_offer, encode_offer), (decode_grant, encode_grant)):
        try:
            found = decode(data)
        except BadFrame:
            continue
        assert encode(found)[HEADER_SIZE:] == data
        return found
    return None


def snapshot_chunk(data: bytes):
    """The first byte asks for a right checksum."""
    mend, data = data[:1] > b"" and data[0] & 1, data[1:]
    if mend:
        data = struct.pack("<I", crc32c(data[4:], 5)) + data[4:]
    try:
        chunk = decode_chunk(data, 0, 5, b"a")
    except Corruption:
        return None
    assert encode_chunk(0, chunk.pairs, 5, last=chunk.last) == data
    return chunk
