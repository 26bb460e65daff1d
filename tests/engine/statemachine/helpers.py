"""What several tests of the stores need."""

from multiraft.engine.statemachine.overlay import OverlayStore
from multiraft.engine.statemachine.store import Applied
from multiraft.raft.state import ConfState


def at(index: int) -> Applied:
    """An applied record that differs in its index only."""
    return Applied(index, 1, ConfState((1,)))


def flush(store: OverlayStore) -> None:
    """One whole flush of what waits."""
    taken = store.freeze()
    assert taken is not None
    store.write(taken)
    store.flushed(taken)


def flush_until_idle(store: OverlayStore) -> None:
    """Flush what waits and reclaim what was abandoned."""
    while (taken := store.freeze()) is not None:
        store.write(taken)
        store.flushed(taken)
