"""The command ``multiraft`` (also ``python -m multiraft``), which the extra ``cli`` makes work."""

import sys
from importlib.util import find_spec

NEEDED = ("typer", "rich", "psutil")
INTERRUPTED = 130


def main() -> int:
    """Run the command line; return the exit status: 2 without the extra ``cli``, 130 after Ctrl-C."""
    if any(find_spec(package) is None for package in NEEDED):
        sys.stderr.write("multiraft: the command line needs the extra cli: pip install 'multiraft[cli]'\n")
        return 2
    try:
        from .shards.cli.app import main as run_command_line  # noqa: PLC0415 - it needs the extra

        run_command_line()
    except KeyboardInterrupt:  # while the modules load: later the command itself answers it
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
