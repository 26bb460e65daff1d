"""Plants in the node: what is durable when, snapshots, births and the bytes that replicas share."""

from typing import Final

from multiraft.engine.births import Births
from multiraft.engine.keeping import LogKeeping
from multiraft.engine.node import Node
from multiraft.engine.replica import Replica
from multiraft.engine.staging import Staging
from multiraft.engine.statemachine import kv_snapshot
from multiraft.engine.transport.roster import Roster
from multiraft.shards import deletion, directory_machine
from multiraft.shards.service import Service

from .plants_edits import Edit, Plant

PLANTS: Final = [
    Plant(
        "bug-3",
        "term and vote are not made durable",
        (
            Edit(
                Replica,
                "writes_of",
                "write.hard_state, self._hard_state = self._hard_state, None",
                "self._hard_state = None",
            ),
        ),
    ),
    Plant(
        "bug-4",
        "a replica that was just born votes without storing term and vote",
        (
            Edit(
                Replica,
                "writes_of",
                "if not (ready.must_sync or ready.entries",
                "if not ((ready.must_sync and self.raw.raft.log.last_index() > 1) or ready.entries",
            ),
        ),
    ),
    Plant(
        "bug-10",
        "a leader steps its own acknowledgement before the disk has the entries",
        (
            Edit(
                Node,
                "_write",
                "turn.held.append((replica, held))",
                "own = [m for m in held if m.to == replica.replica_id and m.index]\n"
                "        turn.held.append((replica, [m for m in held if m not in own]))\n"
                "        self._delivery.deliver(turn, replica, own)",
            ),
        ),
    ),
    Plant(
        "bug-16",
        "a node that was wiped takes part again under its old id, with empty logs",
        (
            Edit(Roster, "duel", "if hello.store_uuid != known.store_uuid:", "if not known.store_uuid:"),
            Edit(Roster, "duel", "if hello.incarnation < known.incarnation:", "if known.incarnation < 0:"),
            Edit(
                Roster,
                "duel",
                "if hello.incarnation == known.incarnation and",
                "if hello.store_uuid == known.store_uuid and hello.incarnation == known.incarnation and",
            ),
            Edit(Service, "admit", "if known is not None and known !=", "if known is not None and not"),
            Edit(
                directory_machine,
                "check_store",
                "if known is not None and known.store_uuid !=",
                "if known is not None and not",
            ),
        ),
    ),
    Plant(
        "bug-24",
        "the log is reset to the first snapshot that a replica installs, and not to those that follow",
        (
            Edit(
                Replica,
                "writes_of",
                "snapshot = ready.snapshot\n        write.snapshot_point =",
                "snapshot = ready.snapshot\n"
                "        first = vars(self).setdefault('first_snapshot', snapshot)\n"
                "        write.snapshot_point = None if snapshot is not first else",
            ),
        ),
    ),
    Plant(
        "rule-response-before-durable",
        "what a batch promises leaves before the batch is durable",
        (
            Edit(
                Node,
                "_write",
                "turn.held.append((replica, held))",
                "self._delivery.deliver(turn, replica, held)",
            ),
        ),
    ),
    Plant(
        "rule-promise-behind-batch",
        "what needs nothing new on disk overtakes the batch on its way",
        (
            Edit(
                Node,
                "_write",
                "elif held and not self._held.behind(replica, held):",
                "elif held:",
            ),
        ),
    ),
    Plant(
        "rule-vote-request-before-durable",
        "a candidate asks for votes before its own term and vote are durable",
        (Edit(Node, "_send_now", "if message.type is MsgType.VOTE:", "if message.term == -1:"),),
    ),
    Plant(
        "rule-births-not-durable-first",
        "a replica runs before its birth is durable",
        (
            Edit(
                Births,
                "written",
                "self._written += len(births)",
                "self._written += len(births)\n    self._durable.extend(births)",
            ),
            Edit(Births, "durable", "self._durable.extend(births)", "pass"),
        ),
    ),
    Plant(
        "rule-directory-before-births",
        "the directory is flushed before the births that it ordered",
        (Edit(Staging, "unsettled", "self._births.unsettled or ", ""),),
    ),
    Plant(
        "rule-directory-before-tombstones",
        "the directory is flushed before the tombstones that it ordered",
        (Edit(Staging, "unsettled", " or self._removals.unsettled", ""),),
    ),
    Plant(
        "rule-retire-before-deletion",
        "the directory forgets ranges that still serve",
        (Edit(deletion, "delete_chunk", "await _retire(router, chunk, deadline)", "pass"),),
    ),
    Plant(
        "rule-retired-for-good",
        "a retired range serves again after a restart",
        (
            Edit(
                kv_snapshot,
                "encode_metadata",
                " | bounds.retired * _RETIRED",
                "",
            ),
        ),
    ),
    Plant(
        "rule-log-cut-before-state",
        "the log is cut up to what is applied, durable or not",
        (
            Edit(
                LogKeeping,
                "truncation",
                "min(self._state.durable_applied(self._group), held)",
                "held",
            ),
        ),
    ),
    Plant(
        "rule-snapshot-before-acknowledgement",
        "a snapshot is acknowledged before its data is durable",
        (
            Edit(
                Node,
                "_begin_install",
                "self._flusher.await_install(replica)",
                "self._flusher.await_install(replica)\n        self._finish_install(turn, replica)",
            ),
        ),
    ),
]
