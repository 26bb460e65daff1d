"""Who may connect: every reason to refuse a hello, in one place for both transports."""

from collections.abc import Callable, Container

from ..errors import Error
from .hello import Hello, check
from .port import Handler
from .roster import Roster


class Admission:
    """Judges hellos for one node.

    Args:
        hello_source: makes this node's own hello, anew for each connection: the cluster uuid comes later.
        handler: has the last word about peers (``Handler.admit``).
    """

    def __init__(self, hello_source: Callable[[], Hello], handler: Handler) -> None:
        self._hello_source = hello_source
        self._handler = handler
        self._roster = Roster()

    def own(self) -> Hello:
        """The hello of this node as it is now."""
        return self._hello_source()

    def peer(self, theirs: Hello, expected: Container[int]) -> Error | None:
        """Admit a peer and remember it, or return the reason to refuse it."""
        error = self.stream(theirs, expected)
        if error is None:
            self._roster.enrol(theirs)
        return error

    def stream(self, theirs: Hello, expected: Container[int]) -> Error | None:
        """Admit a node for a snapshot, or return the reason to refuse it. It replaces nobody."""
        error = check(self.own(), theirs, expected) or self._roster.duel(theirs)
        if error is not None:
            return error
        try:
            self._handler.admit(theirs)
        except Error as refusal:
            return refusal
        return None

    def client(self, theirs: Hello) -> Error | None:
        """Admit a client, or return the reason to refuse it."""
        assert not theirs.is_node
        return check(self.own(), theirs)
