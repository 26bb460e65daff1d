"""Plants in groups that are at rest, or have just been born: what is known of them without an object."""

from typing import Final

from multiraft.engine.newborns import Nursery
from multiraft.engine.pending import PendingReads
from multiraft.engine.rest import Rest
from multiraft.engine.roster import Roster
from multiraft.raft import rest

from .plants_edits import Edit, Plant

PLANTS: Final = [
    Plant(
        "rule-rest-with-all",
        "a group goes to rest with a follower that is behind",
        (
            Edit(rest, "idle_members", "if progress.match != last:", "if progress.match < 0:"),
            Edit(rest, "may_rest", "log.last_index() == commit", "log.applied"),
        ),
    ),
    Plant(
        "rule-digests-are-compared",
        "nobody compares what rests here with what its leaders' nodes say of it",
        (Edit(Rest, "_compare", "(len(here), here.total) == (count, total)", "count >= 0"),),
    ),
    Plant(
        "rule-rest-with-a-live-quorum",
        "a leader at rest counts on members whose nodes are silent",
        (
            Edit(
                Rest,
                "begins",
                "if self._liveness.alive(replica.nodes[member])",
                "if member in replica.nodes",
            ),
            Edit(Rest, "_miss_member", "if self._liveness.alive(node)", "if node in replica.replica_of_node"),
            Edit(Rest, "_look_for_quorum", "self._liveness.alive(node)", "node"),
        ),
    ),
    Plant(
        "rule-vote-outlives-the-object",
        "a replica at rest that is put away and taken up again has forgotten its vote",
        (Edit(Roster, "put_away", "DormantRow(term, vote, lead,", "DormantRow(term, 0 * vote, lead,"),),
    ),
    Plant(
        "rule-rounds-of-reads",
        "each replica numbers its rounds of reads, and anew whenever it is made anew",
        (
            Edit(
                PendingReads,
                "start_round",
                "next(self._numbers).to_bytes(8,",
                "self.rounds.to_bytes(8,",
            ),
        ),
    ),
    Plant(
        "rule-newborn-promise-durable",
        "newborns tell of their votes and acknowledgements before these are durable",
        (
            Edit(
                Nursery,
                "take_writes",
                "return self._table.take_writes()",
                "found = self._table.take_writes()\n"
                "    if found is None:\n"
                "        return None\n"
                "    self._table.durable(found[1], self._timers.ticks)\n"
                "    return found[0], b''",
            ),
        ),
    ),
]
