"""The inputs that the suite replays: valid ones, and every one that ever broke something.

``python -m tests.fuzz.corpus`` writes the valid ones anew; findings, whose names begin with ``found-``, stay.
"""

import hashlib
from pathlib import Path

from tests.fuzz.targets_c import C_TARGETS
from tests.fuzz.targets_python import PYTHON_TARGETS

CORPUS = Path(__file__).resolve().parent / "corpus"


def samples() -> dict[str, list[bytes]]:
    """Valid inputs of every target."""
    targets = [*C_TARGETS.values(), *PYTHON_TARGETS.values()]
    return {target.name: target.samples() for target in targets}


def name_of(data: bytes) -> str:
    """A file's name, by what is in it."""
    return hashlib.sha256(data).hexdigest()[:12]


def files(target: str) -> list[Path]:
    """The inputs of one target."""
    return sorted((CORPUS / target).iterdir())


def write(corpus: Path = CORPUS) -> int:
    """Bring the valid inputs up to date; return how many there are."""
    written = 0
    for target, inputs in samples().items():
        folder = corpus / target
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {name_of(data): data for data in inputs}
        for file in folder.iterdir():
            if file.name not in wanted and not file.name.startswith("found-"):
                file.unlink()
        for name, data in wanted.items():
            (folder / name).write_bytes(data)
        written += len(wanted)
    return written


if __name__ == "__main__":
    print(f"{write()} inputs under {CORPUS.name}/")
