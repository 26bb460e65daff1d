"""Messages that no working network delivers so: late a second time, or in the name of another replica.

A frame may be sent again by what lies between two nodes, long after its term. And a message may speak for a
replica that its sender's node held once, or holds no more: who takes it for a word of the replica that has
that place now counts what was never said.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from multiraft.engine.node import Node
from multiraft.engine.outbox import OutFrame
from multiraft.engine.wire import Received, row_of
from multiraft.native.messages import encode_messages
from multiraft.raft.messages import MsgType

from .trace import rows_of

KEPT: Final = 300
"""Frames that one process may send again."""
FORGED: Final = frozenset({MsgType.APP_RESP, MsgType.VOTE_RESP, MsgType.HEARTBEAT_RESP})


class Strays:
    """What one process sends beside what it wants to send; nothing, unless a fault says so."""

    def __init__(self, source: random.Random) -> None:
        self.echo = 0.0
        """The share of turns in which a frame sent before is sent once more."""
        self.forge = 0.0
        """The share of answers that leave once more in the name of another replica of the group."""
        self._random = source
        self._sent: deque[OutFrame] = deque(maxlen=KEPT)

    def beside(self, node: Node, frames: Sequence[OutFrame]) -> list[OutFrame]:
        """The strays that leave behind these frames."""
        strays: list[OutFrame] = []
        if self.echo and self._sent and self._random.random() < self.echo:
            strays.append(self._random.choice(self._sent))
        if self.forge:
            for frame in frames:
                for row in rows_of(frame):
                    if row.kind in FORGED and not row.message.reject and self._random.random() < self.forge:
                        strays += self._forged(node, frame.node, row)
        self._sent.extend(frames)
        return strays

    def _forged(self, node: Node, to: int, row: Received) -> list[OutFrame]:
        """The same message, as one of a replica that neither its sender nor its receiver is."""
        replica = node.replicas.running.get(row.group)
        message = row.message
        others = [one for one in (replica.nodes if replica else ()) if one not in {message.from_, message.to}]
        if not others:
            return []
        forged = replace(message, from_=self._random.choice(others))
        numbers = row_of(row.group, forged)
        extra = forged.context
        numbers[-1] = len(extra)
        data = encode_messages(node.directory_index, numbers, [extra] if extra else [])
        return [OutFrame(to, data, (row.group,))]
