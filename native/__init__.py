"""The C extension and its Python faces, one module a noun.

``checksum`` (CRC-32C), ``inflights`` (the window of messages in flight), ``entries`` (encoded runs),
``frames`` (frame headers), ``messages`` (frames of Raft messages), ``errors``. Only these modules see cffi.
"""
