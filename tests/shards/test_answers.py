"""Replies of a node that is hostile, or of another version: a typed error, whatever they hold."""

import asyncio
import json

import pytest

import multiraft
from multiraft.engine.transport.kinds import FrameKind
from multiraft.native.frames import seal
from multiraft.shards import answers
from multiraft.shards.channel import Channel
from multiraft.shards.client import Client
from multiraft.shards.engine import Engine
from multiraft.shards.keyrange import KeyRange
from multiraft.shards.requests import Malformed, Reply, decode_requests, encode_reply
from multiraft.shards.scanning import PageRequest

DEEP = "[" * 100_000
LINE = {"node": 1, "address": "a:1", "alive": True}


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [b"{}"],
        ["{}", "{}"],
        [1],
        [None],
        [DEEP],
        ['{"a":' * 100_000],
        ["{"],
        ["[]"],
        ["1"],
        ["1" * 5000],
        [""],
    ],
    ids=lambda fields: repr(fields)[:20],
)
def test_what_is_no_json_object_is_malformed(fields):
    for read in (answers.json_object, answers.cluster_status, answers.node_line, answers.digests):
        with pytest.raises(Malformed):
            read(fields)


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"nodes": [], "ranges": "1"},
        {"nodes": {}, "ranges": 1},
        {"nodes": [1], "ranges": 1},
        {"nodes": [{**LINE, "node": "1"}], "ranges": 1},
        {"nodes": [{**LINE, "address": None}], "ranges": 1},
        {"nodes": [{"node": 1}], "ranges": 1},
    ],
)
def test_a_status_of_another_shape_is_malformed(status):
    with pytest.raises(Malformed):
        answers.cluster_status([json.dumps(status)])


def test_a_status_keeps_what_a_newer_node_adds():
    status = {"nodes": [{**LINE, "mood": "good"}], "ranges": 3}
    assert answers.cluster_status([json.dumps({**status, "more": 1})]) == status


def test_a_node_speaks_for_itself_only():
    assert answers.node_line([json.dumps(LINE)], 1) == LINE
    with pytest.raises(Malformed):
        answers.node_line([json.dumps(LINE)], 2)


@pytest.mark.parametrize("fields", [[], [1], ["text"], [b"a", b"b"], [True]])
def test_a_value_is_one_field_of_bytes_or_nothing(fields):
    with pytest.raises(Malformed):
        answers.value(fields)


@pytest.mark.parametrize("fields", [[], [1], [1, 2, 3], ["1", 2], [None, None]])
def test_a_creation_is_answered_with_two_numbers(fields):
    with pytest.raises(Malformed):
        answers.created(fields)


def test_keys_are_bytes():
    assert answers.keys([b"a", b""]) == [b"a", b""]
    with pytest.raises(Malformed):
        answers.keys([b"a", "b"])


@pytest.mark.parametrize("found", ["[]", '{"00": 1}', '{"00": [1, 2]}', '{"00": [1, 2, "3"]}'])
def test_digests_are_three_numbers_each(found):
    with pytest.raises(Malformed):
        answers.digests([found])


def test_ranges_come_in_pages():
    assert answers.ranges([None], b"") == ([], None)
    found = answers.ranges([b"m", b"", b"c", b"f", b"m"], b"")
    assert found == ([KeyRange(b"", b"c"), KeyRange(b"f", b"m")], b"m")
    assert answers.ranges([None, b"m", None], b"m") == ([KeyRange(b"m", None)], None)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [1],
        [None, b"a"],
        [None, b"b", b"a"],
        [None, b"a", b"a"],
        [None, b"a", b"c", b"b", b"d"],
        [None, b"a", None, b"b", None],
        [None, "a", None],
        [None, b"a", 1],
        [b""],
        [b"a"],
        [b"x", b"a", b"c"],
    ],
    ids=repr,
)
def test_ranges_that_do_not_ascend_are_malformed(fields):
    with pytest.raises(Malformed):
        answers.ranges(fields, b"")


FORWARD = PageRequest(b"b", b"m", False, 10, False)
BACKWARD = PageRequest(b"b", b"m", True, 10, False)


def test_pages_lead_on():
    assert answers.page([b"d", b"b", b"1", b"c", b"2"], FORWARD) == ([(b"b", b"1"), (b"c", b"2")], b"d")
    assert answers.page([b"b", b"c", b"2", b"b", b"1"], BACKWARD) == ([(b"c", b"2"), (b"b", b"1")], b"b")
    assert answers.page([None], FORWARD) == ([], None)


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        ([], FORWARD),
        ([None, b"c"], FORWARD),
        ([None, b"a", b""], FORWARD),
        ([None, b"m", b""], FORWARD),
        ([None, b"c", b"", b"b", b""], FORWARD),
        ([None, b"c", b"", b"c", b""], FORWARD),
        ([None, b"b", b"", b"c", b""], BACKWARD),
        ([b"b"], FORWARD),
        ([b"m"], BACKWARD),
        ([7], FORWARD),
        ([False], BACKWARD),
    ],
)
def test_pages_with_other_keys_or_without_progress_are_malformed(fields, request_):
    with pytest.raises(Malformed):
        answers.page(fields, request_)


def test_a_client_of_a_hostile_node_gets_typed_errors():
    """Every operation, each answered with what it does not expect."""

    async def work():
        client = Client("127.0.0.1:1")

        def answer(frame):
            (request,) = decode_requests(bytes(frame)[-(len(frame) - len(seal(FrameKind.REQUEST, b""))) :])
            asyncio.get_running_loop().call_soon(
                client._frame_received, FrameKind.REPLY, encode_reply(request.id, [DEEP, 1])
            )
            return True

        client._channel = Channel(answer, "the node")
        operations = [
            client.status(),
            client.node_status(),
            client.led_ranges(),
            client.ranges(),
            client.digests(),
            client.get(b"k"),
            client.create_ranges(2),
            client.delete_ranges((b"", None)),
            anext(client.scan()),
        ]
        for operation in operations:
            with pytest.raises(Malformed):
                await operation

    asyncio.run(work())


@pytest.mark.parametrize(
    "said", [[DEEP], [], [b"x"], ["[]"], [json.dumps({**LINE, "node": 9})]], ids=lambda x: repr(x)[:12]
)
def test_a_peer_whose_line_makes_no_sense_does_not_hide_the_others(tmp_path, said):
    class Peer:
        def lost(self):
            pass

        def ask(self, op, timeout_ms, fields):
            future = asyncio.get_running_loop().create_future()
            future.set_result(Reply(1, said, None))
            return future

    async def work():
        async with Engine.open(tmp_path, config=multiraft.Config(durability="none")) as db:
            db.assembly.service.channels[7] = Peer()
            status = await db.status()
        nodes = status["nodes"]
        assert isinstance(nodes, list)
        own, other = nodes
        assert own["alive"]
        assert other["node"] == 7
        assert not other["alive"]
        assert "node" in other["error"]

    asyncio.run(work())


def test_all_ranges_can_be_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("multiraft.shards.engine.RANGES_PAGE", 3)

    async def work():
        config = multiraft.Config(durability="none")
        opening = Engine.open(tmp_path, ranges=0, listen="127.0.0.1:0", config=config)
        async with opening as db, Client.connect(db.address) as client:
            assert await client.ranges() == []
            await db.create_ranges(6, between=(b"\x10", b"\x80"))
            await db.create_ranges(1, between=(b"\x90", None))
            found = await client.ranges()
        assert found == [one.bounds for one in db.directory.overlapping(b"", None)]
        assert len(found) == 7

    asyncio.run(work())
