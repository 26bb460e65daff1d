"""The log store: hard states and entries of all replicas of a node, one transaction a turn.

`port` is what the engine sees; `store.LogStore` is the real one, `memory.MemoryLogStore` the one for
simulation and tests, `writer.LogWriter` the thread that commits. The format, from the outside in: `chunks`
(keys and values), `blob` (the batch), `metas` (rare rows), `runs` (entries). In memory: `index`, `ledger`,
`cache`. What happens: `handover` → `change` (staging and its undoing), `collection` (garbage), `recovery` →
`rebuild` (opening), `reader` → `grouplog` (reading).
"""
