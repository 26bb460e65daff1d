"""Valid inputs of the Python targets."""

import struct

import msgpack

from multiraft.engine import errors, nodefile
from multiraft.engine.logstore import blob, chunks, metas
from multiraft.engine.logstore.port import Birth
from multiraft.engine.snapshots.chunks import encode_chunk
from multiraft.engine.snapshots.frames import Head, Offer, encode_grant, encode_head, encode_offer
from multiraft.engine.statemachine import commands, kv_snapshot, records
from multiraft.engine.statemachine.applied import Applied, Point, encode_point
from multiraft.engine.transport.hello import Hello, HelloKind, encode_hello
from multiraft.engine.transport.refusal import encode_refusal
from multiraft.native.frames import HEADER_SIZE
from multiraft.raft.state import ConfState, Snapshot
from multiraft.shards import directory_commands as directory
from multiraft.shards import groupfacts as facts
from multiraft.shards import requests as protocol
from multiraft.shards.explanation import Explanation, Reason, encode_explanation
from tests.fuzz import samples_c
from tests.native import models

MEMBERS = ConfState((1, 2, 3), (), (4,), (), False)
ODD, EVEN = b"\x01", b"\x00"


def hellos() -> list[bytes]:
    peer = Hello(HelloKind.PEER, 1, 2, b"u" * 16, b"d" * 32, 3, b"s" * 16, 4, 5, 6)
    return [encode_hello(peer), encode_hello(Hello(HelloKind.CLIENT)), encode_hello(Hello(HelloKind.ADMIN))]


def refusals() -> list[bytes]:
    return [
        encode_refusal(errors.ClusterMismatch("another cluster")),
        encode_refusal(errors.Overloaded("full")),
    ]


def requests() -> list[bytes]:
    asked = [
        protocol.Request(1, protocol.Op.WRITE, 1000, [b"a", b"b", commands.encode_put(b"a", b"v")]),
        protocol.Request(2, protocol.Op.SCAN, 50, [b"", None, False, 10, True]),
        protocol.Request(3, protocol.Op.CREATE_RANGES, 9, [3, b"", b"m", b"m", None]),
        protocol.Request(4, protocol.Op.PROPOSE, 2**32, [7, commands.envelope(1, 2, 3, b"x")]),
    ]
    each = [protocol.encode_request(one) for one in asked]
    return [*each, b"".join(each)]


def replies() -> list[bytes]:
    each = [
        protocol.encode_reply(1, [None, True, 2.5, "text", b"bytes", -1]),
        protocol.encode_failure(2, errors.NotLeader(7, 3)),
        protocol.encode_failure(3, errors.Overloaded("full", 0.5)),
        protocol.encode_failure(4, errors.Corruption("broken", 7, 8)),
    ]
    return [*each, b"".join(each)]


def group_facts() -> list[bytes]:
    member = facts.MemberFacts(1, "PROBE", 4, True, 1, False, 0, True)
    counts = (2, 3, 4, 4, 6, 1, 2, 3, 0)
    replica = facts.ReplicaFacts("LEADER", *counts, True, False, False, None, "it raised", "too large")
    bare = facts.GroupFacts(3, "stopped", None, "EIO", "damaged", False, (1, 2))
    full = bare._replace(voters=(1, 2, 3), replica=replica, members=(member, member._replace(node=2)))
    return [facts.encode_facts(one).encode() for one in (bare, full)]


def explanations() -> list[bytes]:
    reasons = (Reason("no-quorum", None, True, "Two are away."), Reason("silent", 2, False, "…"))
    found = [Explanation(7, None, 3, reasons), Explanation(2**64 - 1, 1, 0, ())]
    return [encode_explanation(one).encode() for one in found]


def streams() -> list[bytes]:
    greeting = models.seal(1, encode_hello(Hello(HelloKind.CLIENT)))
    return [b"\x06" + greeting + models.seal(3, one) + models.seal(3, b"") for one in requests()[:2]]


def frames() -> list[bytes]:
    append = samples_c.message(7, [(3, 8, 0, b"entry"), (3, 9, 2, b"")], b"")
    payload = samples_c.payload((*append[:3], 3, *append[4:5], 3, 3, 7, 5, 0, *append[10:]))
    return [payload, samples_c.payload()]


def rows() -> list[bytes]:
    """Of every type that a peer may send, and some that none may."""
    return [bytes([kind, 2, 0, 0, 3]) + b"context" for kind in (3, 4, 5, 8, 200, 201, 250)]


def runs() -> list[bytes]:
    return [one[1:] for one in samples_c.runs()[::2]]


def entry_commands() -> list[bytes]:
    bodies = [
        commands.encode_put(b"key", b"value"),
        commands.encode_delete(b"key"),
        commands.encode_cas(b"key", None, b"new"),
        commands.encode_batch([(b"a", b"1"), (b"b", None)]),
        commands.encode_batch([(bytes([i]), bytes([i])) for i in range(12)]),
    ]
    return [commands.envelope(1, 2, 3, body) for body in bodies]


def directory_commands() -> list[bytes]:
    return [
        directory.register_body(3, b"s" * 16, "127.0.0.1:7001", b"c" * 16),
        directory.create_body([(b"", b"m"), (b"m", None)], 3, [1, 2, 3]),
    ]


def directory_states() -> list[bytes]:
    pairs = [
        (b"c", msgpack.packb((4, 12, b"c" * 16))),
        (b"n" + struct.pack(">I", 3), msgpack.packb((b"s" * 16, "127.0.0.1:7001"))),
        (b"r", msgpack.packb((b"m", 10, 1, 2, ((1, 1), (2, 2))))),
        (b"rm", msgpack.packb((None, 11, 1, 2, ((1, 1), (2, 2))))),
    ]
    return [b"".join(bytes((len(key), len(value))) + key + value for key, value in pairs)]


def applied_records() -> list[bytes]:
    return [encode_point(Point(Applied(9, 2, MEMBERS, b"metadata"), 3))]


def state_records() -> list[bytes]:
    key = b"\0" * 8
    _, head = next(iter(records.checkpoint_pieces(7, Point(Applied(9, 2, MEMBERS)), b"data")))
    return [mode + key + records.seal(key, head) for mode in (ODD, EVEN)]


def snapshots() -> list[bytes]:
    bounds = kv_snapshot.Bounds(b"a", b"z", 4)
    data = kv_snapshot.encode_snapshot(bounds, [(b"b", b"1"), (b"c", b""), (b"d", b"333")])
    return [ODD + data, EVEN + data]


def snapshot_heads() -> list[bytes]:
    point = Snapshot(9, 2, MEMBERS, b"metadata")
    return [encode_head(Head(point, durable))[HEADER_SIZE:] for durable in (True, False)]


def snapshot_offers() -> list[bytes]:
    """And a grant."""
    return [one[HEADER_SIZE:] for one in (encode_offer(Offer(7, 1, 2, 3)), encode_grant(1 << 20))]


def snapshot_chunks() -> list[bytes]:
    pairs = [(b"b", b"1"), (b"c", b""), (b"d" * 503, b"333")]
    found = [encode_chunk(0, pairs, 5, last=False), encode_chunk(0, [], 5, last=True)]
    return [mode + one for mode in (ODD, EVEN) for one in found]


def node_files() -> list[bytes]:
    node = nodefile.NodeFile(1, b"s" * 16, "shop", b"d" * 32, b"c" * 16, 7)
    return [mode + nodefile.encode(node) for mode in (ODD, EVEN)]


def log_blobs() -> list[bytes]:
    run = models.encode_run([(3, 7, 0, b"entry")])
    writer = blob.BlobWriter()
    rows, _ = writer.add_rows([1, 2], [11, 12], [run], [len(run), 0], bytes([1, 2]), [3, 1, 6], [5, 2])
    section = bytes(rows)
    rows.release()
    writer.add_rewritten(section[:32] + struct.pack("<QQ", 4, 5) + section[32:], 2)
    metas_ = [blob.MetaRow(1, 11, 3, 0, metas.MetaKind(one[0]), one[1:]) for one in log_metas()]
    writer.add_metas(metas_)
    return [ODD + writer.finish(8, 2)]


def log_chunks() -> list[bytes]:
    return [key + value for key, value in chunks.cut(b"a batch", 9, 2)]


def log_metas() -> list[bytes]:
    birth = Birth(1, 2, MEMBERS, ((1, 1), (2, 2)), b"a", None, 3, 4, "kv")
    point = metas.SnapshotPoint(9, 2, MEMBERS)
    return [
        bytes([metas.MetaKind.BIRTH]) + metas.encode_birth(birth),
        bytes([metas.MetaKind.SNAPSHOT_POINT]) + metas.encode_snapshot_point(point),
        bytes([metas.MetaKind.MEMBERS]) + metas.encode_members(MEMBERS),
    ]
