"""How the engine uses the core: what of its settings a replica sets, and to what."""

import random

from ..raft.config import Config
from ..raft.storage import Storage
from .config import EngineConfig
from .logstore.port import Birth
from .statemachine.store import Applied


def core_config(
    birth: Birth, storage: Storage, applied: Applied, config: EngineConfig, seed: random.Random
) -> Config:
    """The core's settings, from the node's."""
    return Config(
        id=birth.replica_id,
        storage=storage,
        random=seed,
        election_tick=config.election_ticks,
        heartbeat_tick=config.beat_ticks,
        applied=applied.index,
        async_storage_writes=True,
        pre_vote=True,
        check_quorum=True,
        max_size_per_msg=config.append_bytes,
        max_inflight_msgs=config.inflight_messages,
        max_inflight_bytes=config.inflight_bytes,
        max_uncommitted_size=config.uncommitted_bytes,
        max_committed_size_per_ready=config.apply_bytes,
        commit_notices=True,
        disable_proposal_forwarding=True,
    )
