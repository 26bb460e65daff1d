"""Plants in how messages, commands and requests find their place: ids, epochs, retries, checksums."""

from typing import Final

from multiraft.engine.delivery import Delivery
from multiraft.engine.statemachine import kv
from multiraft.engine.statemachine.kv import KVMachine
from multiraft.raft import validity
from multiraft.shards.routing import Router

from .plants_edits import Edit, Plant

PLANTS: Final = [
    Plant(
        "rule-replica-ids",
        "a message counts for whatever replica is there, from whatever node it comes",
        (
            Edit(
                Delivery,
                "_receive_known",
                "if message.to != replica.replica_id or replica.nodes.get(message.from_) != node:",
                "if message.to == 0:",
            ),
            Edit(validity, "check", "if m.to != raft.id:", "if m.to == 0:"),
        ),
    ),
    Plant(
        "rule-directory-authority",
        "what the directory said decides: a range compares neither its epoch nor its bounds",
        (
            Edit(KVMachine, "moved", "if epoch != self.epoch:", "if epoch < 0:"),
            Edit(KVMachine, "moved", "if key < start or", "if key is None or False and"),
            Edit(KVMachine, "_apply_one", "if data[EPOCH_BYTES] != self._epoch_bytes:", "if not data:"),
            Edit(kv, "_put", "if key < machine.start or", "if key is None or False and"),
        ),
    ),
    Plant(
        "rule-retry-after-unknown",
        "a write whose outcome is unknown is made again",
        (
            Edit(
                Router,
                "_propose_group",
                "(NotLeader, ProposalDropped)",
                "(NotLeader, ProposalDropped, OutcomeUnknown)",
            ),
        ),
    ),
]
