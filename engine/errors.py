"""The tree of errors: each branch tells the caller what to do next.

:class:`Retryable` — nothing happened, ask again. :class:`Unknown` — a write may or may not have happened,
and may still happen. :class:`Fatal` — asking again does not help, an operator has to look.
:class:`InvalidArgument` — the request itself is wrong. Every error that multiraft raises to its users
derives from :class:`Error`.
"""


class Error(Exception):
    """Base of every error of multiraft; never raised itself."""


class Retryable(Error):
    """Nothing happened: the same request may be made again, perhaps elsewhere or later."""


class NotLeader(Retryable):
    """The replica that was asked does not lead its group. ``hint`` is the node that does, if known."""

    def __init__(self, group: int, hint: int | None = None) -> None:
        where = "its leader is not known" if hint is None else f"node {hint} may lead it"
        super().__init__(f"group {group} is not led by this node: {where}")
        self.group = group
        self.hint = hint


class RangeMoved(Retryable):
    """The key's range has other bounds or another epoch than the request was routed by."""


class NoRange(Retryable):
    """No range covers the key: create one with ``create_ranges``."""


class RangeDeleted(RangeMoved):
    """The range was deleted, or is about to be: nothing happened. Its keys may get another range."""


class Overloaded(Retryable):
    """A bounded queue is full. Ask again after ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: float = 0.1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProposalDropped(Retryable):
    """The proposal was refused, or another leader's entry took its place: it did not and will not apply."""


class Unavailable(Retryable):
    """Nobody can serve the request now: its group has no leader that reaches a quorum, or nobody answers."""


class Unknown(Error):
    """The outcome is not known."""


class OutcomeUnknown(Unknown):
    """A write that was cancelled, timed out or lost its connection may yet commit: read before repeating."""


class Fatal(Error):
    """Asking again does not help."""


class Corruption(Fatal):
    """Stored bytes are damaged. ``group`` and ``index`` name the place as far as it is known."""

    def __init__(self, message: str, group: int | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.group = group
        self.index = index


class Quarantined(Fatal):
    """A replica was set aside because going on would break a promise. Names group and index."""

    def __init__(self, group: int, index: int, reason: str) -> None:
        super().__init__(f"group {group} is quarantined at index {index}: {reason}")
        self.group = group
        self.index = index
        self.reason = reason


class DiskFull(Fatal):
    """The disk has no space for the next batch."""


class StorageFailed(Fatal):
    """The disk refused a write or a sync: nothing that was in flight is acknowledged."""


class QueryFailed(Fatal):
    """The code of a read raised what is no error of multiraft: its ``__cause__``."""


class ClusterMismatch(Fatal):
    """A data directory or a peer belongs to another cluster, or is a wiped or copied node.

    ``replaced`` tells the two apart: the cluster is the same, and knows the node with another directory or
    process. It is never the fault of the node that found out.
    """

    def __init__(self, message: str, *, replaced: bool = False) -> None:
        super().__init__(message)
        self.replaced = replaced


class VersionMismatch(Fatal):
    """A file or a peer speaks a format that this version does not know."""


class Closed(Fatal):
    """The engine has been closed, or has stopped because of an earlier fatal error (its ``__cause__``)."""


class Forked(Fatal):
    """The engine was opened before ``fork()``: open it in the child process instead."""


class AlreadyOpen(Fatal):
    """The data directory is open already, in this process or in another one."""


class PermissionDenied(Fatal):
    """The data directory cannot be read or written by this user."""


class InvalidArgument(Error, ValueError):
    """The request itself is wrong: it will never succeed as it is."""


class AddressInUse(InvalidArgument):
    """Another program listens on the address already."""


class KeyTooLarge(InvalidArgument):
    """Keys have at most 480 bytes."""


class ValueTooLarge(InvalidArgument):
    """Values have at most 1 MiB."""


class CommandTooLarge(InvalidArgument):
    """A command or batch has at most 4 MiB."""


class SnapshotTooLarge(InvalidArgument):
    """A range has outgrown what one snapshot message can carry."""


class CrossRange(InvalidArgument):
    """An atomic batch touches keys of more than one range."""


class InvalidRanges(InvalidArgument):
    """The ranges to create overlap, are empty, or are too many for the key space between their bounds."""
