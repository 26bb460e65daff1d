"""A node: many replicas in one process, driven turn by turn.

Begin with :mod:`.node` (the turn, a plain function) and :mod:`.host` (the asyncio shell around it).

- what a turn takes and gives: :mod:`.turn`; its helpers :mod:`.delivery` (messages), :mod:`.intake`
  (requests), :mod:`.held` (promises that wait for the disk), :mod:`.flusher` (applied state), :mod:`.ticker`
- what machines are given: :mod:`.applying` (within the turn and beside it), :mod:`.applyroom` (how much)
- replicas: :mod:`.replica`, :mod:`.replicas`, :mod:`.roster` (objects or rows), :mod:`.births`,
  :mod:`.newborns` (first elections), :mod:`.shared`, :mod:`.parking`, :mod:`.pending`, :mod:`.compaction`
- time and quiet: :mod:`.ticks`, :mod:`.rest` (groups with nothing to do), :mod:`.dormancy` (their objects put
  away), :mod:`.elections` (not all at once)
- replicas and what they have on the disk: :mod:`.stores`, :mod:`.rebuilding`, :mod:`.remains` (what can be
  read where the rest is lost)
- bytes: :mod:`.wire` (messages as rows), :mod:`.outbox` (frames), :mod:`.runs` (entries, encoded once)
- stores and network: :mod:`.logstore`, :mod:`.statemachine`, :mod:`.transport`, :mod:`.datadir`
- for everybody: :mod:`.config`, :mod:`.errors`
"""
