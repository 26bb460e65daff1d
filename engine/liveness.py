"""Which nodes are alive: whatever a node sends is a sign of it."""


class Liveness:
    """When each node was heard of last, in ticks of this one."""

    def __init__(self, silence: int, beat: int) -> None:
        """``silence``: ticks after which a node counts as silent; ``beat``: ticks between two words."""
        self._silence = silence
        self._doubt = max(silence * 3 // 4, beat)
        self._heard: dict[int, int] = {}
        self._silent: set[int] = set()
        self.ticks = 0

    def heard(self, node: int) -> None:
        """A frame of the node has come."""
        self._heard[node] = self.ticks
        self._silent.discard(node)

    def alive(self, node: int) -> bool:
        """Whether the node was heard of within the last ``silence`` ticks."""
        return node in self._heard and node not in self._silent

    def doubtful(self, node: int) -> bool:
        """Whether the node has not been heard of for most of the ticks after which it counts as silent.

        Others may have heard of it a little earlier last, and count it as silent already. Who is just about
        to beat is in no doubt.
        """
        return self.ticks - self._heard.get(node, self.ticks) > self._doubt

    def quiet_ticks(self) -> int:
        """How many ticks to come no node can fall silent at."""
        heard = [heard for node, heard in self._heard.items() if node not in self._silent]
        return min(heard, default=self.ticks) + self._silence - self.ticks

    def tick(self) -> list[int]:
        """One more tick. Returns the nodes that have been silent for too long since this one."""
        self.ticks += 1
        fallen = [
            node
            for node, heard in self._heard.items()
            if self.ticks - heard > self._silence and node not in self._silent
        ]
        self._silent.update(fallen)
        return fallen
