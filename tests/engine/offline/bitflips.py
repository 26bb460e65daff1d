"""Single bits flipped in both environments of a node: ``verify`` sees each that changes what is read.

    python -m tests.engine.offline.bitflips --count 2000 [--seed 1] [--json]

A flip is *detected* if ``verify`` finds damage, *harmless* if it does not and LMDB gives every key and value
as before (its store would be found whole, so it may be opened), *silent* otherwise. Places are drawn from the
whole files: half of them from the pages in use of the newest trees, an eighth from the two meta pages.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from multiraft.engine.errors import Error
from multiraft.engine.offline.lmdbfile import LmdbFile
from multiraft.engine.offline.stopped import DATA_FILE, STORES
from tests.engine.offline.sample import stored, verified, write_sample

META_PAGES = 2


class Outcome(NamedTuple):
    """What came of one flip."""

    store: str
    at: int
    bit: int
    verdict: str
    """detected, harmless or silent."""


def live_bytes(path: Path) -> list[tuple[int, int]]:
    """Where (offset, length) the newest tree of a file has its pages of keys, and its large values."""
    with LmdbFile(path) as file:
        content, size = path.read_bytes(), file.page_size
        found = []
        for number, page, nodes in file._leaves(b"", None, False, file._refuse):
            found.append((number * size, size))
            for node in nodes:
                value = file._value(page, node)
                if node.flags and value:
                    found.append((content.index(value), len(value)))
        return found


def flips(path: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Flip bits of a directory, one at a time, and judge each. The directory is as before afterwards."""
    chance = random.Random(seed)
    files = {store: path / store / DATA_FILE for store in STORES}
    live = {store: live_bytes(file) for store, file in files.items()}
    before = stored(path)
    for _ in range(count):
        store = chance.choice(STORES)
        at, bit = _place(chance, files[store].stat().st_size, live[store]), chance.randrange(8)
        _flip(files[store], at, bit)
        try:
            yield Outcome(store, at, bit, _judge(path, before))
        finally:
            _flip(files[store], at, bit)


def _place(chance: random.Random, size: int, live: list[tuple[int, int]]) -> int:
    kind = chance.randrange(8)
    if kind == 0:
        return chance.randrange(META_PAGES) * 4096 + chance.randrange(200)
    if kind < 5:
        start, length = chance.choice(live)
        return start + chance.randrange(length)
    return chance.randrange(size)


def _flip(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes((byte ^ 1 << bit,)))


def _judge(path: Path, before: dict[str, list[tuple[bytes, bytes]]]) -> str:
    try:
        if verified(path).findings.count:
            return "detected"
    except Error:
        return "detected"
    return "harmless" if stored(path) == before else "silent"


def main() -> int:
    """Flip so many bits and count what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    counts = dict.fromkeys(("detected", "harmless", "silent"), 0)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="bitflips-"))
    try:
        write_sample(folder / "node", seed=options.seed)
        for outcome in flips(folder / "node", options.count, options.seed):
            counts[outcome.verdict] += 1
            if outcome.verdict == "silent":
                print(f"silent: {outcome}", file=sys.stderr)
    finally:
        shutil.rmtree(folder)
    result = {"flips": options.count, **counts, "ok": not counts["silent"]}
    print(json.dumps(result) if options.json else f"{result} in {time.monotonic() - began:.0f} s")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
