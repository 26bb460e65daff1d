"""The C code under AddressSanitizer and UndefinedBehaviorSanitizer, fed with damage by a driver in C.

By hand, for another compiler or a debugger:
``cc -g -fsanitize=address,undefined -Inative/csrc native/csrc/mr_*.c tests/native/sanitized.c && ./a.out``
"""

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path

from tests.native.test_boundary import CSRC

DRIVER = Path(__file__).with_name("sanitized.c")
FLAGS = "-std=gnu11 -O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all"


def compiler() -> list[str]:
    """What builds extensions here."""
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return shlex.split(command)[:1]


def test_the_decoders_stay_inside_their_memory(tmp_path: Path):
    program = tmp_path / "sanitized"
    sources = [str(source) for source in sorted(CSRC.glob("mr_*.c"))]
    command = [*compiler(), *FLAGS.split(), f"-I{CSRC}", *sources, str(DRIVER), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "sanitized: all held\n"
