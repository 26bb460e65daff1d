"""The process in which atheris runs a Python target: ``python -m tests.fuzz.guided TARGET [OPTION...]``."""

import importlib
import sys


def main() -> None:
    """Instrument, then import the decoders; atheris does not return."""
    atheris = importlib.import_module("atheris")  # optional, and it has no types
    with atheris.instrument_imports(include=["multiraft"]):
        targets = importlib.import_module("tests.fuzz.targets_python").PYTHON_TARGETS
    check = targets[sys.argv[1]].check

    def check_bytes(data: bytes) -> None:
        check(data)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], check_bytes)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
