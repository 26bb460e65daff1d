"""An old batch that cannot be read as a whole: what of it can be moved, and which entries are lost.

The index knows what lives in a batch and where, and small states it knows itself. So only entries can be
lost, and those whose bytes are still found in their place and pass their checksums are not.
"""

from ...native.entries import mend_run
from ...native.logindex import Carried, LogIndex, Stored
from ...native.logrescue import LogRescue
from ..errors import Corruption
from .chunks import VALUE_MAX, body_size, chunk_key, read_header, spans
from .environment import Environment
from .port import Loss


class Wreck:
    """One batch, with its values as they were found, damaged ones too."""

    def __init__(self, environment: Environment, stored: Stored) -> None:
        """Read what there is."""
        self.stored = stored
        self.values: dict[int, bytes] = {}
        """By the number of the chunk; one that is longer than any that was written is left out, as empty."""
        self._legible: dict[int, bytes] = {}
        with environment.reading() as get:
            for number in range(stored.chunks):
                value = get(chunk_key(stored.seq, number))
                if value is not None:
                    self.values[number] = bytes(value) if len(value) <= VALUE_MAX else b""
        for number, kept in self.values.items():
            try:
                read_header(kept, stored.seq, number)
            except Corruption:
                continue  # it may be that of another batch, with other entries of the same index and term
            self._legible[number] = kept
        found = [value for number, value in self.values.items() if value and number < stored.chunks - 1]
        self._body = body_size(found[0] if found else None)

    def keys(self) -> list[bytes]:
        """Those that are there to be deleted."""
        return [chunk_key(self.stored.seq, number) for number in self.values]

    def move(self, index: LogIndex, rescue: LogRescue) -> list[Loss]:
        """Find all that lives in the batch; entries that are lost leave damaged ones in their place.

        So a log has no hole, now or after a start, and whoever reads such an entry is told.
        """
        seq, losses = self.stored.seq, []
        rescue.take_states(seq)
        for run in list(index.carried(seq)):
            log = index.log(run.group)
            assert log is not None, "a log that has a run is there"
            first = max(run.first, log.first_index)  # terms of entries before it are not known any more
            terms = [log.term(max(first, entry)) for entry in range(run.first, run.end)]
            mended, lost = mend_run(self._bytes_of(run), run.first, terms)
            rescue.take_run(seq, run.group, run.at, mended)
            alive = [entry for entry in lost if entry >= first]
            if alive:
                losses.append(Loss(run.group, alive[0], alive[-1]))
        return losses

    def _bytes_of(self, run: Carried) -> bytes:
        """A run's bytes as far as they can be found; zeros for the rest."""
        pieces = []
        for number, start, stop in spans(run.at, run.length, self._body):
            pieces.append(self._legible.get(number, b"")[start:stop].ljust(stop - start, b"\0"))
        return b"".join(pieces)
