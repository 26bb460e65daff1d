"""Process-wide settings that help a node, changed only by who owns the process."""

import gc
import sys
from typing import Final

SWITCH_INTERVAL: Final = 0.0005
"""A thread that comes back from the disk waits this long for the interpreter, instead of 5 ms."""
YOUNG_OBJECTS: Final = 50_000


def tune_process() -> None:
    """Shorten the interpreter's switch interval and make garbage collections rarer."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)
