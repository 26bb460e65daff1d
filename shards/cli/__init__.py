"""The command line ``multiraft``: one module per command, and what they share.

A command's module imports the engine inside the command, so that ``--help`` stays quick.
"""
