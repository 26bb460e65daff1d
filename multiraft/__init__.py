"""multiraft: an embeddable, replicated, range-sharded key-value storage engine.

The parts, from the bottom up: :mod:`multiraft.raft` is the consensus core (sans-IO, standard library
only), :mod:`multiraft.native` the C extension, :mod:`multiraft.engine` a node that hosts many groups,
:mod:`multiraft.shards` ranges over groups and everything a user opens.
"""

__version__ = "0.1.0"
