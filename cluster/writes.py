"""What can be written to a cluster's partitions now, and how a sentence names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cluster.model import Cluster
from cluster.observed import Snapshot, TopicSeen
from cluster.settings import topic_settings

INTERNAL_MIN_ISR = 2  # of Kafka's own topics, on three brokers
Places = dict[str, list[int]]  # partitions by topic


class Writes:
    """What can be written, and by whom.

    `known`: somebody told of the partitions, `all` of them; `leaderless`, `silent` (their leader
    does not answer) and `short` (of in-sync replicas) take no write now; `never` has fewer replicas
    than a write needs, whoever lives; `lowered` are the topics whose min ISR is below what it
    should be; `live` the ids of the brokers that take part, `alone` the only such host, "" where
    there are more.
    """

    def __init__(self, cluster: Cluster, seen: Snapshot) -> None:
        self.known = not seen.topics.complaint and bool(seen.topics.topics)
        hosts = [n for n in cluster.hosts if lives(cluster, seen, n)]
        self.live = {cluster.hosts[n].broker_id for n in hosts}
        self.alone = hosts[0] if len(hosts) == 1 and len(cluster.hosts) > 1 else ""
        self.answering = {
            h.broker_id
            for n, h in cluster.hosts.items()
            if n in seen.brokers and not seen.brokers[n].complaint
        }
        self.leaderless: Places = {}
        self.silent: Places = {}
        self.short: Places = {}
        self.never: Places = {}
        self.lowered: list[str] = []
        self.all = sum(len(t.partitions) for t in seen.topics.topics.values())
        for topic in seen.topics.topics.values():
            self._look_at(topic, expected_min_isr(cluster, topic.name))

    def _look_at(self, topic: TopicSeen, expected: int | None) -> None:
        value = topic.settings.get("min.insync.replicas", "")
        least = int(value) if value.isdigit() else expected or 1
        if expected is not None and least < expected:
            self.lowered.append(topic.name)
        for number, p in enumerate(topic.partitions):
            if p.leader not in self.live:
                self.leaderless.setdefault(topic.name, []).append(number)
            elif p.leader not in self.answering:
                # Registered still: its session is not over yet, or it hangs.
                self.silent.setdefault(topic.name, []).append(number)
            elif len(p.replicas) < least:
                self.never.setdefault(topic.name, []).append(number)
            elif len(p.isr) < least:
                self.short.setdefault(topic.name, []).append(number)

    @property
    def stopped(self) -> str:
        """Which partitions take no write now, as a sentence; "" where all do."""
        kinds = {
            "without a leader": self.leaderless,
            "led by a broker that does not answer": self.silent,
            "under min ISR": self.short,
        }
        found = {why: there for why, there in kinds.items() if there}
        if not found:
            return ""
        if sum(len(numbers) for there in found.values() for numbers in there.values()) == self.all:
            return f"nothing can be written: all {self.all} partitions are {' or '.join(found)}"
        shown = [f"{places(there)} ({why})" for why, there in found.items()]
        return f"nothing can be written to {listed(shown)}"


def lives(cluster: Cluster, seen: Snapshot, name: str) -> bool:
    """Whether the broker of a host takes part: ZooKeeper says so; where nobody can ask it, the
    broker itself.
    """
    if not seen.registry.complaint:
        return cluster.hosts[name].broker_id in seen.registry.brokers
    return name in seen.brokers and not seen.brokers[name].complaint


def expected_min_isr(cluster: Cluster, topic: str) -> int | None:
    """What the inventory says; None for a topic that it does not name."""
    declared = {**cluster.topics, cluster.canary.name: cluster.canary}.get(topic)
    if declared is not None:
        rows = {row.name: row.value for row in topic_settings(cluster, declared)}
        return int(rows["min.insync.replicas"])
    return INTERNAL_MIN_ISR if topic.startswith("__") and len(cluster.hosts) > 2 else None


def places(found: Mapping[str, Iterable[int]], most: int = 4) -> str:
    """Partitions for a sentence: "trades 0-2, 5 and audit 1"; some topics, and how many more."""
    shown = [f"{topic} {ranges(numbers)}" for topic, numbers in found.items()]
    if len(shown) > most:
        rest = [n for numbers in list(found.values())[most:] for n in numbers]
        return f"{', '.join(shown[:most])} and {len(rest)} more partitions"
    return listed(shown)


def ranges(numbers: Iterable[int]) -> str:
    """Numbers, runs of them as 0-5."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def listed(words: Iterable[str]) -> str:
    """Words as a sentence lists them: "a, b and c"."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last
