"""Builds ``multiraft.native._native``: the declarations are cut out of the C headers, never written twice."""

import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
NOUNS = (
    "mr_base",
    "mr_crc32c",
    "mr_inflights",
    "mr_entries",
    "mr_frame",
    "mr_messages",
    "mr_ledger",
    "mr_log",
    "mr_rows",
    "mr_logindex",
    "mr_logdump",
    "mr_rescue",
    "mr_pages",
    "mr_chunks",
    "mr_tree",
    "mr_groups",
    "mr_digest",
)
INNER = ("mr_map", "mr_undo", "mr_change", "mr_births", "mr_recovery", "mr_doubt")
"""Sources that Python calls nothing of."""
CDEF = re.compile(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", re.DOTALL)
WARNINGS = ("-Wall", "-Wextra", "-Werror")

# The wrappers that cffi generates release the GIL around every call. Beside a busy Python thread (in an
# embedded engine: the user's) a call of 10 us then takes a switch interval, 5 ms, to get it back. Ours are
# short, so these macros become nothing for everything generated below this text; the calls that may be long,
# the checksum of a large buffer and the cutting of a large batch, release the GIL by themselves.
GIL = """
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }

static uint32_t mr_crc32c_released(uint32_t seed, const uint8_t *data, uint64_t length) {
    PyThreadState *state = PyEval_SaveThread();
    uint32_t crc = mr_crc32c(seed, data, length);
    PyEval_RestoreThread(state);
    return crc;
}

static int mr_chunks_cut_released(const uint8_t *batch, uint64_t length, const struct mr_cut *cut,
                                  uint8_t *target, uint64_t room) {
    PyThreadState *state = PyEval_SaveThread();
    int status = mr_chunks_cut(batch, length, cut, target, room);
    PyEval_RestoreThread(state);
    return status;
}
"""
RELEASED = """
uint32_t mr_crc32c_released(uint32_t seed, const uint8_t *data, uint64_t length);
int mr_chunks_cut_released(const uint8_t *batch, uint64_t length, const struct mr_cut *cut,
                           uint8_t *target, uint64_t room);
"""


def _relative(path: Path) -> str:
    """``path`` from the root of the repository: setuptools refuses absolute source paths."""
    return str(path.relative_to(HERE.parents[1]))


def declarations() -> str:
    """What Python may call, as the headers declare it."""
    headers = (HERE / f"{noun}.h" for noun in NOUNS)
    return "".join("".join(CDEF.findall(header.read_text())) for header in headers)


ffibuilder = FFI()
ffibuilder.cdef(declarations() + RELEASED)
ffibuilder.set_source(
    "multiraft.native._native",
    "".join(f'#include "{noun}.h"\n' for noun in NOUNS) + GIL,
    sources=[_relative(HERE / f"{noun}.c") for noun in (*NOUNS, *INNER)],
    include_dirs=[_relative(HERE)],
    depends=[_relative(header) for header in sorted(HERE.glob("*.h"))],
    extra_compile_args=list(WARNINGS),
    py_limited_api=True,
)
