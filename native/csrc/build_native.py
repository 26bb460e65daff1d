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
    "mr_nursery",
)
INNER = ("mr_map", "mr_undo", "mr_change", "mr_births", "mr_recovery", "mr_doubt", "mr_newborn", "mr_sift")
"""Sources that Python calls nothing of."""
CDEF = re.compile(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", re.DOTALL)
WARNINGS = ("-Wall", "-Wextra", "-Werror")

# The wrappers that cffi generates release the GIL around every call. Beside a busy Python thread (in an
# embedded engine: the user's) a call of 10 us then takes a switch interval, 5 ms, to get it back. Ours are
# short, so these macros become nothing for everything generated below this text. What may take long has a
# second form that releases the GIL by itself, for a large buffer or batch: a thread that writes a batch comes
# back to the interpreter with each of its values, and would wait a switch interval for it each time.
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

static int mr_runs_encode_released(const uint8_t *counts, uint64_t runs, const uint8_t *numbers,
                                   const uint8_t *types, uint64_t entries, const uint8_t *payload,
                                   uint64_t payload_bytes, uint8_t *target, uint64_t room, uint64_t *ends,
                                   uint64_t *failed) {
    PyThreadState *state = PyEval_SaveThread();
    int status = mr_runs_encode(counts, runs, numbers, types, entries, payload, payload_bytes, target, room,
                                ends, failed);
    PyEval_RestoreThread(state);
    return status;
}

static int mr_logindex_append_released(struct mr_logindex *index, struct mr_rows *rows, uint64_t until,
                                       struct mr_log_failure *failure) {
    PyThreadState *state = PyEval_SaveThread();
    int status = mr_logindex_append(index, rows, until, failure);
    PyEval_RestoreThread(state);
    return status;
}
"""
RELEASED = """
int mr_runs_encode_released(const uint8_t *counts, uint64_t runs, const uint8_t *numbers,
                            const uint8_t *types, uint64_t entries, const uint8_t *payload,
                            uint64_t payload_bytes, uint8_t *target, uint64_t room, uint64_t *ends,
                            uint64_t *failed);
int mr_logindex_append_released(struct mr_logindex *index, struct mr_rows *rows, uint64_t until,
                                struct mr_log_failure *failure);
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
