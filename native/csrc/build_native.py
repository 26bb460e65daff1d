"""Builds ``multiraft.native._native``: the declarations are cut out of the C headers, never written twice."""

import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
NOUNS = ("mr_base", "mr_crc32c")
CDEF = re.compile(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", re.DOTALL)


def _relative(path: Path) -> str:
    """``path`` from the root of the repository: setuptools refuses absolute source paths."""
    return str(path.relative_to(HERE.parents[1]))


ffibuilder = FFI()
ffibuilder.cdef("".join("".join(CDEF.findall((HERE / f"{noun}.h").read_text())) for noun in NOUNS))
ffibuilder.set_source(
    "multiraft.native._native",
    "".join(f'#include "{noun}.h"\n' for noun in NOUNS),
    sources=[_relative(HERE / f"{noun}.c") for noun in NOUNS if (HERE / f"{noun}.c").exists()],
    include_dirs=[_relative(HERE)],
    depends=[_relative(header) for header in sorted(HERE.glob("*.h"))],
    py_limited_api=True,
)
