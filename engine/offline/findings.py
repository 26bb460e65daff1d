"""What is wrong with a data directory, and where."""

from typing import Final, NamedTuple

KEPT: Final = 1000
"""Damages that are kept with their places; of more only the number."""


class Damage(NamedTuple):
    """One damaged place, as exactly as it is known."""

    file: str
    """The file, from the data directory on."""
    what: str
    key: str | None = None
    """The stored key, hexadecimal."""
    group: int | None = None
    index: int | None = None  # type: ignore[assignment]  # hides tuple.index, as meant
    """The entry of the group's log."""

    def __str__(self) -> str:
        place = [self.file]
        if self.group is not None:
            place.append(f"group {self.group}")
        if self.index is not None:
            place.append(f"entry {self.index}")
        if self.key is not None:
            place.append(f"key {self.key}")
        return f"{', '.join(place)}: {self.what}"


class Findings:
    """Collects damages; of one place and kind only the first counts."""

    def __init__(self) -> None:
        self.kept: list[Damage] = []
        self.count = 0
        self._known: set[Damage] = set()

    def add(
        self,
        file: str,
        what: str,
        *,
        key: bytes | None = None,
        group: int | None = None,
        index: int | None = None,
    ) -> None:
        """Note a damage."""
        damage = Damage(file, what, None if key is None else key.hex(), group, index)
        if damage in self._known:
            return
        self.count += 1
        if len(self.kept) < KEPT:
            self._known.add(damage)
            self.kept.append(damage)

    def of_group(self, group: int) -> list[Damage]:
        """The damages of one group's log and state, among those that were kept."""
        return [damage for damage in self.kept if damage.group == group]
