"""What the engine asks of a state machine."""

from collections.abc import Sequence
from typing import Protocol, cast


class StateMachine(Protocol):
    """Deterministic: replicas that applied the same commands are equal and answered equally.

    ``durable`` says that the machine keeps its state in a store which is flushed together with the applied
    record: it is a :class:`StoredMachine`. Any other is a :class:`VolatileMachine`, which is brought back
    from its last checkpoint and the log behind it.
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

    def metadata(self) -> bytes:
        """What must stand in the applied record to open the machine again (bounds, epoch); short."""
        ...


class StoredMachine(StateMachine, Protocol):
    """A machine whose whole state is its key space in the state store, and its metadata."""

    def reload(self, metadata: bytes) -> None:
        """Go on from what is in the store now: the state of another replica, which had this metadata.

        Raises:
            Corruption: it is not what a replica of this group can have.
        """
        ...


class VolatileMachine(StateMachine, Protocol):
    """A machine whose state is in memory only."""

    def snapshot(self) -> bytes:
        """The whole state, in a form that :meth:`restore` of any replica takes."""
        ...

    def restore(self, data: bytes) -> None:
        """Replace the whole state. Raises, and leaves the state as it was, if ``data`` is damaged."""
        ...


class AsyncMachine(VolatileMachine, Protocol):
    """A machine whose commands take their time: they are awaited outside the turn, one run after the other.

    Of its own group nothing else is applied meanwhile, linearizable reads wait, and no snapshot is taken;
    stale reads see what it shows between two awaits. The other groups go on. Its state cannot be in the
    store: a flush would find it half-way.
    """

    async def async_apply(self, commands: Sequence[bytes]) -> list[object]:
        """What :meth:`StateMachine.apply` does, which is never called then. Cancelled as the node closes."""
        ...


def asynchronous(machine: StateMachine) -> AsyncMachine | None:
    """The machine, if it applies outside the turn."""
    return cast("AsyncMachine", machine) if hasattr(machine, "async_apply") else None


def stored(machine: StateMachine) -> StoredMachine | None:
    """The machine, if its state is in the store."""
    return cast("StoredMachine", machine) if machine.durable else None


def volatile(machine: StateMachine) -> VolatileMachine | None:
    """The machine, if its state is in memory only."""
    return None if machine.durable else cast("VolatileMachine", machine)
