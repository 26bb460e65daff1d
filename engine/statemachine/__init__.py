"""State machines and what they keep their state in.

``protocol`` says what a machine is, ``store`` what it may keep its state in. ``kv`` is the key-value machine,
``commands`` its commands and ``kv_snapshot`` its snapshot's bytes.

The state store of a node is layered: ``keyspace`` and ``overlay`` hold what is newer than the disk
(``memtable``), ``flush`` writes it out in one transaction, ``records`` names what lies beside the data, and
``medium`` is the ordered file underneath, real in ``lmdb_store`` and imitated in ``memory_store``.
"""
