"""Three nodes with one settled group, which most tests of a node's turn begin with."""

from multiraft.raft.messages import MsgType

from .harness import Nodes, sent

GROUP = 5


def settled() -> Nodes:
    """Three nodes with one group that node 1 leads."""
    nodes = Nodes()
    nodes.create(GROUP)
    nodes.settle()
    assert nodes.leader(GROUP).node_id == 1
    return nodes


def types(nodes: Nodes, source: int) -> list[MsgType]:
    """The types of the messages that a node has sent."""
    return [one.message.type for one in sent(nodes, source)]
