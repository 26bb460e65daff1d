"""What the core raises. Refusals that are part of the protocol are values, not errors (`ElectionRefusal`)."""

from enum import Enum


class RaftError(Exception):
    """Base of everything raised by this package; never raised itself."""


class DropReason(Enum):
    """Why a proposal was not appended."""

    NO_LEADER = "no leader is known"
    CANDIDATE = "an election is under way"
    NOT_A_MEMBER = "the leader is no longer in its configuration"
    TRANSFER = "leadership is being handed over"
    UNCOMMITTED_LIMIT = "too many bytes wait to be committed"
    FORWARDING_DISABLED = "not the leader, and forwarding is switched off"


class ProposalDropped(RaftError):
    """A proposal was refused and nothing of it was appended. Propose again later, perhaps elsewhere."""

    def __init__(self, reason: DropReason) -> None:
        super().__init__(f"proposal dropped: {reason.value}")
        self.reason = reason


class ReadDropped(RaftError):
    """`Config.max_pending_reads` wait already, so this one was not taken. Ask again after the next Ready."""

    def __init__(self, context: bytes, waiting: int) -> None:
        super().__init__(f"read {context!r} dropped: {waiting} reads wait already")
        self.context = context
        self.waiting = waiting


class PeerNotFound(RaftError):
    """An answer came from a replica that the configuration does not name. Drop it."""

    def __init__(self, replica: int) -> None:
        super().__init__(f"replica {replica} is not in the configuration")
        self.replica = replica


class BadMessage(RaftError, ValueError):
    """A message contradicts itself, or what its sender said before. Nothing was changed; drop it.

    Its sender, or what lies between, is faulty. The text names the values.
    """


class LocalMessage(BadMessage):
    """A message of a kind that only a replica itself may issue came from outside. Drop it and its sender."""


class Misuse(RaftError, ValueError):
    """The host broke the contract of a call, whose values the text names. A bug in the host."""


class ConfigError(RaftError, ValueError):
    """A `Config` contradicts itself or holds a wrong value; the text names the field. Nothing was started."""


class ConfChangeError(RaftError, ValueError):
    """A configuration change cannot follow the present configuration, which is left as it was, or be encoded.

    On an entry that is committed it is no failure of the replica: see `RawNode.apply_conf_change`.
    """


class Compacted(RaftError):
    """The position asked for lies before the log's first entry. Use a snapshot instead."""

    def __init__(self, index: int, first_index: int) -> None:
        super().__init__(f"index {index} is compacted away, the log starts at {first_index}")
        self.index = index
        self.first_index = first_index


class Unavailable(RaftError):
    """The position asked for lies behind the log's last entry."""

    def __init__(self, index: int, last_index: int) -> None:
        super().__init__(f"index {index} does not exist, the log ends at {last_index}")
        self.index = index
        self.last_index = last_index


class SnapshotTemporarilyUnavailable(RaftError):
    """The storage is still preparing a snapshot. The core asks again at a later heartbeat."""


class SnapshotOutOfDate(RaftError):
    """A snapshot older than the one already stored was offered to a storage, which keeps what it has."""

    def __init__(self, index: int, stored_index: int) -> None:
        super().__init__(f"snapshot at {index} is older than the stored one at {stored_index}")
        self.index = index
        self.stored_index = stored_index


class CorruptLog(RaftError):
    """The log contradicts what the group agreed on: this replica has lost or changed durable entries.

    It concerns one group only. The replica must take no further part until it has been restored from a
    snapshot; its state machine and its peers are unharmed.
    """

    def __init__(self, text: str, index: int) -> None:
        super().__init__(text)
        self.index = index
