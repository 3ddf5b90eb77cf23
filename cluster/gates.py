"""The roll's gates: whether a host may be restarted now, and whether it is well again after it.

Pure questions to a snapshot, answered with findings; an empty answer opens the gate. What could not
be read counts as unhealthy. What a host lacks itself never keeps it from being restarted: that may
be its cure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cluster import health
from cluster.disk import LEAST_FREE
from cluster.due import Due
from cluster.model import AIDES, Cluster, Host, Script
from cluster.observed import Finding, GroupSeen, MachineSeen, SetSeen, Snapshot, TopicsSeen
from cluster.sizes import show_size
from cluster.snapshot import DATA
from cluster.stand import inside, last_stand, narrowed, survivor
from cluster.writes import listed

# --- before a host is touched ---


def before(cluster: Cluster, seen: Snapshot, step: Due) -> list[Finding]:
    """Why this step may not be taken now."""
    found = asked(seen, step.host)
    if stand := last_stand(seen):
        where = "fab status: the other hosts come first"
        shown = f"{survivor(cluster, stand)} takes, or took, writes alone"
        found.append(Finding("cluster", "no last stand", shown, where))
    if of := narrowed(seen.machines.values()):
        shown = f"ZooKeeper's ensemble is narrowed to {listed(inside(cluster, of))}"
        found.append(Finding("ensemble", "all of its voters", shown, "fab rejoin, one by one"))
    if step.service in AIDES:
        return found
    found += disks(cluster, seen, [step.host] if step.down else cluster.hosts)
    if step.down:
        # What does not run cannot be made worse; and it may be what the others wait for.
        return found + (_quorum(cluster, seen) if step.service == "kafka" else [])
    mine = step.host if step.service == "zookeeper" else None
    found += health.ensemble(cluster, seen.voters, but=mine)
    own = cluster.hosts.get(step.host) if step.service == "kafka" else None
    found += brokers(cluster, seen, but=own)
    found += replicas(seen.topics, but=own)
    if own is not None:
        found += keeps_min_isr(seen.topics, own)
        found += copies(cluster, seen.topics, own)
    if step.service in cluster.consumers:
        found += others_run(cluster, seen, step)
    return found


def asked(seen: Snapshot, host: str) -> list[Finding]:
    """The host could be asked over SSH."""
    if host in seen.machines:
        return []
    why = seen.unasked.get(host, "was not asked")
    return [Finding(host, "an answer over SSH", why, f"is {host} switched on, and in reach?")]


def disks(cluster: Cluster, seen: Snapshot, hosts: Iterable[str]) -> list[Finding]:
    """The brokers' disks have room left."""
    found = []
    for name in hosts:
        if not isinstance(cluster.machines[name], Host):
            continue
        machine = seen.machines.get(name)
        disk = machine.disks.get(DATA) if machine else None
        if disk is None:
            why = "no such directory" if machine else seen.unasked.get(name, "was not asked")
            found.append(Finding(f"{DATA} on {name}", "a disk with room", why, f"df {DATA}"))
        elif disk.free < LEAST_FREE * disk.size:
            expected = f"{show_size(LEAST_FREE * disk.size)} free (a tenth)"
            where = "free some, or take a larger disk; then roll again"
            found.append(
                Finding(f"{DATA} on {name}", expected, f"{show_size(disk.free)} free", where)
            )
    return found


def brokers(cluster: Cluster, seen: Snapshot, but: Host | None = None) -> list[Finding]:
    """All brokers of the inventory are registered, and none else; each answers and knows the
    others. How the broker of `but` is does not count.
    """
    mine = f"broker {but.broker_id}" if but else None
    found = [f for f in health.registered(cluster, seen.registry) if f.what != mine]
    wanted = {
        h.broker_id: f"{h.address}:{cluster.ports.kafka}"
        for h in cluster.hosts.values()
        if but is None or h.name != but.name
    }
    for name in cluster.hosts:
        if but is not None and name == but.name:
            continue
        broker = seen.brokers.get(name)
        where = f"journalctl -u kafka.service -u standfast-probe.service on {name}"
        if broker is None or broker.complaint:
            why = broker.complaint if broker else "was not asked"
            found.append(Finding(name, "a broker that answers", why, where))
            continue
        lacks = sorted(n for n, at in wanted.items() if broker.brokers.get(n) != at)
        if lacks:
            why = f"it does not know {', '.join(f'broker {n}' for n in lacks)}"
            found.append(Finding(name, "a broker that knows all others", why, where))
    return found


def replicas(topics: TopicsSeen, but: Host | None = None) -> list[Finding]:
    """No partition is offline, under its min ISR, or lacks an in-sync replica other than on
    `but`.
    """
    found = health.whole(topics, but.broker_id if but else None)
    return found if topics.complaint else [*found, *health.writable(topics)]


def keeps_min_isr(topics: TopicsSeen, host: Host) -> list[Finding]:
    """Every partition on the host keeps its min ISR without it."""
    found = []
    for topic in topics.topics.values():
        least = topic.settings.get("min.insync.replicas", "")
        if not least.isdigit():
            continue  # replicas() says so
        short = [
            number
            for number, p in enumerate(topic.partitions)
            if host.broker_id in p.replicas and len(set(p.isr) - {host.broker_id}) < int(least)
        ]
        if short:
            shown = f"fewer on partitions {health.numbers(short)}"
            expected = f"{least} in-sync replicas without broker {host.broker_id}"
            where = "nothing could be written there meanwhile: journalctl -u kafka.service"
            found.append(Finding(topic.name, expected, shown, where))
    return found


def copies(cluster: Cluster, topics: TopicsSeen, host: Host) -> list[Finding]:
    """No partition lies on this host alone; but where the inventory accepts that risk."""
    found = []
    for topic in topics.topics.values():
        alone = [n for n, p in enumerate(topic.partitions) if p.replicas == (host.broker_id,)]
        if alone and f"topics.{topic.name}.replication" not in cluster.risks:
            shown = f"one, on partitions {health.numbers(alone)}"
            where = f"kafka-reassign-partitions.sh, or delete the topic {topic.name}"
            found.append(Finding(topic.name, "more than one replica", shown, where))
    return found


def others_run(cluster: Cluster, seen: Snapshot, step: Due) -> list[Finding]:
    """The same consumer runs on another host, and takes over meanwhile."""
    there = [
        name
        for name in cluster.hosts
        if name != step.host
        and name in seen.machines
        and seen.machines[name].units.get(step.unit, {}).get("ActiveState") == "active"
    ]
    if there or len(cluster.hosts) == 1:
        return []
    where = f"journalctl -u {step.unit} on the other hosts"
    return [Finding(step.service, "the same consumer on another host", "none runs", where)]


def _quorum(cluster: Cluster, seen: Snapshot) -> list[Finding]:
    if any(v.state == "leader" for v in seen.voters.values()):
        return []
    where = "journalctl -u zookeeper.service on every voter: a majority must run"
    return [Finding("ensemble", "a quorum with a leader", "none", where)]


# --- after it was restarted ---


def after(cluster: Cluster, seen: Snapshot, step: Due, began: Snapshot) -> list[Finding]:
    """What the host itself lacks, after its step; `began` is a look at when its process was new.

    A finding here, to the end, puts the last good set back.
    """
    found = asked(seen, step.host)
    if found:
        return found
    found = runs(seen.machines[step.host], step)
    if step.service == "zookeeper":
        voter = seen.voters.get(step.host)
        if voter is None or voter.complaint or not voter.state:
            why = (voter.complaint if voter else "") or "serves nobody"
            where = f"journalctl -u zookeeper.service on {step.host}"
            found.append(Finding(step.host, "leader or follower", why, where))
        else:
            found += health.membership(cluster, step.host, voter)
    elif step.service == "kafka":
        found += _rejoined(cluster, seen, cluster.hosts[step.host])
    elif step.service in cluster.consumers and not seen.topics.complaint:
        found += progress(cluster, seen, began, [step.service])
    return found


def around(cluster: Cluster, seen: Snapshot, step: Due, began: Snapshot) -> list[Finding]:
    """What the rest of the cluster lacks, after a step. A finding here, to the end, stops the roll;
    the host itself is left as it is.
    """
    if step.down or step.service in AIDES:
        return []  # what else is down comes next, or is not the roll's to cure
    found = health.ensemble(cluster, seen.voters)
    found += brokers(cluster, seen)
    found += replicas(seen.topics)
    if step.service == "kafka":
        found += health.preferred(seen.topics) if not seen.topics.complaint else []
        found += progress(cluster, seen, began, cluster.consumers)
    return found


def runs(machine: MachineSeen, step: Due) -> list[Finding]:
    """The unit is active, with the set that it should run with."""
    shown = machine.units.get(step.unit, {})
    here = machine.sets.get(step.service, SetSeen())
    where = f"journalctl -u {step.unit} on {step.host}"
    state = shown.get("ActiveState", "unknown")
    if state != "active":
        restarts = shown.get("NRestarts", "0")
        often = f", started again {restarts} times" if restarts != "0" else ""
        return [
            Finding(step.unit, "active", f"{state} ({shown.get('SubState', '')}){often}", where)
        ]
    if here.running != step.fingerprint:
        now = f"with {here.running or 'an unknown set'}"
        return [Finding(step.unit, f"to run with {step.fingerprint}", now, where)]
    return []


def _rejoined(cluster: Cluster, seen: Snapshot, host: Host) -> list[Finding]:
    """The broker is registered, answers, and is in every in-sync set that it belongs to."""
    number, address = host.broker_id, f"{host.address}:{cluster.ports.kafka}"
    where = f"journalctl -u kafka.service on {host.name}"
    found = []
    at = seen.registry.brokers.get(number)
    if at != address:
        why = seen.registry.complaint or at or "not registered"
        found.append(Finding(f"broker {number}", f"registered at {address}", why, where))
    broker = seen.brokers.get(host.name)
    if broker is None or broker.complaint:
        why = broker.complaint if broker else "was not asked"
        found.append(Finding(f"broker {number}", "a broker that answers", why, where))
    if seen.topics.complaint:
        why = seen.topics.complaint
        return [*found, Finding("topics", "the cluster's topics", why, where)]
    out = [
        f"{topic.name}/{n}"
        for topic in seen.topics.topics.values()
        for n, p in enumerate(topic.partitions)
        if number in p.replicas and number not in p.isr and p.leader >= 0
    ]
    if out:
        shown = f"out of {len(out)}: {', '.join(out[:4])}{' …' if len(out) > 4 else ''}"
        found.append(Finding(f"broker {number}", "in every in-sync set", shown, where))
    return found


def progress(
    cluster: Cluster, seen: Snapshot, began: Snapshot, consumers: Iterable[str]
) -> list[Finding]:
    """Each group has read on since `began`: past what was there then, or further than it was."""
    found = []
    for name in consumers:
        then, now = began.groups.get(name, GroupSeen()), seen.groups.get(name)
        where = f"journalctl -u consumer-{name}.service on every host"
        if now is None or now.complaint:
            why = now.complaint if now else "was not asked"
            found.append(Finding(name, "its group's positions", why, where))
            continue
        if isinstance(cluster.consumers[name], Script) and not any(now.committed.values()):
            continue  # it keeps its positions elsewhere
        stuck = [
            f"{topic}/{partition}"
            for topic in cluster.consumers[name].topics
            for partition, end in began.ends.get(topic, {}).items()
            if _at(now.committed, topic, partition) < end
            and _at(now.committed, topic, partition) <= _at(then.committed, topic, partition)
        ]
        if stuck:
            shown = f"stands still at {', '.join(stuck[:4])}{' …' if len(stuck) > 4 else ''}"
            found.append(Finding(name, "a consumer that reads on", shown, where))
    return found


def _at(committed: Mapping[str, Mapping[int, int]], topic: str, partition: int) -> int:
    return committed.get(topic, {}).get(partition, 0)
