"""Known bugs, put back into the product for one run: every one of them has to be caught.

``bug-N`` is a bug that another system had, ``rule-…`` takes a safety rule of the design away. Each is a few
edits of single functions (:mod:`.plants_edits`), made in the memory of the process that tests and taken back
after the run. What the table says of each of them: ``docs/planted-bugs.md``.
"""

from typing import Final

from . import plants_node, plants_raft, plants_rest, plants_rules
from .plants_edits import Plant

PLANTS: Final[dict[str, Plant]] = {
    plant.name: plant
    for part in (plants_raft, plants_node, plants_rest, plants_rules)
    for plant in part.PLANTS
}
"""By name."""

WAITING: Final[dict[str, str]] = {
    "bug-2": "membership: single-server changes without a no-op of the term",
    "bug-6": "nothing here: heartbeats carry no log position (see rule-beat-within-match for their commit)",
    "bug-7": "membership: beats sent while a reconfiguration changes the followers",
    "bug-11": "a file system in the simulated disk: the node file and its directory",
    "bug-12": "membership: a candidate with a configuration that is not applied",
    "bug-13": "membership: a snapshot that keeps a stale configuration",
    "bug-14": "membership: a change rolled back to an entry that is compacted",
    "bug-19": "splits of ranges",
    "bug-23": "a simulated disk that can lie about a flush (the log store's crash tests are real ones)",
    "bug-25": "nothing here: bugs of LMDB's binding, kept out by its version",
    "bug-26": "thousands of groups in real time",
    "rule-read-before-apply": "a new leader with much to apply; mostly it applies at once",
}
"""Other bugs and rules, and what each needs before it can be planted and caught."""


def listing() -> str:
    """What ``--plant list`` prints."""
    lines = [f"{plant.name}: {plant.what}" for plant in PLANTS.values()]
    return "\n".join([*lines, "", "not yet:", *(f"{name}: needs {what}" for name, what in WAITING.items())])
