"""Bugs to test the fuzzers with: each is put into a copy of the C sources, never into the product.

All but the last let a function leave its memory by one step, so the sanitizers have to see it; the last one
gives a wrong answer, which only a target's own checks can see.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.build import PRODUCT


class Plant(NamedTuple):
    """A bug: what stands in ``file`` exactly once, and what takes its place."""

    name: str
    target: str
    file: str
    sound: str
    broken: str


PLANTS = [
    Plant(
        "header",
        "frame",
        "mr_frame.c",
        "if (available < MR_FRAME_HEADER) {",
        "if (available + 1 < MR_FRAME_HEADER) {",
    ),
    Plant("payload", "run", "mr_entries.c", "bytes > length - start", "bytes > length - start + 1"),
    Plant(
        "rows",
        "messages",
        "mr_messages.c",
        "messages->rows * MR_MESSAGES_ROW <= length - MR_MESSAGES_HEADER",
        "messages->rows * MR_MESSAGES_ROW <= length - MR_MESSAGES_HEADER + 1",
    ),
    Plant(
        "columns",
        "messages",
        "mr_messages.c",
        "found.rows > columns->room ||",
        "found.rows > columns->room + 1 ||",
    ),
    Plant(
        "words",
        "crc",
        "mr_crc32c.c",
        "while (length >= 8) {\n        crc = MR_STEP_64",
        "for (; length >= 7; length += length < 8) {\n        crc = MR_STEP_64",
    ),
    Plant(
        "ring", "inflights", "mr_inflights.c", "(place >= window->capacity) {", "(place > window->capacity) {"
    ),
    Plant("room", "encode_runs", "mr_entries.c", "needed + bytes <= room", "needed + bytes <= room + 1"),
    Plant("head", "seal_messages", "mr_messages.c", "room < MR_FRAME_HEADER", "room + 1 < MR_FRAME_HEADER"),
    Plant(
        "section",
        "log_rows",
        "mr_rows.c",
        "opened.truncation_at + 16 * truncations != length",
        "opened.truncation_at > length + 0 * truncations",
    ),
    Plant("born", "log_index", "mr_births.c", "status = mr_undo_born(change, place);", "status = MR_OK;"),
    Plant("page", "pages", "mr_pages.c", "while (page < pages &&", "while (page <= pages &&"),
    Plant("value", "chunks", "mr_chunks.c", "if (room < bytes)", "if (room + 1 < bytes)"),
    Plant(
        "row",
        "groups",
        "mr_groups.c",
        "uint64_t due = table->due.items[at];",
        "uint64_t due = table->due.items[at + 1];",
    ),
    Plant(
        "vote",
        "nursery",
        "mr_newborn.c",
        "mr_array_reserve(&nursery->write_hard, 24 * count)",
        "mr_array_reserve(&nursery->write_hard, 16 * count)",
    ),
    Plant("list", "digest", "mr_digest.c", "listed == count ||", "listed > count ||"),
    Plant("type", "run", "mr_entries.c", "(uint8_t)(word >> 24)", "(uint8_t)(word >> 25)"),
]


def plant(bug: Plant, directory: Path) -> Path:
    """A copy of the C sources with the bug, in ``directory``."""
    copy = directory / "csrc"
    shutil.copytree(PRODUCT, copy)
    file = copy / bug.file
    text = file.read_text()
    assert text.count(bug.sound) == 1, f"{bug.file} holds {bug.sound!r} {text.count(bug.sound)} times"
    file.write_text(text.replace(bug.sound, bug.broken))
    return copy
