"""The README's examples run as they stand."""

import asyncio
import re
from pathlib import Path

import pytest

import multiraft

README = (Path(__file__).parent.parent / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(example: str) -> None:
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})


def test_the_embedded_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = [one for one in EXAMPLES if "multiraft.open" in one]
    run(example)
    assert capsys.readouterr().out == "b'banana' b'yellow'\n"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_replicated_example(capsys):
    (example,) = [one for one in EXAMPLES if "Cluster.local" in one]
    run(example)
    assert capsys.readouterr().out == "True\nb'red'\nb'apple' b'red'\n"


def test_the_example_of_a_node_takes_its_part_in_a_cluster(tmp_path, monkeypatch):
    """The three lines of one node, with the two others beside it."""
    monkeypatch.chdir(tmp_path)
    (example,) = [one for one in EXAMPLES if "Engine.open" in one]
    peers = example.splitlines()[0]
    lines = "\n".join("    " + line for line in example.splitlines()[1:])
    names: dict = {"multiraft": multiraft}
    exec(f"{peers}\nasync def node():\n{lines}\n", names)

    async def work():
        config = multiraft.Config(durability="none")
        others = [
            await multiraft.Engine.open(
                f"node-{node}", node_id=node, peers=names["peers"], cluster="shop", config=config
            )
            for node in (2, 3)
        ]
        try:
            await names["node"]()
        finally:
            for other in others:
                await other.close()

    asyncio.run(work())
