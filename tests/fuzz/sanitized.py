"""Runs the tests of the C part on an extension built with sanitizers: ``python -m tests.fuzz.sanitized``.

The extension that is installed is left alone. First it is shown that an overflow through Python is caught.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.build import OUTPUT, system_compiler
from tests.typing_tree import ROOT

LIBRARY = OUTPUT / "sanitized"
FLAGS = "-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
OVERFLOW = """
import sys
sys.path.insert(0, sys.argv[1])
from multiraft.native import _native
assert _native.__file__.startswith(sys.argv[1]), _native.__file__
from multiraft.native._native import ffi, lib
data = ffi.new("uint8_t[]", 24)
print(lib.mr_crc32c(0, data, 24), flush=True)
print(lib.mr_crc32c(0, data, 25), flush=True)
"""


def build() -> None:
    """The package with a sanitized extension, under ``build/fuzz/``."""
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "build",
        f"--build-lib={LIBRARY}",
        f"--build-temp={LIBRARY}-temp",
    ]
    environment = os.environ | {"CFLAGS": FLAGS, "CC": " ".join(system_compiler())}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def environment() -> dict[str, str]:
    """Loads the sanitizers' libraries first, and lets every object of Python's have memory of its own."""
    libraries = [_library(name) for name in ("libasan.so", "libubsan.so")]
    preload = {"LD_PRELOAD": " ".join(libraries), "PYTHONMALLOC": "malloc"}
    return os.environ | preload | {"ASAN_OPTIONS": "detect_leaks=0"}  # CPython keeps what it allocates


def _library(name: str) -> str:
    command = [*system_compiler(), f"-print-file-name={name}"]
    path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(path).is_absolute():
        sys.exit(f"{command[0]} has no {name}")
    return path


def catches_an_overflow() -> bool:
    """Whether a read beyond 24 bytes of Python's memory ends the process, and one of them does not."""
    command = [sys.executable, "-c", OVERFLOW, str(LIBRARY)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    return len(done.stdout.split()) == 1 and "heap-buffer-overflow" in done.stderr


def pytest_sessionfinish() -> None:
    """The run is a plugin of its own: it must not have tested the extension that is installed."""
    assert str(sys.modules["multiraft.native._native"].__file__).startswith(str(LIBRARY))


def main() -> int:
    """Build, show that it works, run the tests."""
    build()
    if not catches_an_overflow():
        print("the sanitized extension does not catch an overflow", file=sys.stderr)
        return 1
    tests = [
        "tests/native",
        "--ignore=tests/native/test_sanitizers.py",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.fuzz.sanitized",
    ]
    path = [
        "-o",
        f"pythonpath={LIBRARY} .",
    ]  # before the root, whose folder multiraft is the front door alone
    command = [sys.executable, "-m", "pytest", *tests, *path]
    return subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
