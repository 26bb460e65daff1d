"""``multiraft explain``: why proposals or reads of a range are not finished."""

from typing import Annotated, Final, cast

import typer

from .database import connected
from .options import InsecureOption, TimeoutOption, check_address
from .output import Fields, JsonOption, bytes_of, run_command
from .running import run_async

LARGEST_GROUP: Final = 2**64 - 1


def explain(
    context: typer.Context,
    place: Annotated[str, typer.Argument(metavar="RANGE", help="A key, or the number of a range.")],
    node: Annotated[str, typer.Option(metavar="HOST:PORT", help="Any running node of the cluster.")],
    timeout: TimeoutOption = 5.0,
    insecure: InsecureOption = False,
    _json: JsonOption = False,
) -> None:
    """Say why proposals or reads of a range are not finished.

    RANGE is a number if it consists of digits only, and otherwise a key that the range holds: UTF-8 text, or
    hexadecimal after 0x (which is how to write a key of digits). Range 1 is the directory. What holds the
    whole range up is marked with an exclamation mark; for the rest others make up.
    """
    check_address(node, "--node")
    wanted = range_of(place)

    async def work() -> Fields:
        async with connected(node, timeout, insecure=insecure) as client:
            found = await client.explain(wanted)
        return {**found.fields(), "words": found.words()}

    run_command(context, lambda: run_async(work()), _show)


def range_of(text: str) -> bytes | int:
    """A range's number, or a key. Raises typer.BadParameter: it is neither."""
    if not (text.isascii() and text.isdigit()):
        return bytes_of(text)
    number = int(text) if len(text) <= len(str(LARGEST_GROUP)) else LARGEST_GROUP + 1
    if not 1 <= number <= LARGEST_GROUP:
        raise typer.BadParameter(f"{text}: a range's number is 1..{LARGEST_GROUP}", param_hint="RANGE")
    return number


def _show(fields: Fields) -> None:
    leader = "no leader" if fields["leader"] is None else f"led by node {fields['leader']}"
    print(f"range {fields['group']}, {leader}, term {fields['term']}")
    reasons = cast("list[dict[str, object]]", fields["reasons"])
    for reason in reasons:
        print(f"{'!' if reason['blocks'] else ' '} {reason['text']}")
    if not reasons:
        print(f"  {fields['words']}")
