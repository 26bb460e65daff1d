"""Moves frames between nodes, and between clients and nodes; knows hello and frames, nothing of Raft.

The port is :mod:`.port`; :mod:`.tcp` and :mod:`.memory` implement it side by side, with the same bytes
through the same :class:`~.framing.FrameReader`. :mod:`.client` is the calling side of a client connection.
"""
