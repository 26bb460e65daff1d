"""What the system group's log says that the directory does not know yet."""

from itertools import chain

from ..engine.errors import Corruption, InvalidArgument
from ..engine.replica import Replica
from ..engine.statemachine.commands import open_envelope
from ..raft.entry import Entry, EntryType
from .directory_commands import Register, decode


def logged_store(replica: Replica, node: int) -> bytes | None:
    """The store of a node by the first registration in the log that is not applied; None if there is none.

    A node that has just started may have applied nothing, or not know what is committed. If a wiped node were
    admitted for as long as that lasts, its votes and its log would count as if it had lost nothing. A
    registration that is never committed does no harm: a node registers with the store that it has.
    """
    log = replica.raw.raft.log
    unapplied = log.pages(max(log.applied + 1, log.first_index()), log.last_index() + 1)
    try:
        for entry in chain.from_iterable(unapplied):
            command = _registration(entry)
            if command is not None and command.node == node:
                return command.store_uuid
    except Corruption:
        return None  # who cannot read the entry cannot go on with the log either: nothing counts here
    return None


def _registration(entry: Entry) -> Register | None:
    if entry.type is not EntryType.NORMAL or not entry.data:
        return None
    try:
        command = decode(open_envelope(entry.data).body)
    except InvalidArgument:
        return None  # refused as it is applied
    return command if isinstance(command, Register) else None
