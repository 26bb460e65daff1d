"""Groups against creation time, idle CPU and memory: measures with ``multiraft bench``, and plots.

    python -m benchmarks.plot_groups --groups 10 100 1000 --transport memory tcp
    python -m benchmarks.plot_groups

``benchmarks/results/groups.json`` keeps what was measured, one row for each number of groups and transport; a
new measurement takes the place of the old one. Plots need the extra ``dev``.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

RESULTS: Final = Path(__file__).parent / "results"
ROWS: Final = RESULTS / "groups.json"

Row = dict[str, Any]


class Plot(NamedTuple):
    """One picture."""

    file: str
    field: str
    title: str
    unit: str


PLOTS: Final = (
    Plot("creation.png", "seconds", "Until every range has a leader and all its replicas work", "seconds"),
    Plot("idle_cpu.png", "cpu_ms_per_tick", "CPU of one node for one tick, with idle groups", "ms"),
    Plot("memory.png", "bytes_per_replica", "Memory that a replica takes", "bytes"),
)


def measure(groups: int, transport: str, seconds: float) -> Row:
    """One row: a creation, and then, in a cluster of its own, idle groups."""
    place = f"--transport={transport}"
    created = _bench("create", f"--ranges={groups}", place)
    idle = _bench("idle", f"--groups={groups}", place, f"--seconds={seconds}")
    return {
        "groups": groups,
        "transport": transport,
        "seconds": created["seconds"],
        "max_term": created["max_term"],
        "longest_turn_ms": created["longest_turn_ms"],
        "cpu_ms_per_tick": idle["cpu_ms_per_tick"],
        "per_group_messages": idle["per_group_messages"],
        "bytes_per_replica": idle["bytes_per_replica"],
    }


def merged(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """All rows, the new ones in the place of old ones about the same, by transport and number of groups."""
    rows = {(row["transport"], row["groups"]): row for row in (*old, *new)}
    return [rows[name] for name in sorted(rows)]


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw every plot into a folder; returns the files."""
    import matplotlib as mpl  # noqa: PLC0415 # of the extra dev, and slow to load

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415 # after the backend is chosen

    files = []
    for plot in PLOTS:
        figure, axes = pyplot.subplots(figsize=(7, 4.2), dpi=110, layout="constrained")
        for transport, label in (("memory", "three nodes in one process"), ("tcp", "three processes")):
            points = [(row["groups"], row[plot.field]) for row in rows if row["transport"] == transport]
            if points:
                axes.plot(*zip(*sorted(points), strict=True), marker="o", label=label)
        axes.set(xscale="log", yscale="log", xlabel="groups", ylabel=plot.unit, title=plot.title)
        axes.grid(visible=True, which="major", alpha=0.4)
        axes.legend()
        files.append(folder / plot.file)
        figure.savefig(files[-1], metadata={"Software": None})  # the same figures give the same file
        pyplot.close(figure)
    return files


def _bench(*arguments: str) -> Row:
    command = [sys.executable, "-P", "-m", "multiraft", "bench", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Row = json.loads(done.stdout)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", type=int, nargs="+", default=[], help="how many, one row for each number")
    parser.add_argument("--transport", choices=("memory", "tcp"), nargs="+", default=["memory", "tcp"])
    parser.add_argument("--seconds", type=float, default=10, help="how long to look at idle groups")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of the rows and the plots")
    options = parser.parse_args(arguments)
    kept = options.results / ROWS.name
    options.results.mkdir(exist_ok=True)
    rows: list[Row] = json.loads(kept.read_text()) if kept.exists() else []
    for groups, transport in product(options.groups, options.transport):
        rows = merged(rows, [measure(groups, transport, options.seconds)])
        kept.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    for file in draw(rows, options.results):
        sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
