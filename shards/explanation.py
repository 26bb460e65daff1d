"""Why a proposal or a read of a group is not finished: the answer, as callers get it and as it travels."""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from .requests import Malformed

REASONS_MAX: Final = 64
TEXT_MAX: Final = 1000
"""Reasons of one explanation and characters of one text, at most: what stands in them may be anybody's."""


class Reason(NamedTuple):
    """One thing that holds a group up, or one of its members."""

    code: str
    """What it is, in one word for programs: see :mod:`~multiraft.shards.reasons`."""
    node: int | None
    """The node that it is about, None if it is about the whole group."""
    blocks: bool
    """Whether proposals (or all requests) get no further until it ends; else others make up for it."""
    text: str


class Explanation(NamedTuple):
    """What the nodes that hold a group say of it, at one moment."""

    group: int
    leader: int | None
    """The node that leads it as far as is known."""
    term: int
    """The newest term that a replica has told; 0 if none has told any."""
    reasons: tuple[Reason, ...]
    """Those that block come first; none if nothing is wrong."""

    @property
    def blocked(self) -> bool:
        """Whether something keeps requests from being finished."""
        return any(reason.blocks for reason in self.reasons)

    def words(self) -> str:
        """All of it as text, a line for each reason."""
        if not self.reasons:
            return (
                f"Nothing is wrong: node {self.leader} leads in term {self.term}, and every replica has all."
            )
        return "\n".join(reason.text for reason in self.reasons)

    def fields(self) -> dict[str, object]:
        """The same as values of JSON."""
        reasons = [reason._asdict() for reason in self.reasons]
        return {**self._asdict(), "blocked": self.blocked, "reasons": reasons}


def cut_text(text: str) -> str:
    """One line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_MAX else f"{line[: TEXT_MAX - 1]}…"


def encode_explanation(explanation: Explanation) -> str:
    """For a reply."""
    return json.dumps(explanation.fields())


def explanation_of(found: Mapping[str, object]) -> Explanation:
    """What a node has said, if it makes sense. Raises `Malformed`."""
    match found:
        case {
            "group": int(group),
            "leader": (int() | None) as leader,
            "term": int(term),
            "reasons": list(said),
        }:
            pass
        case _:
            raise Malformed("the node's explanation has another shape")
    if len(said) > REASONS_MAX:
        raise Malformed(f"the node gives {len(said)} reasons, more than {REASONS_MAX}")
    return Explanation(group, leader, term, tuple(_reason_of(one) for one in said))


def _reason_of(found: object) -> Reason:
    match found:
        case {
            "code": str(code),
            "node": (int() | None) as node,
            "blocks": bool(blocks),
            "text": str(text),
        } if len(code) <= TEXT_MAX and len(text) <= TEXT_MAX:
            return Reason(code, node, blocks, text)
        case _:
            raise Malformed("one of the node's reasons has another shape")
