"""The values that script commands take, and the errors in the scripts' own words."""

from collections.abc import Iterator

from multiraft.raft.confchange import Change, ChangeType
from multiraft.raft.describe import describe_payload

LETTERS = {
    "v": ChangeType.ADD_VOTER,
    "l": ChangeType.ADD_LEARNER,
    "r": ChangeType.REMOVE,
    "u": ChangeType.UPDATE,
}
TRUTH = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
TRUTH |= dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)


class CommandError(Exception):
    """A command cannot be carried out; its text is what the script expects to read."""


def unsigned(word: str) -> int:
    """A decimal number of 64 bits."""
    quoted = describe_payload(word.encode())
    digits = word[: len(word) - len(word.lstrip("0123456789"))]
    if digits and int(digits) >= 2**64:  # found before whatever stands behind the digits
        raise CommandError(f"strconv.ParseUint: parsing {quoted}: value out of range")
    if not digits or digits != word:
        raise CommandError(f"strconv.ParseUint: parsing {quoted}: invalid syntax")
    return int(word)


def boolean(word: str) -> bool:
    """A truth value."""
    if word not in TRUTH:
        raise CommandError(f"strconv.ParseBool: parsing {describe_payload(word.encode())}: invalid syntax")
    return TRUTH[word]


def parse_changes(text: str) -> Iterator[Change]:
    """Configuration changes in the form ``v1 l2 r3 u4``."""
    for token in text.split(" ") if text else ():
        if len(token.encode()) < 2:
            raise CommandError(f"unknown token {token}")
        if token[0] not in LETTERS:
            raise CommandError(f"unknown input: {token}")
        yield Change(LETTERS[token[0]], unsigned(token[1:]))
