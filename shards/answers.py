"""What a client makes of a reply's fields: another version, or another program, may have written them."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

from .explanation import Explanation, explanation_of
from .keyrange import KeyRange
from .planning import Deleted
from .requests import Malformed, Scalar
from .scanning import Page, PageRequest, page_pairs


def json_object(fields: Sequence[Scalar]) -> dict[str, Any]:
    """The JSON object that is the only field. Raises `Malformed`: it is none."""
    match fields:
        case [str(text)]:
            pass
        case _:
            raise Malformed("the node's answer is no text")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the node's answer is no JSON: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise Malformed("the node's answer is no JSON object")
    return found


def node_line(fields: Sequence[Scalar], node: int | None = None) -> dict[str, object]:
    """What a node says of itself, as `status.node_status` makes it. Raises `Malformed`."""
    return _checked_line(json_object(fields), node)


def cluster_status(fields: Sequence[Scalar]) -> dict[str, object]:
    """What a node says of its cluster. Raises `Malformed`."""
    match json_object(fields):
        case {"nodes": list(nodes), "ranges": int(ranges)}:
            return {"nodes": [_checked_line(node, None) for node in nodes], "ranges": ranges}
        case _:
            raise Malformed("the node's status has another shape")


def explanation(fields: Sequence[Scalar]) -> Explanation:
    """Why a range's requests are not finished. Raises `Malformed`."""
    return explanation_of(json_object(fields))


def digests(fields: Sequence[Scalar]) -> dict[str, list[int]]:
    """Three numbers for each replica, by the first key of its range. Raises `Malformed`."""
    found = json_object(fields)
    for numbers in found.values():
        match numbers:
            case [int(), int(), int()]:
                continue
            case _:
                raise Malformed("the node's digests have another shape")
    return found


def keys(fields: Sequence[Scalar]) -> list[bytes]:
    """Nothing but keys. Raises `Malformed`."""
    if any(type(key) is not bytes for key in fields):
        raise Malformed("the node's answer is not a list of keys")
    return list(cast("Sequence[bytes]", fields))


def ranges(fields: Sequence[Scalar], start: bytes) -> tuple[list[KeyRange], bytes | None]:
    """A page of ranges from a start on, and where the next page begins. Raises `Malformed`."""
    found: list[KeyRange] = []
    match fields:
        case [(bytes() | None) as resume, *bounds] if len(bounds) % 2 == 0:
            pass
        case _:
            raise Malformed("the node's answer is no page of ranges")
    place: bytes | None = start
    for low, high in zip(bounds[::2], bounds[1::2], strict=True):
        if type(low) is not bytes or not isinstance(high, bytes | None) or place is None or low < place:
            raise Malformed("the node's ranges do not ascend")
        if high is not None and high <= low:
            raise Malformed("one of the node's ranges is empty")
        found.append(KeyRange(low, high))
        place = high
    if resume is not None and (resume <= start or resume != place):
        raise Malformed("the node's page of ranges leads nowhere")
    return found, resume


def value(fields: Sequence[Scalar]) -> bytes | None:
    """The value of a key, or None. Raises `Malformed`."""
    match fields:
        case [(bytes() | None) as found]:
            return found
        case _:
            raise Malformed("the node's answer is no value")


def created(fields: Sequence[Scalar]) -> tuple[int, int]:
    """How many ranges were created, and how many were there. Raises `Malformed`."""
    match fields:
        case [int(new), int(old)]:
            return new, old
        case _:
            raise Malformed("the node's answer to a creation has another shape")


def deleted(fields: Sequence[Scalar], start: bytes) -> Deleted:
    """What a chunk of a deletion has deleted and left. Raises `Malformed`."""
    match fields:
        case [int(gone), int(left), (bytes() | None) as resume]:
            pass
        case _:
            raise Malformed("the node's answer to a deletion has another shape")
    if resume is not None and resume <= start:
        raise Malformed("the node's deletion leads nowhere")
    return Deleted(gone, left, resume)


def page(fields: Sequence[Scalar], request: PageRequest) -> Page:
    """A page of the scan that was asked for, which gets further with each page. Raises `Malformed`."""
    if not fields:
        raise Malformed("the node's answer is no page")
    resume, pairs = page_pairs(fields)
    start, stop, reverse, _, _ = request
    inside = all(key >= start and (stop is None or key < stop) for key, _ in pairs)
    ascends = all((key > after) is reverse and key != after for (key, _), (after, _) in pairwise(pairs))
    if not inside or not ascends:
        raise Malformed("the node's page holds other keys than were asked for")
    if resume is None:
        return Page(pairs, None)
    if type(resume) is not bytes or not ((stop is None or resume < stop) if reverse else (resume > start)):
        raise Malformed("the node's page leads nowhere")
    return Page(pairs, resume)


def _checked_line(line: object, node: int | None) -> dict[str, object]:
    match line:
        case {"node": int(said), "address": str(), "alive": bool()} if node in {None, said}:
            return cast("dict[str, object]", line)
        case _:
            raise Malformed("what the node says of itself has another shape")
