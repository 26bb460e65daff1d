"""The settings of one replica."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .errors import ConfigError
from .ids import LOCAL_APPEND, LOCAL_APPLY, NO_REPLICA
from .inflights import Inflights, InflightWindow
from .storage import Storage

NO_LIMIT: Final = 2**64 - 1
"""Stands for "no limit" where sizes are compared; configuration says `None` or 0."""

_INTEGERS: Final = (
    "id",
    "election_tick",
    "heartbeat_tick",
    "applied",
    "max_size_per_msg",
    "max_inflight_msgs",
    "max_inflight_bytes",
    "max_uncommitted_size",
    "max_pending_reads",
    "max_committed_size_per_ready",
)


class FullWindow(Enum):
    """What a heartbeat's answer does for a follower whose inflight window is full.

    PROBE: one empty append goes out and nothing is freed: entries cannot leak to a follower that is stuck.
    FREE_FIRST: the oldest slot is freed, so that one more append with entries may go out (the original rule).
    """

    PROBE = "probe"
    FREE_FIRST = "free-first"


class ReadOnly(Enum):
    """How a leader makes sure, before a read, that it still leads (thesis §6.4).

    SAFE: a quorum answers a heartbeat sent after the request. LEASE_BASED: it trusts the clocks, because a
    quorum was heard of within an election timeout; needs `check_quorum`.
    """

    SAFE = "safe"
    LEASE_BASED = "lease-based"


@dataclass(slots=True)
class Config:
    """Settings of a replica, fixed for the life of its `RawNode`. Ticks are the host's unit of time.

    id: this replica, unique for ever within its group.
    storage: what the replica finds at start and reads durable entries from.
    election_tick: silence after which a follower campaigns, drawn from [election_tick, 2 * election_tick).
    heartbeat_tick: a leader's interval between heartbeats.
    random: source of the drawn timeouts; seed it to reproduce a run.
    applied: the last index that the state machine has applied durably; what follows is handed out again. The
        stored commit index must not be below it, and the stored members are those in force there.
    async_storage_writes: several Readys may be outstanding; see `Ready`.
    pre_vote: ask before raising the term (thesis §9.6). check_quorum: a leader that hears no quorum within
        election_tick steps down, and voters that hear their leader ignore candidates (§6.2, §4.2.3). With
        neither, a replica that was cut off or removed may depose the leader when it comes back.
    max_size_per_msg: encoded bytes of entries per append; `None` no limit, 0 one entry each.
    max_inflight_msgs, max_inflight_bytes: appends on the way to one follower; 0 bytes sets no limit.
    max_uncommitted_size: payload bytes a leader has appended and not yet applied before it drops proposals;
        the first of any size passes. 0 sets no limit.
    max_pending_reads: read requests that wait here to be confirmed or handed out; further ones are refused.
    max_committed_size_per_ready: encoded bytes handed out and not yet applied; 0 means `max_size_per_msg`.
    commit_notices: tell followers of commits by `Ready.commit_notices` instead of empty appends.
    full_window_on_heartbeat, read_only: see `FullWindow`, `ReadOnly`.
    disable_proposal_forwarding: a follower drops proposals instead of passing them on.
    disable_conf_change_validation: a leader refuses no configuration change. For repairs only.
    step_down_on_removal: a leader that is removed or demoted gives up leadership at once. Otherwise it leads
        on, and if removed takes no proposals, until the host hands leadership over or stops it.
    inflights_factory: makes a follower's window out of max_inflight_msgs and max_inflight_bytes.
    """

    id: int
    storage: Storage
    election_tick: int
    heartbeat_tick: int
    random: random.Random
    applied: int = 0
    async_storage_writes: bool = False
    pre_vote: bool = False
    check_quorum: bool = False
    max_size_per_msg: int | None = None
    max_inflight_msgs: int = 256
    max_inflight_bytes: int = 0
    max_uncommitted_size: int = 0
    max_pending_reads: int = 65_536
    max_committed_size_per_ready: int = 0
    commit_notices: bool = False
    full_window_on_heartbeat: FullWindow = FullWindow.PROBE
    read_only: ReadOnly = ReadOnly.SAFE
    disable_proposal_forwarding: bool = False
    disable_conf_change_validation: bool = False
    step_down_on_removal: bool = False
    inflights_factory: Callable[[int, int], InflightWindow] = Inflights

    def validate(self) -> None:
        """Check the settings, alone and against each other; raise `ConfigError` with the first fault."""
        self._check_kinds()
        if self.id in (NO_REPLICA, LOCAL_APPEND, LOCAL_APPLY) or not 0 < self.id < 2**64:
            raise ConfigError(f"id {self.id} is not a replica id")
        if self.heartbeat_tick <= 0:
            raise ConfigError(f"heartbeat_tick must be positive, not {self.heartbeat_tick}")
        if self.election_tick <= self.heartbeat_tick:
            raise ConfigError(
                f"election_tick {self.election_tick} must exceed heartbeat_tick {self.heartbeat_tick}"
            )
        if self.max_inflight_msgs <= 0:
            raise ConfigError(f"max_inflight_msgs must be positive, not {self.max_inflight_msgs}")
        if self.max_pending_reads <= 0:
            raise ConfigError(f"max_pending_reads must be positive, not {self.max_pending_reads}")
        for name in ("applied", "max_inflight_bytes", "max_uncommitted_size", "max_committed_size_per_ready"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, it is {getattr(self, name)}")
        if self.max_size_per_msg is not None and self.max_size_per_msg < 0:
            raise ConfigError(f"max_size_per_msg must not be negative, it is {self.max_size_per_msg}")
        message_limit = NO_LIMIT if self.max_size_per_msg is None else self.max_size_per_msg
        if 0 < self.max_inflight_bytes < message_limit:
            raise ConfigError(
                f"max_inflight_bytes {self.max_inflight_bytes} must not be below "
                f"max_size_per_msg {self.max_size_per_msg} (None: no limit)"
            )
        if self.read_only is ReadOnly.LEASE_BASED and not self.check_quorum:
            raise ConfigError("read_only LEASE_BASED needs check_quorum: without it a lease never ends")

    def _check_kinds(self) -> None:
        """Settings often come from a file: "lease-based" is no `ReadOnly` and would mean SAFE."""
        for name in _INTEGERS:
            value = getattr(self, name)
            if (isinstance(value, bool) or not isinstance(value, int)) and (
                value is not None or name != "max_size_per_msg"
            ):
                raise ConfigError(f"{name} must be an integer, not {value!r}")
        for name, kind in (("read_only", ReadOnly), ("full_window_on_heartbeat", FullWindow)):
            if not isinstance(getattr(self, name), kind):
                raise ConfigError(f"{name} must be a {kind.__name__}, not {getattr(self, name)!r}")
