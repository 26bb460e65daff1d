"""Single flipped bits: ``verify`` finds each that changes what is read."""

from collections import Counter

from tests.engine.offline.bitflips import flips
from tests.engine.offline.sample import verified, write_sample


def test_no_flipped_bit_is_silent(tmp_path):
    """A hundred of them; ``python -m tests.engine.offline.bitflips`` flips more."""
    write_sample(tmp_path / "node")
    outcomes = list(flips(tmp_path / "node", 100, seed=3))
    assert not [outcome for outcome in outcomes if outcome.verdict == "silent"], f"see {tmp_path}"
    counts = Counter(outcome.verdict for outcome in outcomes)
    assert counts["detected"] >= 20, counts
    assert not verified(tmp_path / "node").findings.count
