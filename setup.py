"""Maps the top-level folders onto the import package ``multiraft`` and names the C build."""

import platform
import sys
import sysconfig
from pathlib import Path

from setuptools import setup

if platform.system() == "Windows":
    sys.exit("multiraft: Windows is not supported (Linux and macOS are)")
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit("multiraft: free-threaded builds of CPython are not supported yet")

PARTS = ("raft", "native", "engine", "shards")


def _packages() -> dict[str, str]:
    """Every folder with an ``__init__.py``, as import name → folder."""
    found = {"multiraft": "multiraft"}
    for part in PARTS:
        for init in sorted(Path(part).rglob("__init__.py")):
            found["multiraft." + ".".join(init.parent.parts)] = str(init.parent)
    return found


packages = _packages()
setup(
    package_dir=packages,
    packages=list(packages),
    cffi_modules=["native/csrc/build_native.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
