"""Single bits flipped in the files of a stopped node: whoever reads them afterwards is told.

A flip is *detected* if `multiraft verify` finds damage, or the node does as it starts and reads everything;
*harmless* if neither does and each key and each entry of each log is read as it was written; *silent* if the
node reads something wrong, or misses it, without a word, whether `verify` would see that or not. What only
`verify` detects is counted besides: the node reads all as it was written, or has mended it.

Half of the flips fall into pages in use of the newest trees, an eighth into meta pages, a few into `DIR/node`
and `DIR/index`, the rest anywhere.
"""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from multiraft.engine.errors import Error
from multiraft.engine.logstore.port import Birth
from multiraft.engine.offline.lmdbfile import LmdbFile
from multiraft.engine.offline.stopped import DATA_FILE, STORES
from tests.engine.offline.sample import verified, write_sample

from .nodes import open_node
from .reading import Contents, Reading, logged, place_of, read_apart

META_PAGES = 2
META_BYTES = 200
SMALL_FILES = ("node", "index")


class Outcome(NamedTuple):
    """What came of one flip."""

    file: str
    at: int
    bit: int
    seen: bool
    """Whether `verify` finds damage."""
    reading: Reading

    @property
    def verdict(self) -> str:
        """detected, harmless or silent."""
        if self.reading is Reading.WRONG:
            return "silent"
        return "harmless" if self.reading is Reading.WHOLE and not self.seen else "detected"


class Sample:
    """A directory, what it holds, and where its bytes matter."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        values = write_sample(path, seed=seed)
        (path / "ballast").unlink()
        self.files = [f"{store}/{DATA_FILE}" for store in STORES]
        self.live = {file: live_bytes(path / file) for file in self.files}
        with copied(path) as copy, open_node(place_of(copy)) as opened:
            births = [replica.birth for replica in opened.replicas()]
            self.contents = Contents(
                {one.group: {key: values[key] for key in values if covers(one, key)} for one in births},
                {group: logged(opened, group) for group in opened.node.replicas.running},
            )

    def draw(self, chance: random.Random) -> tuple[str, int, int]:
        """A file, a byte and a bit."""
        bit, kind = chance.randrange(8), chance.randrange(16)
        if kind == 0:
            file = chance.choice(SMALL_FILES)
            return file, chance.randrange((self.path / file).stat().st_size), bit
        file = chance.choice(self.files)
        if kind < 3:
            return file, chance.randrange(META_PAGES) * 4096 + chance.randrange(META_BYTES), bit
        if kind < 11:
            start, length = chance.choice(self.live[file])
            return file, start + chance.randrange(length), bit
        return file, chance.randrange((self.path / file).stat().st_size), bit


def covers(birth: Birth, key: bytes) -> bool:
    """Whether a key belongs to a range."""
    return birth.start <= key and (birth.end is None or key < birth.end)


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


@contextmanager
def copied(path: Path) -> Iterator[Path]:
    """A copy that may be damaged and opened; in memory, if there is a place."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(shutil.copytree(path, Path(folder) / "node"))


def flips(sample: Sample, count: int, seed: int) -> Iterator[Outcome]:
    """Flip bits, each in a copy of its own, and judge them."""
    chance = random.Random(seed)
    for _ in range(count):
        file, at, bit = sample.draw(chance)
        with copied(sample.path) as copy:
            _flip(copy / file, at, bit)
            seen = _is_seen(copy)
            reading = read_apart(copy, sample.contents)
        yield Outcome(file, at, bit, seen, reading)


def _is_seen(path: Path) -> bool:
    try:
        return bool(verified(path).findings.count)
    except Error:
        return True


def _flip(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes((byte ^ 1 << bit,)))


def run(work: Path, count: int, seed: int) -> dict[str, object]:
    """Flip so many bits and count what came of them."""
    sample = Sample(work / "node", seed)
    counts = Counter[str]()
    findings = []
    for outcome in flips(sample, count, seed):
        counts[outcome.verdict] += 1
        if outcome.verdict != "harmless":
            counts[outcome.reading.value] += 1
        counts["wrong but seen"] += outcome.seen and outcome.verdict == "silent"
        if outcome.verdict == "silent" or outcome.reading in {Reading.UNTYPED, Reading.ENDED}:
            findings.append(str(outcome))
    return {
        "flips": count,
        **{name: counts[name] for name in ("detected", "harmless", "silent")},
        "ok": not counts["silent"],
        "read_wrong": counts["wrong"],
        "wrong_though_verify_sees_it": counts["wrong but seen"],
        "detected_only_by_verify": counts["whole"],
        "process_ended": counts["ended"],
        "untyped_errors": counts["untyped"],
        "findings": findings[:20],
    }
