"""``multiraft demo``: a cluster of processes, real data, a node killed in the middle, every row checked."""

import random
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ...engine.errors import InvalidArgument, PermissionDenied
from .output import Fields, JsonOption, counted, note, result_console, run_command
from .processes import CLUSTER
from .running import run_async


def demo(
    context: typer.Context,
    nodes: Annotated[
        int, typer.Option(min=3, max=5, help="Node processes; fewer than three cannot lose one.")
    ] = 3,
    ranges: Annotated[int, typer.Option(min=1, help="Ranges, cut at keys sampled from the data.")] = 64,
    input: Annotated[  # noqa: A002 # the option's name
        Path | None,
        typer.Option(
            readable=False, metavar="FILE.csv", help="Load this CSV file: the first column is the key."
        ),
    ] = None,
    header: Annotated[
        bool, typer.Option("--header", help="The first line of the CSV file names its columns.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(readable=False, metavar="DIR", help="Keep the nodes' data in this directory."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Repeat the choices of an earlier run: order, node, moment.")
    ] = None,
    _json: JsonOption = False,
) -> None:
    """Load data, kill a node meanwhile, check every row.

    The nodes are processes on loopback. The data are all named Unicode code points (name, category, numeric
    value), or the rows of a CSV file. In the middle of the load a node that leads many ranges is killed
    (SIGKILL) with writes under way; the others take over and the load goes on; the node is started again.
    In the end every row is read back, linearizably, through every node.
    """

    def work() -> Fields:
        from .dataset import csv_rows, unicode_rows  # noqa: PLC0415 # `--help` must not pay for it
        from .demo_run import Plan, run_demo  # noqa: PLC0415 # likewise

        dataset = unicode_rows() if input is None else csv_rows(input, header=header)
        if dataset.replaced:
            repeat = "row repeats" if dataset.replaced == 1 else "rows repeat"
            note(f"{input}: {dataset.replaced} {repeat} an earlier key; the last row of each key counts")
        chosen = secrets.randbits(32) if seed is None else seed
        plan = Plan(dataset.rows, nodes, _ranges_for(len(dataset.rows), ranges), random.Random(chosen))
        with workspace(keep) as root:
            note(f"seed {chosen}")
            return run_async(run_demo(root, plan))

    def show(fields: Fields) -> None:
        _show(fields)
        if keep is not None:
            note(f"the nodes' data and logs are in {keep}: serve them with --cluster {CLUSTER}")

    run_command(context, work, show)


def _ranges_for(rows: int, wanted: int) -> int:
    """Every range gets at least two rows, as far as there are so many."""
    most = max(1, rows // 2)
    if wanted > most:
        note(f"{counted(rows, 'row')} can be cut into {counted(most, 'range')}, not {wanted}")
    return min(wanted, most)


@contextmanager
def workspace(keep: Path | None) -> Iterator[Path]:
    """The directory for the nodes' data: ``keep``, or a temporary one that goes unless something fails.

    Raises:
        InvalidArgument, PermissionDenied: ``keep`` cannot be used.
    """
    if keep is not None:
        _make_usable(keep)
        yield keep.resolve()
        return
    root = Path(tempfile.mkdtemp(prefix="multiraft-demo-"))
    try:
        yield root
    except KeyboardInterrupt:
        shutil.rmtree(root)
        raise
    except BaseException:
        note(f"the nodes' data and logs are in {root}")
        raise
    shutil.rmtree(root)


def _make_usable(directory: Path) -> None:
    """Make a directory that is empty and takes files. Raises as :func:`workspace`."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        used = any(directory.iterdir())
        with tempfile.TemporaryFile(dir=directory):
            pass
    except (FileExistsError, NotADirectoryError):
        raise InvalidArgument(f"{directory} is not a directory") from None
    except PermissionError as error:
        raise PermissionDenied(f"{directory}: {error.strerror}") from error
    if used:
        raise InvalidArgument(f"{directory}: the directory is not empty")


def _show(fields: Fields) -> None:
    from rich.table import Table  # noqa: PLC0415 # `--help` must not pay for it

    title = "[bold green]Nothing was lost[/]" if fields["ok"] else "[bold red]FAILED[/]"
    table = Table("", "", title=title, show_header=False)
    table.columns[1].justify = "right"
    texts = {
        "rows": "rows",
        "acknowledged": "acknowledged",
        "verified": "read back through every node",
        "lost": "lost",
        "ranges": "ranges",
        "killed_node": "killed node",
        "killed_led_ranges": "ranges that it led",
        "writes_during_outage": "writes while it was down",
        "failover_seconds": "until every range that it led took writes again (s)",
        "seconds": "the load took (s)",
        "rows_per_second": "rows per second",
    }
    for name, text in texts.items():
        value = fields[name]
        table.add_row(text, f"{value:,}" if isinstance(value, int) else str(value))
    result_console().print(table)
