"""What the engine asks of a state machine."""

from collections.abc import Sequence
from typing import Protocol


class StateMachine(Protocol):
    """Deterministic: replicas that applied the same commands are equal and answered equally.

    ``durable`` says that the machine keeps its state in a store which is flushed together with the applied
    record. A machine that is not durable is brought back from its last checkpoint (:meth:`snapshot`) and the
    log behind it.
    """

    @property
    def durable(self) -> bool:
        """Whether the state survives with the store's flushes."""
        ...

    def apply(self, commands: Sequence[bytes]) -> list[object]:
        """Apply commands in order and return one result for each.

        A refusal is a result too: an instance of an error, the same on every replica. What is *raised* is a
        fault of this replica (damage, disk) and sets it aside. Empty commands are never passed.
        """
        ...

    def snapshot(self) -> bytes:
        """The whole state, in a form that :meth:`restore` of any replica takes.

        A durable machine reads it from its store: after a command that raised, the store has taken back what
        the machine wrote, and what is there is the last state that a point of the log has.
        """
        ...

    def restore(self, data: bytes) -> None:
        """Replace the whole state. Raises, and leaves the state as it was, if ``data`` is damaged."""
        ...

    def metadata(self) -> bytes:
        """What must stand in the applied record to open the machine again (bounds, epoch); short."""
        ...
