"""Compiles the C targets with AddressSanitizer and UndefinedBehaviorSanitizer.

With clang a target is a libFuzzer program; with any other compiler ``csrc/driver.c`` drives it. What has been
built is kept under ``build/fuzz/``, by the hash of all that went into it.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.typing_tree import ROOT

HERE = Path(__file__).resolve().parent
TARGETS = HERE / "csrc"
PRODUCT = ROOT / "native" / "csrc"
OUTPUT = ROOT / "build" / "fuzz"
PLAIN = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]
SANITIZED = [*PLAIN, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


class Program(NamedTuple):
    """A built target."""

    path: Path
    libfuzzer: bool


def system_compiler() -> list[str]:
    """What builds the extension here."""
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[:1]


@cache
def libfuzzer_compiler() -> list[str] | None:
    """clang, if it is there with libFuzzer and the sanitizers."""
    clang = shutil.which("clang")
    if clang is None:
        return None
    probe = OUTPUT / "probe"
    OUTPUT.mkdir(parents=True, exist_ok=True)
    source = "int LLVMFuzzerTestOneInput(const char *d, long n) { (void)d; (void)n; return 0; }"
    command = [clang, "-xc", "-", "-fsanitize=fuzzer,address,undefined", "-o", f"{probe}-{os.getpid()}"]
    built = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    Path(f"{probe}-{os.getpid()}").unlink(missing_ok=True)
    return [clang] if built.returncode == 0 else None


def build(target: str, product: Path = PRODUCT, *, libfuzzer: bool | None = None) -> Program:
    """The program of a target.

    Args:
        target: a file of ``csrc/``.
        product: the C sources, or a copy of them with a bug.
        libfuzzer: who drives it; None if libFuzzer should where it is.

    Raises:
        RuntimeError: it does not compile.
    """
    clang = libfuzzer_compiler()
    libfuzzer = clang is not None if libfuzzer is None else libfuzzer
    compiler = clang if libfuzzer else system_compiler()
    assert compiler is not None, "there is no libFuzzer here"
    objects = _objects(compiler, product, libfuzzer=libfuzzer)
    ours = [TARGETS / f"{target}.c", *sorted(TARGETS.glob("*.h"))]
    include = [f"-I{product}", f"-I{TARGETS}"]
    fuzzer = ["-fsanitize=fuzzer"] if libfuzzer else []
    path = OUTPUT / f"{target}-{_hash(compiler, *objects, *ours)}"
    if not path.exists():
        parts = [str(part) for part in (ours[0], *objects)]
        _compile([*compiler, *SANITIZED, *fuzzer, *include, *parts], path)
    return Program(path, libfuzzer)


def _objects(compiler: list[str], product: Path, *, libfuzzer: bool) -> list[Path]:
    """The product with sanitizers, and what all targets share without."""
    headers = [*product.glob("*.h"), *TARGETS.glob("*.h")]
    coverage = ["-fsanitize=fuzzer-no-link"] if libfuzzer else []
    shared = [TARGETS / "fuzz.c", *([] if libfuzzer else [TARGETS / "driver.c"])]
    sources = {source: [*SANITIZED, *coverage] for source in sorted(product.glob("mr_*.c"))}
    sources |= dict.fromkeys(shared, PLAIN)
    found = []
    for source, flags in sources.items():
        path = OUTPUT / f"{source.stem}-{_hash([*compiler, *flags], source, *headers)}.o"
        if not path.exists():
            _compile([*compiler, *flags, f"-I{product}", f"-I{TARGETS}", "-c", str(source)], path)
        found.append(path)
    return found


def _compile(command: list[str], path: Path) -> None:
    """Into a name of its own first: two builds at once must not see halves of each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    built = subprocess.run([*command, "-o", str(unfinished)], capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)}\n{built.stderr}")
    unfinished.replace(path)


def _hash(command: list[str], *files: Path) -> str:
    found = hashlib.sha256(shlex.join(command).encode())
    for file in sorted(files, key=lambda file: file.name):
        found.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()[:12]
