"""What an installation gets: the wheel's content, the source distribution's, and what an import loads.

Nothing is fetched: the build uses the setuptools and cffi of the running environment. The wheel is unpacked
and imported from a directory of its own, because the checkout's folder ``multiraft/`` would hide it.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.sources import everything
from tests.typing_tree import PARTS, ROOT

IMPORT_MS_MAX = 40
BUILD = "from setuptools import build_meta; print(build_meta.build_{kind}({folder!r}))"
# Prints what the statement loaded and how long it took, in milliseconds.
PROBE = """
import json, sys, time
before = set(sys.modules)
start = time.perf_counter()
{statement}
elapsed = (time.perf_counter() - start) * 1000
print(json.dumps([elapsed, sorted(set(sys.modules) - before)]))
"""


def build(kind: str, source: Path, folder: Path) -> Path:
    """Run the build backend in ``source``; return the distribution that it made in ``folder``."""
    command = [sys.executable, "-c", BUILD.format(kind=kind, folder=str(folder))]
    done = subprocess.run(command, check=False, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that nothing built before gets in and nothing is left behind."""
    copy = tmp_path_factory.mktemp("source")
    for file in everything():
        target = copy / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return copy


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", source, folder)) as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not in the first 3.11
        archive.extractall(folder, **safely)
    [unpacked] = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from nothing but the source distribution."""
    workshop = tmp_path_factory.mktemp("workshop") / "source"
    shutil.copytree(sdist, workshop)
    return build("wheel", workshop, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that has the wheel's content, as site-packages would."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def probe(site: Path, statement: str) -> tuple[float, list[str]]:
    """Run a statement in a fresh interpreter: milliseconds, names of the modules it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(statement=statement)],
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    milliseconds, modules = json.loads(done.stdout)
    return milliseconds, modules


def test_wheel_puts_only_multiraft_into_site_packages(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    version = wheel.name.split("-")[1]
    assert {name.split("/")[0] for name in names} == {"multiraft", f"multiraft-{version}.dist-info"}


def test_wheel_holds_the_modules_their_types_and_the_extension_and_no_more(wheel: Path):
    sources = {file.relative_to(ROOT).as_posix() for file in everything() if file.suffix in {".py", ".pyi"}}
    expected = {name for name in sources if name.startswith("multiraft/")}
    expected |= {
        f"multiraft/{name}" for name in sources if name.split("/")[0] in PARTS and "/csrc/" not in name
    }
    expected |= {"multiraft/py.typed", "multiraft/native/_native.abi3.so"}
    assert {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("multiraft/")} == expected


def test_wheel_serves_every_python_from_3_11_on(wheel: Path):
    """The extension keeps to the stable ABI, so one wheel per platform is enough."""
    _, _, python, abi, platform = wheel.stem.split("-")
    assert (python, abi) == ("cp311", "abi3")
    assert platform != "any"


def test_source_distribution_can_be_built_and_tested(sdist: Path):
    shipped = {path.relative_to(sdist) for path in sdist.rglob("*") if path.is_file()}
    needed = {
        path.relative_to(ROOT) for path in everything() if path.suffix in {".py", ".pyi", ".c", ".h", ".txt"}
    }
    assert needed - shipped == set()
    assert not [path for path in shipped if path.suffix in {".so", ".o", ".pyc"}]


def test_import_is_quick_and_loads_neither_lmdb_nor_the_extension(site: Path):
    runs = [probe(site, "import multiraft") for _ in range(5)]
    assert min(milliseconds for milliseconds, _ in runs) < IMPORT_MS_MAX
    _, modules = runs[0]
    assert [module for module in modules if module.split(".")[0] not in sys.stdlib_module_names] == [
        "multiraft"
    ]


def test_importing_the_core_loads_the_standard_library_only(site: Path):
    _, modules = probe(site, "import multiraft.raft")
    others = {module for module in modules if module.split(".")[0] not in sys.stdlib_module_names}
    assert {module for module in others if not f"{module}.".startswith("multiraft.raft.")} == {"multiraft"}


def test_the_wheel_and_not_the_checkout_was_tested(site: Path):
    probe(site, f"import multiraft, multiraft.native; assert multiraft.__file__.startswith({str(site)!r})")
    probe(site, f"import multiraft.native._native as n; assert n.__file__.startswith({str(site)!r})")


def test_installed_store_keeps_what_was_put(site: Path, tmp_path: Path):
    path = str(tmp_path / "data")
    probe(site, f"import multiraft\nwith multiraft.open({path!r}) as store: store.put(b'key', b'value')")
    check = "assert store.get(b'key') == b'value'"
    probe(site, f"import multiraft\nwith multiraft.open({path!r}) as store: {check}")
