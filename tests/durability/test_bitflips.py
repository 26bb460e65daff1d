"""Single flipped bits: whoever reads what they change is told."""

from .bitflips import Reading, Sample, copied, flips, read_apart, verified


def test_no_flipped_bit_is_silent(tmp_path):
    """Some of them; `python -m tests.durability bitflips` flips more."""
    sample = Sample(tmp_path / "node", seed=3)
    outcomes = list(flips(sample, 50, seed=3))
    assert not [outcome for outcome in outcomes if outcome.verdict == "silent"], f"see {tmp_path}"
    assert sum(outcome.seen for outcome in outcomes) >= 12
    assert sum(outcome.reading is Reading.REFUSED for outcome in outcomes) >= 6
    assert not verified(sample.path).findings.count


def test_what_is_read_wrong_is_found_out(tmp_path):
    """Another value, an entry too many: whatever differs from what was written."""
    sample = Sample(tmp_path / "node", seed=3)
    group = max(sample.contents.values, key=lambda one: len(sample.contents.values[one]))
    with copied(sample.path) as copy:
        assert read_apart(copy, sample.contents) is Reading.WHOLE
    entry = sample.contents.entries[group].pop()
    with copied(sample.path) as copy:
        assert read_apart(copy, sample.contents) is Reading.WRONG
    sample.contents.entries[group].append(entry)
    values = sample.contents.values[group]
    values[min(values)] += b"!"
    with copied(sample.path) as copy:
        assert read_apart(copy, sample.contents) is Reading.WRONG
