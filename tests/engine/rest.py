"""What a cluster must come to once the faults end: it works, everybody is answered, nothing is kept."""

from collections.abc import Callable

from multiraft.engine.replica import SYSTEM_GROUP
from multiraft.engine.statemachine.commands import encode_put, envelope
from multiraft.native.frames import HEADER_SIZE

from .chaos import Chaos, Faults
from .judge import Operation


def heal(chaos: Chaos) -> None:
    """No more faults: every group gets going, everybody is answered, all replicas agree."""
    chaos.faults = Faults()
    chaos.blocked.clear()
    for host in list(chaos.hosts.values()):
        host.sleeps_until = 0
        for replica in host.node.replicas.running.values():
            replica.machine.broken = None
        if host.is_quarantined():
            chaos.crash(host)
    until(chaos, lambda: not complaints(chaos), 15, "no calm")
    for group in sorted({SYSTEM_GROUP, *chaos.created()}):
        use(chaos, group)
    until(chaos, lambda: not complaints(chaos), 5, "no calm after use")
    until(chaos, lambda: not leftovers(chaos), 10, "something is kept for ever")


def use(chaos: Chaos, group: int) -> None:
    """Write and read once; both succeed at the first try."""
    leader = chaos.leader(group)
    number = len(chaos.operations)
    write = Operation(number, group, leader, after=chaos.judge.history(group).known)
    write.commands = (envelope(7, 100 * number, 1, encode_put(b"end", b"%d" % number)),)
    chaos.submit(write)
    until(chaos, lambda: write.done, 3, f"{write} is not answered")
    assert write.answers == [[None]], write.answers
    read = Operation(number + 1, group, leader, key=b"end", after=chaos.judge.history(group).known)
    chaos.submit(read)
    until(chaos, lambda: read.done, 3, f"{read} is not answered")
    assert read.answers == [b"%d" % number], read.answers
    chaos.operations += (write, read)


def until(chaos: Chaos, condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    """Let time pass without faults until it is so."""
    end = chaos.now + seconds
    while not condition():
        assert chaos.now < end, f"{complaint}: {complaints(chaos) or leftovers(chaos)}"
        chaos.now += 0.05
        for _ in range(8):
            for host in chaos.hosts.values():
                host.turn()
                host.write()
                host.flush()
            chaos.send()
            for (source, target), link in chaos.links.items():
                chaos.hosts[target].inputs.frames += [(source, frame.data[HEADER_SIZE:]) for frame in link]
                link.clear()


def complaints(chaos: Chaos) -> list[str]:
    """What keeps the cluster from being settled and whole."""
    found = [f"{one} waits" for one in chaos.operations if chaos.lives(one) and not one.done]
    for group in sorted({SYSTEM_GROUP, *chaos.created()}):
        last = chaos.judge.history(group).last
        leaders, followed = 0, set()
        for host in chaos.hosts.values():
            replica = host.node.replicas.running.get(group)
            if replica is None:
                found.append(f"group {group} is not on node {host.node_id}")
                continue
            leaders += replica.leads
            followed.add((replica.raw.raft.term, replica.raw.raft.lead))
            if replica.applied.index != last:
                found.append(f"group {group}, node {host.node_id}: {replica.applied.index} of {last}")
        if leaders != 1 or len(followed) != 1:
            found.append(f"group {group} has {leaders} leaders: {followed}")
    return found


def leftovers(chaos: Chaos) -> list[str]:
    """What nodes at rest still keep, though nothing needs it."""
    found = []
    for host in chaos.hosts.values():
        node = host.node
        kept = {
            "parked": len(node.parking),
            "held": node._held.batches_in_flight,
            "births": node._births.unsettled + node._births.ready + len(node._births._groups),
            "truncations": len(node._truncations),
            "installs": len(node._installed) + len(node._flusher._installs),
            "snapshots sent": len(node._delivery._snapshots_sent),
        }
        for replica in node.replicas.running.values():
            raft = replica.raw.raft
            kept[f"waiting in {replica.group}"] = len(replica.proposals) + len(replica.reads)
            kept[f"work of {replica.group}"] = replica.raw.has_ready() + len(raft.reads)
            kept[f"unstable of {replica.group}"] = len(raft.log.unstable.entries)
            kept[f"uncommitted of {replica.group}"] = raft.uncommitted_size
        found += [f"node {host.node_id}: {count} {name}" for name, count in kept.items() if count]
    return found
