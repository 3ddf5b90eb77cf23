"""Whether a cluster is healthy: small questions to what was seen of it, answered with findings.

No sockets and no clock here. An empty answer is a healthy one; what could not be read counts as
unhealthy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cluster.model import Cluster
from cluster.observed import (
    BrokerSeen,
    Finding,
    Partition,
    Registry,
    TopicsSeen,
    VoterSeen,
)

TOPICS = 'kafka-topics.sh --bootstrap-server "$KAFKA" --describe'


def ensemble(
    cluster: Cluster, seen: Mapping[str, VoterSeen], but: str | None = None
) -> list[Finding]:
    """One voter leads, all the others follow it, in sync; how the voter `but` is does not count."""
    voters = {
        name: seen.get(name) or VoterSeen(complaint="was not asked") for name in cluster.voters
    }
    found = []
    for name, voter in voters.items():
        if name == but:
            continue
        if voter.complaint:
            where = f"journalctl -u zookeeper.service on {name}"
            found.append(Finding(name, "a voter that answers", voter.complaint, where))
        elif not voter.state:
            where = f"journalctl -u zookeeper.service on {name}: it looks for a leader"
            found.append(Finding(name, "leader or follower", "serves nobody", where))
    leaders = [name for name, voter in voters.items() if voter.state == "leader"]
    where = "journalctl -u zookeeper.service on every voter"
    if len(leaders) != 1:
        found.append(
            Finding("ensemble", "one leader", f"leaders: {', '.join(leaders) or 'none'}", where)
        )
    for name in leaders:
        synced, others = voters[name].synced, len(voters) - 1
        least = others if but in (None, name) else others - 1
        if synced is None or not least <= synced <= others:
            why = f"{'unknown' if synced is None else synced} in sync"
            found.append(Finding(name, f"{others} followers in sync with it", why, where))
    return found


def membership(cluster: Cluster, name: str, seen: VoterSeen) -> list[Finding]:
    """The voter `name` runs with exactly the inventory's ensemble."""
    ports = cluster.ports
    expected = {
        f"server.{v.zookeeper_id}={v.address}:{ports.zookeeper_peer}:{ports.zookeeper_election}"
        for v in cluster.voters.values()
    }
    actual = {line.removesuffix(":participant") for line in seen.members}
    if expected == actual:
        return []
    lacks, more = sorted(expected - actual), sorted(actual - expected)
    where = f"deploy; then restart zookeeper.service on {name}, after all others follow"
    shown = (
        seen.complaint
        or f"{', '.join(more) or 'nothing'} in place of {', '.join(lacks) or 'nothing'}"
    )
    return [Finding(name, f"the inventory's {len(expected)} voters", shown, where)]


def registered(cluster: Cluster, seen: Registry) -> list[Finding]:
    """Exactly the inventory's brokers are registered, at their addresses; one is controller."""
    if seen.complaint:
        return [
            Finding(
                "brokers",
                "ZooKeeper's list of them",
                seen.complaint,
                "make verify again once it serves",
            )
        ]
    hosts = {h.broker_id: h for h in cluster.hosts.values()}
    found = []
    for number, host in hosts.items():
        address, actual = f"{host.address}:{cluster.ports.kafka}", seen.brokers.get(number)
        if actual != address:
            where = f"journalctl -u kafka.service on {host.name}"
            expected = f"registered at {address}"
            found.append(Finding(f"broker {number}", expected, actual or "not registered", where))
    for number in sorted(seen.brokers.keys() - hosts):
        where = "stop it, or name its host in the inventory"
        shown = f"registered at {seen.brokers[number]}"
        found.append(
            Finding(f"broker {number}", "no such broker: the inventory has none", shown, where)
        )
    if seen.controller not in hosts:
        where = "journalctl -u kafka.service on every host"
        found.append(
            Finding(
                "controller",
                "one of the inventory's brokers",
                str(seen.controller or "none"),
                where,
            )
        )
    return found


def one_cluster(
    name: str, seen: Registry, meta_properties: Mapping[str, str], broker_id: int
) -> list[Finding]:
    """The data on the host `name` is of the cluster that ZooKeeper knows, and of this broker."""
    path = "/var/lib/kafka/data/meta.properties"
    where = (
        f"{path} on {name}; never delete it: another broker's disk is mounted there, "
        "or ZooKeeper was wiped"
    )
    found = []
    known = seen.cluster_id or seen.complaint or "no cluster id"
    here = meta_properties.get("cluster.id") or "none"
    if here != known:
        found.append(Finding("cluster id", f"{known}, as in ZooKeeper", here, where))
    number = meta_properties.get("broker.id") or "none"
    if number != str(broker_id):
        found.append(Finding("broker id", str(broker_id), number, where))
    return found


def knows_all(cluster: Cluster, name: str, seen: BrokerSeen) -> list[Finding]:
    """The broker on the host `name` answers itself, and knows all the others."""
    port = cluster.ports.kafka
    expected = {h.broker_id: f"{h.address}:{port}" for h in cluster.hosts.values()}
    if not seen.complaint and dict(seen.brokers) == expected:
        return []
    shown = seen.complaint or f"it knows {_brokers(seen.brokers)}"
    where = f"journalctl -u kafka.service -u standfast-probe.service on {name}"
    return [Finding(name, f"an answer that names {_brokers(expected)}", shown, where)]


def whole(seen: TopicsSeen, but: int | None = None) -> list[Finding]:
    """No partition, of whatever topic, is without a leader or has a replica out of sync; one on the
    broker `but` does not count.
    """

    def lack(p: Partition) -> str | None:
        if p.leader < 0:
            return "no leader"
        behind = sorted(set(p.replicas) - set(p.isr) - {but})
        return f"not in sync on brokers {numbers(behind)}" if behind else None

    where = "journalctl -u kafka.service on the brokers that lack; they catch up by themselves"
    return _partitions(seen, lack, "a leader and all replicas in sync", where)


def writable(seen: TopicsSeen) -> list[Finding]:
    """Every partition has as many in-sync replicas as its topic needs for a write."""
    found = []
    for topic in seen.topics.values():
        least = topic.settings.get("min.insync.replicas", "")
        if not least.isdigit():
            found.append(Finding(topic.name, "a min.insync.replicas", least or "unknown", TOPICS))
            continue
        short = [n for n, p in enumerate(topic.partitions) if len(p.isr) < int(least)]
        if short:
            shown = f"fewer on partitions {numbers(short)}: nothing can be written there"
            found.append(Finding(topic.name, f"at least {least} in-sync replicas", shown, TOPICS))
    return found or _unread(seen)


def on_three(cluster: Cluster, seen: TopicsSeen) -> list[Finding]:
    """Kafka's own topics are on three brokers, min ISR 2; no other topic has a single copy."""
    least = min(3, len(cluster.hosts))
    declared = {*cluster.topics, cluster.canary.name}
    found = []
    for topic in seen.topics.values():
        wanted = least if topic.name.startswith("__") else min(2, least)
        copies = min((len(p.replicas) for p in topic.partitions), default=0)
        if topic.name not in declared and copies < wanted:
            where = "kafka-reassign-partitions.sh; a death would take what has a single copy"
            found.append(Finding(topic.name, f"replication {wanted} at least", str(copies), where))
        min_isr = topic.settings.get("min.insync.replicas", "")
        if topic.name.startswith("__") and least > 2 and min_isr != "2":
            where = (
                f"kafka-configs.sh --alter --topic {topic.name} --add-config min.insync.replicas=2"
            )
            found.append(Finding(topic.name, "min.insync.replicas=2", min_isr or "unknown", where))
    return found or _unread(seen)


def preferred(seen: TopicsSeen) -> list[Finding]:
    """Every partition is led by its preferred leader: the load lies where it was meant to."""

    def lack(p: Partition) -> str | None:
        if not p.replicas or p.leader == p.replicas[0]:
            return None
        return f"led by {p.leader} in place of {p.replicas[0]}"

    where = (
        "after a broker's return Kafka moves them back by itself, within "
        "leader.imbalance.check.interval.seconds; at once: kafka-leader-election.sh "
        "--election-type preferred --all-topic-partitions"
    )
    return _partitions(seen, lack, "its preferred leader", where)


def _partitions(seen: TopicsSeen, lack: object, expected: str, where: str) -> list[Finding]:
    assert callable(lack)
    found = []
    for topic in seen.topics.values():
        lacks: dict[str, list[int]] = {}
        for number, partition in enumerate(topic.partitions):
            if why := lack(partition):
                lacks.setdefault(why, []).append(number)
        for why, which in lacks.items():
            shown = f"{why}: partitions {numbers(which)}"
            found.append(Finding(topic.name, expected, shown, where))
    return found or _unread(seen)


def _unread(seen: TopicsSeen) -> list[Finding]:
    if not seen.complaint and seen.topics:
        return []
    shown = seen.complaint or "no topic at all"
    return [
        Finding(
            "topics", "the cluster's topics", shown, "journalctl -u kafka.service on every host"
        )
    ]


def numbers(found: Iterable[int], most: int = 8) -> str:
    """Numbers for a sentence: "0, 1, 2 and 5 more"."""
    shown = [str(number) for number in found]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def _brokers(brokers: Mapping[int, str]) -> str:
    return ", ".join(f"{n} at {address}" for n, address in sorted(brokers.items())) or "none"
