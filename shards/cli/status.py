"""``multiraft status``: the nodes of a cluster, who leads, and how far each has applied."""

from typing import Annotated, Final, cast

import typer

from .database import connected
from .options import InsecureOption, TimeoutOption, check_address
from .output import Fields, JsonOption, counted, result_console, run_command
from .running import run_async

COLUMNS: Final = ("node", "address", "alive", "leaders", "replicas", "applied_lag")


def status(
    context: typer.Context,
    node: Annotated[str, typer.Option(metavar="HOST:PORT", help="Any running node of the cluster.")],
    timeout: TimeoutOption = 5.0,
    insecure: InsecureOption = False,
    _json: JsonOption = False,
) -> None:
    """Show the nodes of a cluster.

    For each: how many ranges it leads, how many replicas it has, and how many entries the furthest behind of
    these has yet to apply. A node that does not answer the one that is asked is not alive. ``damage`` says
    which replicas cannot run, and why.
    """
    check_address(node, "--node")

    async def work() -> Fields:
        async with connected(node, timeout, insecure=insecure) as client:
            found = await client.status()
        nodes = cast("list[dict[str, object]]", found["nodes"])
        rows = [{**{column: one.get(column) for column in COLUMNS}, **_damage(one)} for one in nodes]
        return {"nodes": rows, "ranges": found["ranges"]}

    run_command(context, lambda: run_async(work()), _show)


def _damage(one: dict[str, object]) -> Fields:
    """What a node says of replicas that cannot run, if there are any."""
    match one.get("damage"):
        case [*words] if words:
            return {"damage": words}
        case _:
            return {}


def _show(fields: Fields) -> None:
    from rich.table import Table  # noqa: PLC0415 # `--help` must not pay for it

    nodes = cast("list[dict[str, object]]", fields["nodes"])
    table = Table(
        title=f"{counted(fields['ranges'], 'range')} on {counted(len(nodes), 'node')}", title_justify="left"
    )
    for column in COLUMNS:
        table.add_column(
            column.replace("_", " "), justify="left" if column in {"address", "alive"} else "right"
        )
    for one in nodes:
        alive = "[green]yes[/]" if one["alive"] else "[red]no[/]"
        cells = {**one, "alive": alive}
        table.add_row(*("-" if cells[column] is None else str(cells[column]) for column in COLUMNS))
    console = result_console()
    console.print(table)
    for one in nodes:
        for words in cast("list[object]", one.get("damage", [])):
            console.print(f"node {one['node']}, {words}", style="red", markup=False, highlight=False)
