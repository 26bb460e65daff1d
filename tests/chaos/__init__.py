"""Live chaos: real node processes on real disks, a workload, faults, and a verdict on the recorded history.

``python -m tests.chaos --seconds 60 --seed 7 --json``. From the inside out:

- :mod:`.weather` what a link does to frames, :mod:`.proxy` the links themselves, over TCP;
- :mod:`.disks` and :mod:`.nodes` the file systems and processes that faults happen to;
- :mod:`.schedule` which faults come when, from the seed alone, :mod:`.network_faults` and
  :mod:`.process_faults` what each of them does;
- :mod:`.history` what was asked and answered, :mod:`.keys` and :mod:`.workload` who asks;
- :mod:`.verdict` whether it was all as promised, :mod:`.course` one run from its start to its end.

The schedule follows from the seed; what processes do at each moment does not, so the same seed makes a
similar run, not an equal one. The history and the logs of a failed run are kept.
"""
