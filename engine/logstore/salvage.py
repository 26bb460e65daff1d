"""The newest batch after a crash of the machine: acknowledged with one flush, but not yet in the tree.

A transaction writes its pages, flushes them, and then writes the page that makes them visible, which only
the next transaction's flush makes durable. A crash in between takes that page: the tree is the one before,
and the batch stands in pages that it does not know. Nothing has overwritten them, since pages of the newest
two trees are never reused. They are found by what each chunk says of itself; a batch of which any chunk is
missing or damaged was never acknowledged.

Only the batch that follows the newest one *in its run* is looked for. Every opening, and every return from a
failed commit, begins a run with a batch that is flushed twice, so nothing of a failed commit is ever taken.
"""

import logging

from ..errors import Corruption
from .blob import BadBatch, NewerFormat, decode_blob
from .chunks import ChunkHeader, beginning, chunk_key, found_chunk, join, link, read_header, split_key
from .environment import Environment

logger = logging.getLogger(__name__)


def salvage(environment: Environment) -> int | None:
    """Append the batch that a crash has hidden, if there is one; returns its sequence number.

    To be called before anything is written. Raises as `Environment.write`.
    """
    newest = _newest(environment)
    if newest is None:
        return None
    header, chain = newest
    values = _complete(environment, header, chain)
    if values is None:
        return None
    seq = header.seq + 1
    try:
        contents = decode_blob(join(values))
    except (BadBatch, NewerFormat) as error:
        raise Corruption(f"log batch {seq}, found outside the tree, is none: {error}") from error
    if contents.previous != header.seq:
        raise Corruption(f"log batch {seq}, found outside the tree, follows batch {contents.previous}")
    dropped = _keys_below(environment, chunk_key(contents.head, 0))
    added = [(chunk_key(seq, number), value) for number, value in enumerate(values)]
    environment.write_again(dropped, added)
    logger.warning("log batch %d was not in the tree after a crash; it was found and put back", seq)
    return seq


def _newest(environment: Environment) -> tuple[ChunkHeader, int] | None:
    """The newest batch of the tree, and the chain behind it."""
    with environment.reading() as get:
        key = environment.last_key()
        if key is None:
            return None
        seq, last = split_key(key)
        values, header = [], None
        for number in range(last + 1):
            value = get(chunk_key(seq, number))
            try:
                header = read_header(value or b"", seq, number)
            except Corruption:
                return None  # the scan of the log will say it
            values.append(bytes(value or b""))
    assert header is not None, "a batch has a chunk"
    return header, link(header.chain, values)


def _complete(environment: Environment, before: ChunkHeader, chain: int) -> list[bytes] | None:
    """The values of the batch behind `before`, if all of them are there."""
    seq = before.seq + 1
    found: dict[int, bytes] = {}
    chunks = 0
    for raw in environment.remains(beginning(seq, before.run)):
        chunk = found_chunk(raw)
        if chunk is None or chunk[0].chain != chain:
            continue
        header, value = chunk
        if found.get(header.number, value) != value:
            raise Corruption(f"log batch {seq} is there twice outside the tree")
        found[header.number] = value
        chunks = header.chunks
    if not chunks or len(found) != chunks:
        return None
    return [found[number] for number in range(chunks)]


def _keys_below(environment: Environment, end: bytes) -> list[bytes]:
    """All keys below `end`: of batches that the one found has replaced."""
    keys = []
    for key, _ in environment.scan():
        if bytes(key) >= end:
            break
        keys.append(bytes(key))
    return keys
