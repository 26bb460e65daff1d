"""The command ``multiraft`` (also ``python -m multiraft``), which the extra ``cli`` makes work."""

import sys
from importlib.util import find_spec

NEEDED = ("typer", "rich", "psutil")


def main() -> int:
    """Run the command line; return the exit status, 2 when the extra ``cli`` is not installed."""
    if any(find_spec(package) is None for package in NEEDED):
        sys.stderr.write("multiraft: the command line needs the extra cli: pip install 'multiraft[cli]'\n")
        return 2
    from .shards.cli.app import main as run_command_line  # noqa: PLC0415 - it needs the extra

    run_command_line()
    return 0


if __name__ == "__main__":
    sys.exit(main())
