"""``multiraft verify``: whether all that a stopped node's data directory holds is whole."""

from pathlib import Path

import typer

from .offline import DirectoryArgument, looking_on, patient
from .output import Fields, JsonOption, counted, note, run_command


def verify(context: typer.Context, directory: DirectoryArgument, _json: JsonOption = False) -> None:
    """Check everything in the data directory of a stopped node.

    Every page of both stores, every batch, entry and value with its checksum, and whether the log reaches
    from what is applied to its end. Each damaged place is named on standard error; the exit status is 1 if
    there is one. Nothing is written, and the node must not be running.
    """
    run_command(context, lambda: _verify(directory), _show)


def _verify(directory: Path) -> Fields:
    from ...engine.offline.stopped import StoppedNode  # noqa: PLC0415 # `--help` must not pay for it
    from ...engine.offline.verify import verify_node  # noqa: PLC0415 # likewise

    with looking_on() as phases, StoppedNode.open(directory) as node:
        log, state, findings = verify_node(node, patient(phases))
        whole = node.log()
        hidden = None if whole is None else whole.salvaged
    if hidden is not None:
        note(f"batch {hidden} of the log was hidden by a crash: the next start puts it back")
    for damage in findings.kept:
        note(f"damaged: {damage}")
    if findings.count > len(findings.kept):
        note(f"damaged: {findings.count - len(findings.kept)} more places")
    return {
        "batches": log.batches,
        "entries": log.entries,
        "values": state.values,
        "damaged": findings.count,
        "ok": not findings.count,
    }


def _show(fields: Fields) -> None:
    batches = f"{fields['batches']} batch{'' if fields['batches'] == 1 else 'es'}"
    entries = f"{fields['entries']} entr{'y' if fields['entries'] == 1 else 'ies'}"
    verdict = "all whole" if fields["ok"] else counted(fields["damaged"], "damaged place")
    print(f"{batches}, {entries}, {counted(fields['values'], 'value')}: {verdict}")
