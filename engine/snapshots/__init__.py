"""Snapshots on their way from node to node: streamed in chunks, each on a connection of its own.

The core of a leader asks for one with a MsgSnap that names a point of the log. It does not travel:
``sending`` keeps it in a queue, connects to the receiver's node and offers the snapshot. ``receiving`` grants
credits when it has a slot, and only then the state is looked at (``statemachine/view.py``), at the point that
is durable now. Head and chunks follow (``frames``, ``chunks``) as credits and ``pace`` allow. Each chunk
becomes durable under a data prefix that belongs to nobody (``statemachine/staging.py``); with the last one
there, the receiver steps a MsgSnap with that point into its own core, and what that accepts is installed: the
prefix is adopted in one small transaction, then the log is reset, then the acknowledgement leaves.

Any break, at whichever end, gives up the whole transfer: the prefix is abandoned, the leader's core is told,
and asks again. ``exchange`` joins both directions to the turns of a node.
"""
