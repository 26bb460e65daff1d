"""The log store: hard states and entries of all replicas of a node, one transaction a turn.

`port` is what the engine sees; `store.LogStore` is the real one, `memory.MemoryLogStore` the one for
simulation and tests, `writer.LogWriter` the thread that commits. The format, from the outside in: `chunks`
(keys and values, as long as `valuesize` lets them be), `blob` (the batch), `metas` (rare rows). In memory:
`native.logindex`, `cache`. What happens: `handover` (staging), `collection` (garbage), `metapages` →
`salvage` → `recovery` (opening), `reader` → `grouplog` (reading). After an error of the disk:
`engine.renewal`.
"""
