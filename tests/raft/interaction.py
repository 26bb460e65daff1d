"""What each command of an interaction scenario does to a group of replicas."""

import random
from collections.abc import Callable

from multiraft.raft.confchange import ConfChange, Transition
from multiraft.raft.config import Config, ReadOnly
from multiraft.raft.describe import (
    MESSAGE_NAMES,
    ROLE_NAMES,
    describe_entry,
    describe_error,
    describe_message,
    describe_payload,
    describe_progress,
)
from multiraft.raft.errors import Compacted, ProposalDropped
from multiraft.raft.messages import Message, MsgType
from multiraft.raft.node import RawNode
from multiraft.raft.state import ConfState, Snapshot
from multiraft.raft.storage import MemoryStorage
from tests.raft.datadriven import Block
from tests.raft.environment import AppenderStorage, Environment, Node
from tests.raft.values import CommandError, boolean, parse_changes, unsigned

TRANSITIONS = {
    "auto": Transition.AUTO,
    "implicit": Transition.JOINT_IMPLICIT,
    "explicit": Transition.JOINT_EXPLICIT,
}


class Interaction:
    """One scenario's group of replicas, which the commands work on one after the other."""

    def __init__(self) -> None:
        self.env = Environment()

    def run(self, block: Block) -> str:
        """Carry out one command; returns what it prints, a returned error last.

        Raises whatever the reference would panic with, and what is wrong with the command itself.
        """
        env = self.env
        env.output = ""
        command = COMMANDS.get(block.command)
        if command is None:
            return "unknown command"
        try:
            command(env, block)
        except CommandError as error:
            env.output += str(error)
        except (ProposalDropped, Compacted) as error:
            env.output += describe_error(error)
        return env.output or "ok"


def numbered(env: Environment, word: str) -> Node:
    """The node that a command names first."""
    return env.node(unsigned(word))


def add_nodes(env: Environment, block: Block) -> None:
    """``add-nodes 3 voters=(1,2,3) learners=(4) index=10 inflight=3 prevote=true``."""
    voters, learners = (tuple(map(unsigned, block.values(name) or ())) for name in ("voters", "learners"))
    index = unsigned(block.value("index", "0"))
    read_only = block.value("read-only", "safe")
    if read_only not in {option.value for option in ReadOnly}:
        raise CommandError(f"invalid read-only option {describe_payload(read_only.encode())}")
    bootstrap = any(block.values(name) is not None for name in ("voters", "learners", "index"))
    if bootstrap and index <= 1:
        raise CommandError("index must be specified as > 1 due to bootstrap")
    for _ in range(unsigned(block.words()[0])):
        storage = AppenderStorage()
        if bootstrap:
            storage.apply_snapshot(Snapshot(index, 1, ConfState(voters, learners=learners)))
            storage.latest = MemoryStorage.snapshot(storage)
        id_ = len(env.nodes) + 1
        config = Config(
            id=id_,
            storage=storage,
            election_tick=3,
            heartbeat_tick=1,
            random=random.Random(id_),
            applied=index,
            async_storage_writes=boolean(block.value("async-storage-writes", "false")),
            pre_vote=boolean(block.value("prevote", "false")),
            check_quorum=boolean(block.value("checkquorum", "false")),
            max_inflight_msgs=unsigned(block.value("inflight", str(2**31 - 1))),
            max_committed_size_per_ready=unsigned(block.value("max-committed-size-per-ready", "0")),
            read_only=ReadOnly(read_only),
            disable_conf_change_validation=boolean(block.value("disable-conf-change-validation", "false")),
            step_down_on_removal=boolean(block.value("step-down-on-removal", "false")),
        )
        env.nodes.append(Node(RawNode(config), storage, config))


def campaign(env: Environment, block: Block) -> None:
    """``campaign 1``."""
    numbered(env, block.words()[0]).raw.campaign()


def propose(env: Environment, block: Block) -> None:
    """``propose 1 data``."""
    id_, data = (key for key, _ in block.arguments[:2])
    numbered(env, id_).raw.propose(data.encode())


def propose_conf_change(env: Environment, block: Block) -> None:
    """``propose-conf-change 1 v1=true transition=auto`` with input ``v1 l2 r3 u4``."""
    v1, transition = False, Transition.AUTO
    for key, values in block.arguments[1:]:
        for value in values:
            if key == "v1":
                v1 = boolean(value)
            elif key != "transition":
                raise CommandError(f"unknown command {key}")
            elif value not in TRANSITIONS:
                raise CommandError(f"unknown transition {value}")
            else:
                transition = TRANSITIONS[value]
    change = ConfChange(tuple(parse_changes(block.input)), transition)
    if v1 and (len(change.changes) > 1 or transition is not Transition.AUTO):
        raise CommandError("v1 conf change can only have one operation and no transition")
    numbered(env, block.arguments[0][0]).raw.propose_conf_change(change, v1=v1)


def tick_election(env: Environment, block: Block) -> None:
    """``tick-election 1``."""
    node = numbered(env, block.words()[0])
    for _ in range(node.config.election_tick):
        node.raw.tick()


def tick_heartbeat(env: Environment, block: Block) -> None:
    """``tick-heartbeat 1``."""
    node = numbered(env, block.words()[0])
    for _ in range(node.config.heartbeat_tick):
        node.raw.tick()


def set_election_timeout(env: Environment, block: Block) -> None:
    """``set-randomized-election-timeout 1 timeout=5``."""
    node = numbered(env, block.words()[0])
    node.raw.raft.randomized_election_timeout = unsigned(block.value("timeout"))


def process_ready(env: Environment, block: Block) -> None:
    """``process-ready 1 2``."""
    env.each(block, "handling Ready", env.process_ready)


def process_append_thread(env: Environment, block: Block) -> None:
    """``process-append-thread 1 2``."""
    env.each(block, "processing append thread", env.process_append)


def process_apply_thread(env: Environment, block: Block) -> None:
    """``process-apply-thread 1 2``."""
    env.each(block, "processing apply thread", env.process_apply)


def deliver_msgs(env: Environment, block: Block) -> None:
    """``deliver-msgs 1 2 drop=(3) type=MsgApp``."""
    kind = block.value("type")
    if kind not in ("", *MESSAGE_NAMES.values()):
        raise ValueError(f"unknown message type {kind!r}")
    count = 0
    for key, values in block.arguments:
        if not values:
            count += env.deliver(unsigned(key), kind)
        elif key == "drop":
            count += sum(env.deliver(unsigned(value), kind, drop=True) for value in values)
    if not count:
        env.write("no messages\n")


def stabilize(env: Environment, block: Block) -> None:
    """``stabilize 1 2 log-level=none``."""
    before = env.level
    try:
        if block.values("log-level"):
            env.set_level(block.value("log-level"))
        env.stabilize(env.named(block) or list(range(1, len(env.nodes) + 1)))
    finally:
        env.level = before


def log_level(env: Environment, block: Block) -> None:
    """``log-level none``."""
    env.set_level(block.words()[0])


def raft_log(env: Environment, block: Block) -> None:
    """``raft-log 1``."""
    storage = numbered(env, block.words()[0]).storage
    first, last = storage.first_index(), storage.last_index()
    if last < first:
        env.write(f"log is empty: first index={first}, last index={last}")
    else:
        env.write("".join(f"{describe_entry(e)}\n" for e in storage.entries(first, last + 1, None)))


def raft_state(env: Environment, _block: Block) -> None:
    """``raft-state``."""
    for node in env.nodes:
        status = node.raw.status()
        (term, _, _), (lead, role) = status.basic.hard_state, status.basic.soft_state
        id_, conf = status.basic.id, status.conf_state
        part = "Voter" if id_ in (*conf.voters, *conf.voters_outgoing) else "Non-Voter"
        env.write(f"{id_}: {ROLE_NAMES[role]} ({part}) Term:{term} Lead:{lead}\n")


def show_status(env: Environment, block: Block) -> None:
    """``status 1``."""
    for id_, progress in numbered(env, block.words()[0]).raw.status().progress.items():
        env.write(f"{id_}: {describe_progress(progress)}\n")


def compact(env: Environment, block: Block) -> None:
    """``compact 1 17``."""
    numbered(env, block.words()[0]).storage.compact(unsigned(block.words()[1]))
    raft_log(env, block)


def transfer_leadership(env: Environment, block: Block) -> None:
    """``transfer-leadership from=1 to=4``."""
    numbered(env, block.value("from")).raw.transfer_leadership(unsigned(block.value("to")))


def forget_leader(env: Environment, block: Block) -> None:
    """``forget-leader 1``."""
    numbered(env, block.words()[0]).raw.forget_leader()


def report_unreachable(env: Environment, block: Block) -> None:
    """``report-unreachable 1 2``."""
    if len(block.words()) != 2:
        raise CommandError(
            "must specify exactly two node indexes: node on which to report, and reported node"
        )
    reporter, reported = block.words()
    numbered(env, reporter).raw.report_unreachable(numbered(env, reported).config.id)


def send_snapshot(env: Environment, block: Block) -> None:
    """``send-snapshot 1 3``."""
    from_, to = env.named(block)
    node = env.node(from_)
    term = node.raw.basic_status().hard_state.term
    m = Message(MsgType.SNAP, to, from_, term, snapshot=node.storage.snapshot())
    env.messages.append(m)
    env.write(describe_message(m))


COMMANDS: dict[str, Callable[[Environment, Block], None]] = {
    "add-nodes": add_nodes,
    "campaign": campaign,
    "compact": compact,
    "deliver-msgs": deliver_msgs,
    "forget-leader": forget_leader,
    "log-level": log_level,
    "process-append-thread": process_append_thread,
    "process-apply-thread": process_apply_thread,
    "process-ready": process_ready,
    "propose": propose,
    "propose-conf-change": propose_conf_change,
    "raft-log": raft_log,
    "raft-state": raft_state,
    "report-unreachable": report_unreachable,
    "send-snapshot": send_snapshot,
    "set-randomized-election-timeout": set_election_timeout,
    "stabilize": stabilize,
    "status": show_status,
    "tick-election": tick_election,
    "tick-heartbeat": tick_heartbeat,
    "transfer-leadership": transfer_leadership,
}
