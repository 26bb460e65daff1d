"""The commands of the quorum and confchange scenarios: pure functions, shown at work."""

from collections.abc import Callable

from multiraft.raft import membership
from multiraft.raft.confchange import Change
from multiraft.raft.describe import describe_conf, describe_progress, describe_quorum
from multiraft.raft.errors import ConfChangeError
from multiraft.raft.inflights import Inflights
from multiraft.raft.progress import Progress
from multiraft.raft.quorum import EVERYTHING, committed_index, joint_committed_index, joint_vote_result
from multiraft.raft.state import ConfState
from multiraft.raft.status import progress_status
from tests.raft.datadriven import Block
from tests.raft.values import CommandError, boolean, parse_changes, unsigned

Ids = list[int]
Indexes = dict[int, int]


def run_quorum(block: Block) -> str:
    """``committed cfg=(1,2) cfgj=(2,3) idx=(5,_,7)`` and ``vote cfg=(1,2) votes=(y,_)``."""
    first = [unsigned(id_) for id_ in block.values("cfg") or ()]
    joined = block.values("cfgj")
    second = [unsigned(id_) for id_ in joined or () if id_ != "zero"]
    members = list(dict.fromkeys([*first, *second]))
    if block.command == "committed":
        given = zip(members, block.values("idx") or (), strict=True)
        acknowledged = {id_: unsigned(index) for id_, index in given if index != "_"}
        checks = _joint_mismatches if joined else _majority_mismatches
        index = joint_committed_index(first, second, acknowledged)
        lines = [*checks(first, second, acknowledged, index), _index(index)]
        return describe_quorum(members, acknowledged) + "\n".join(lines)
    if block.command == "vote":
        given = zip(members, block.values("votes") or (), strict=True)
        votes = {id_: vote == "y" for id_, vote in given if vote != "_"}
        result = joint_vote_result(first, second, votes)
        swapped = joint_vote_result(second, first, votes)
        return "\n".join(
            [*([f"{swapped.value} <-- via symmetry"] if swapped != result else []), result.value]
        )
    return "unknown command"


def _index(index: int) -> str:
    return "∞" if index == EVERYTHING else str(index)


def _joint_mismatches(
    first: list[int], second: list[int], acknowledged: dict[int, int], index: int
) -> list[str]:
    swapped = joint_committed_index(second, first, acknowledged)
    return [f"{_index(swapped)} <-- via symmetry"] if swapped != index else []


def _majority_mismatches(
    first: list[int], _: list[int], acknowledged: dict[int, int], index: int
) -> list[str]:
    others = {
        "via plain majority": committed_index(first, acknowledged),
        "via zero-joint quorum": joint_committed_index([], first, acknowledged),
        "via self-joint quorum": joint_committed_index(first, first, acknowledged),
    }
    for id_, own in acknowledged.items():
        if 0 < own < index:
            for lower in (own - 1, 0):
                others[f"overlaying {id_}->{lower}"] = committed_index(first, acknowledged | {id_: lower})
    return [f"{_index(other)} <-- {name}" for name, other in others.items() if other != index]


class Changer:
    """A configuration that scenarios change step by step."""

    def __init__(self) -> None:
        self.conf = ConfState()
        self.progress: dict[int, Progress] = {}
        self.last_index = 0

    def run(self, block: Block) -> str:
        """``simple``, ``enter-joint autoleave=true``, ``leave-joint``, with input ``v1 l2 r3``."""
        command = {"simple": self._simple, "enter-joint": self._enter_joint, "leave-joint": self._leave_joint}
        try:
            changes = list(parse_changes(block.input))
            act: Callable[[Block, list[Change]], membership.Members] | None = command.get(block.command)
            if act is None:
                return "unknown command"
            self.conf, self.progress = act(block, changes)
        except (CommandError, ConfChangeError) as error:
            return str(error)
        finally:
            self.last_index += 1
        members = (f"{id_}: {describe_progress(progress_status(p))}" for id_, p in self.progress.items())
        return "\n".join([describe_conf(self.conf), *members])

    def _new_progress(self) -> Progress:
        return Progress(max(self.last_index, 1), Inflights(10), recent_active=True)

    def _simple(self, _: Block, changes: list[Change]) -> membership.Members:
        return membership.simple(self.conf, self.progress, changes, self._new_progress)

    def _enter_joint(self, block: Block, changes: list[Change]) -> membership.Members:
        auto_leave = boolean(block.value("autoleave", "false"))
        return membership.enter_joint(
            self.conf, self.progress, changes, self._new_progress, auto_leave=auto_leave
        )

    def _leave_joint(self, _: Block, changes: list[Change]) -> membership.Members:
        if changes:
            raise CommandError("this command takes no input")
        return membership.leave_joint(self.conf, self.progress, self._new_progress)
