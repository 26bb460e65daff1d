"""Settings that contradict each other are refused by name."""

import random

import pytest

from multiraft.raft import Config, ConfigError, MemoryStorage, RawNode, ReadOnly

GOOD = {"id": 1, "election_tick": 10, "heartbeat_tick": 1}
BAD = [
    ("id", {"id": 0}),
    ("id", {"id": 2**64 - 1}),
    ("id", {"id": 2**64 - 2}),
    ("id", {"id": -1}),
    ("heartbeat_tick", {"heartbeat_tick": 0}),
    ("election_tick", {"election_tick": 1}),
    ("max_inflight_msgs", {"max_inflight_msgs": 0}),
    ("applied", {"applied": -1}),
    ("max_uncommitted_size", {"max_uncommitted_size": -1}),
    ("max_committed_size_per_ready", {"max_committed_size_per_ready": -1}),
    ("max_size_per_msg", {"max_size_per_msg": -1}),
    ("max_inflight_bytes", {"max_inflight_bytes": 10, "max_size_per_msg": 11}),
    ("max_inflight_bytes", {"max_inflight_bytes": 10}),
    ("read_only", {"read_only": ReadOnly.LEASE_BASED}),
    ("read_only", {"read_only": "lease-based", "check_quorum": True}),
    ("full_window_on_heartbeat", {"full_window_on_heartbeat": "free-first"}),
    ("id", {"id": "1"}),
    ("id", {"id": True}),
    ("election_tick", {"election_tick": 10.5}),
    ("max_uncommitted_size", {"max_uncommitted_size": None}),
    ("max_size_per_msg", {"max_size_per_msg": "1"}),
]


def config(settings: dict[str, object]) -> Config:
    return Config(storage=MemoryStorage(), random=random.Random(1), **(GOOD | settings))


@pytest.mark.parametrize(("name", "settings"), BAD, ids=[str(settings) for _, settings in BAD])
def test_contradiction_is_refused_by_name(name: str, settings: dict[str, object]):
    with pytest.raises(ConfigError, match=name):
        RawNode(config(settings))


def test_consistent_settings_pass():
    config({}).validate()
    config({"max_inflight_bytes": 10, "max_size_per_msg": 10}).validate()
    config({"read_only": ReadOnly.LEASE_BASED, "check_quorum": True}).validate()
