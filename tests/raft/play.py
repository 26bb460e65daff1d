"""Scripts of commands as strings in tests: run them, and see what they print."""

from tests.raft.datadriven import Block, parse
from tests.raft.interaction import Interaction
from tests.raft.scenarios import normal

ONE = "add-nodes 1 voters=(1) index=3"
THREE = "add-nodes 3 voters=(1,2,3) index=10"
LEAD = ("campaign 1", "stabilize log-level=none")


def play(script: str) -> None:
    """Run a script; each of its blocks must print what stands in it."""
    interaction = Interaction()
    for block in parse(script):
        if isinstance(block, Block):
            shown = "\n".join(block.source)
            assert f"{shown}\n{normal(interaction.run(block))}" == f"{shown}\n{normal(block.expected)}"


def outputs(*commands: str) -> list[str]:
    """What each command prints, to the letter."""
    interaction = Interaction()
    blocks = parse("".join(f"{command}\n----\n\n" for command in commands))
    return [interaction.run(block) for block in blocks if isinstance(block, Block)]


def after(*commands: str) -> str:
    """What the last of the commands prints, to the letter."""
    return outputs(*commands)[-1]
