"""Words that never arrive: that a group does not rest any more."""


class Forgetful(dict[tuple[int, int], None]):
    """The words that a node should tell others of groups that do not rest: none of them is kept."""

    def __setitem__(self, _key: tuple[int, int], _value: None) -> None:
        """It is lost."""

    def update(self, *_words: object) -> None:  # type: ignore[override] # whatever they are
        """They are lost."""
