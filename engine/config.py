"""What an embedder may tune, with the defaults of a small cluster on one local network."""

from dataclasses import dataclass, fields
from typing import Literal

from .errors import InvalidArgument

KIB = 1024
MIB = 1024 * KIB
BALLAST_BYTES = 16 * MIB


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Settings of one node. Times are milliseconds, sizes are bytes.

    Raises:
        InvalidArgument: a value is out of range or two values contradict each other.
    """

    tick_ms: int = 100
    """The length of a Raft tick; every other time is rounded to whole ticks."""
    beat_ms: int = 500
    """How often a leader beats."""
    election_timeout_ms: int = 1000
    """Election timeouts are drawn from [T, 2T)."""
    rest_after_beats: int = 6
    """Beats in which nothing happens to a group, after which it rests: it beats no more until it has to."""
    elections_in_flight: int = 128
    """Elections by timeout that this node holds at the same time; other groups wait a little longer."""
    append_bytes: int = 1 * MIB
    """Encoded entries per append message (at least one entry goes, whatever its size)."""
    inflight_messages: int = 256
    """Append messages outstanding per peer and group."""
    inflight_bytes: int = 4 * MIB
    """Payload bytes outstanding per peer and group."""
    uncommitted_bytes: int = 16 * MIB
    """Payload bytes proposed to a group and not yet committed; more is refused as Overloaded."""
    apply_bytes: int = 1 * MIB
    """Encoded entries that one group applies per turn."""
    apply_backlog_bytes: int = 4 * MIB
    """Requests of one group that wait for a state machine that applies outside the turn; more is refused as
    Overloaded."""
    log_keep_bytes: int = 4 * MIB
    """Log kept behind the applied index for followers that lag."""
    log_keep_entries: int = 10_000
    """The same, by number of entries."""
    log_keep_ms: int = 3_600_000
    """The same, by age: what has lain longer behind the applied index is dropped."""
    log_hold_bytes: int = 64 * MIB
    """Log kept for one follower while it is sent a snapshot; each time that it is not enough it doubles."""
    flush_ms: int = 300
    """How often applied writes are flushed to the state store."""
    memtable_bytes: int = 32 * MIB
    """Applied writes that wait for a flush, with what it costs to keep them. It begins early at half of this;
    at all of it applying waits. As much again is kept by a flush under way."""
    batches_in_flight: int = 4
    """Batches handed to the log writer and not yet durable; more work joins the next batch."""
    parked_bytes: int = 16 * MIB
    """Early messages of groups that this node has not created yet."""
    parked_ms: int = 5000
    """How long such a message waits before it is dropped."""
    snapshot_ms: int = 30_000
    """How long a snapshot on its way may stand still before it counts as lost and begins anew."""
    snapshot_chunk_bytes: int = 1 * MIB
    """Keys and values per chunk of a snapshot, at most 1 MiB (at least one pair goes, whatever its size)."""
    snapshot_bytes_per_second: int = 64 * MIB
    """Bytes of snapshots that this node sends, and as many that it receives, per second."""
    snapshots_in: int = 2
    """Snapshots that this node receives at the same time."""
    snapshots_out: int = 2
    """Snapshots that it sends at the same time."""
    request_bytes: int = 256 * MIB
    """Requests queued on this node, over all groups; more is refused as Overloaded."""
    operation_timeout_ms: int = 30_000
    """The deadline of an operation for which the caller set none."""
    durability: Literal["sync", "none"] = "sync"
    """``"none"`` never calls fdatasync: for tests and caches that may lose everything."""
    state_machine: Literal["lmdb", "memory"] = "lmdb"
    """Where the key-value machines keep their data. In memory a range should have at most 64 MiB: beyond that
    it has no checkpoint, and its whole log stays on the disk."""
    ballast_bytes: int = BALLAST_BYTES
    """Space set aside on the disk, at most a sixteenth of it, to end what is under way once it is full."""
    tune_process: bool = False
    """Let the engine change process-wide settings (interpreter switch interval, garbage collector)."""

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            if isinstance(option.default, int) and value < 1 and not isinstance(value, bool):
                raise InvalidArgument(f"{option.name} must be at least 1, not {value}")
        if self.election_timeout_ms < 2 * self.tick_ms:
            raise InvalidArgument(
                f"election_timeout_ms={self.election_timeout_ms} must be at least 2 * tick_ms={self.tick_ms}"
            )
        if self.beat_ms >= self.election_timeout_ms:
            raise InvalidArgument(
                f"beat_ms={self.beat_ms} must be below election_timeout_ms={self.election_timeout_ms}"
            )
        if self.inflight_bytes < self.append_bytes:
            raise InvalidArgument(
                f"inflight_bytes={self.inflight_bytes} must not be below append_bytes={self.append_bytes}"
            )
        if self.snapshot_chunk_bytes > MIB:
            raise InvalidArgument(f"snapshot_chunk_bytes={self.snapshot_chunk_bytes} must be at most {MIB}")
        if self.durability not in {"sync", "none"}:
            raise InvalidArgument(f'durability must be "sync" or "none", not {self.durability!r}')
        if self.state_machine not in {"lmdb", "memory"}:
            raise InvalidArgument(f'state_machine must be "lmdb" or "memory", not {self.state_machine!r}')

    @property
    def election_ticks(self) -> int:
        """The election timeout in ticks."""
        return max(2, round(self.election_timeout_ms / self.tick_ms))

    @property
    def beat_ticks(self) -> int:
        """The beat interval in ticks."""
        return max(1, min(self.election_ticks - 1, round(self.beat_ms / self.tick_ms)))
