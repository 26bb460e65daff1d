"""Ranges over groups, and everything that a user opens.

- the surface: :mod:`.database` (the operations), :mod:`.engine`, :mod:`.cluster`, :mod:`.client`,
  :mod:`.sync`
- the directory: :mod:`.directory` and its machine, commands and store; :mod:`.keyrange`, :mod:`.descriptor`,
  :mod:`.planning` (how an interval is cut)
- the way of a request: :mod:`.routing`, :mod:`.leaders`, :mod:`.scanning`, :mod:`.queries`; between processes
  :mod:`.requests` (the protocol), :mod:`.channel` (asking), :mod:`.service` (answering)
- putting it together: :mod:`.assembly`, :mod:`.bootstrap`
- tools: :mod:`.cli`, :mod:`.load`, :mod:`.status`
"""
