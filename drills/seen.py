"""What the cluster says of itself over Kafka's own protocol: brokers, leaders, groups."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import connect
from cluster.model import Cluster
from cluster.snapshot import LAST_STAND
from standfast import clients

if TYPE_CHECKING:
    from confluent_kafka import Consumer

QUICK = 3.0  # seconds that one question may take
OFFSETS = "__consumer_offsets"


def java_hash(text: str) -> int:
    """Java's String.hashCode without its sign, by which Kafka places a group's offsets."""
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return abs(value - 2**32 if value >= 2**31 else value)


@dataclass(frozen=True)
class Brokers:
    """One answer to a Metadata request; machines by name."""

    alive: tuple[str, ...] = ()
    controller: str | None = None
    leads: dict[str, int] = field(default_factory=dict)  # partitions that each machine leads
    lagging: dict[str, int] = field(default_factory=dict)  # replicas not in sync, by machine
    offline: int = 0  # partitions without a leader, and topics that are not known yet
    astray: int = 0  # partitions that another than their preferred replica leads

    @property
    def whole(self) -> bool:
        """Every replica of every partition in sync, and the preferred one leading."""
        return not self.offline and not self.astray and not any(self.lagging.values())


class Seen:
    """Asks the cluster. Every answer raises OSError where it does not come within a few seconds."""

    def __init__(self, cluster: Cluster, log: Path) -> None:
        """`log` gets what the client library says, such as that a broker does not answer."""
        logger = logging.getLogger("standfast.kafka")
        if not logger.handlers:
            logger.addHandler(logging.FileHandler(log))
            logger.propagate = False
        self._cluster = cluster
        self._names = {host.broker_id: name for name, host in cluster.hosts.items()}
        self._admin = connect.admin()
        self._groups: dict[str, Consumer] = {}

    def brokers(self) -> Brokers:
        """Who lives, who leads, who lags behind."""
        from confluent_kafka import KafkaException

        try:
            found = self._admin.list_topics(timeout=QUICK)
        except KafkaException as error:
            raise OSError(f"kafka: {error.args[0].str()}") from None
        leads = dict.fromkeys(self._names.values(), 0)
        lagging = dict(leads)
        # A broker that has just started may not know all topics yet, or not their partitions.
        offline = sum(topic not in found.topics for topic in (*self._cluster.topics, OFFSETS))
        astray = 0
        for topic in found.topics.values():
            offline += topic.error is not None
            for partition in topic.partitions.values():
                if partition.leader in self._names:
                    leads[self._names[partition.leader]] += 1
                else:
                    offline += 1
                astray += partition.leader != partition.replicas[0]
                for broker in set(partition.replicas) - set(partition.isrs):
                    if broker in self._names:
                        lagging[self._names[broker]] += 1
        alive = tuple(name for number, name in self._names.items() if number in found.brokers)
        return Brokers(alive, self._names.get(found.controller_id), leads, lagging, offline, astray)

    def last_stand(self) -> bool:
        """Whether the guardians' record says that one broker takes writes alone."""
        return LAST_STAND in connect.registry(addresses=self._cluster.zookeeper_connect.split(","))

    def coordinator(self, group: str) -> str:
        """The machine that coordinates a group; "" where its partition has no leader."""
        from confluent_kafka import KafkaException

        try:
            found = self._admin.list_topics(OFFSETS, timeout=QUICK)
        except KafkaException as error:
            raise OSError(f"kafka: {error.args[0].str()}") from None
        partitions = found.topics[OFFSETS].partitions
        if not partitions:
            return ""
        leader = partitions[java_hash(group) % len(partitions)].leader
        return self._names.get(leader, "")

    def holders(self, group: str, topic: str) -> dict[str, list[int]]:
        """The partitions of `topic` that each machine's member of `group` holds.

        To be asked only while every broker is well: the library aborts the process if the group's
        coordinator dies under this question (librdkafka issue 4605).
        """
        from confluent_kafka import KafkaException

        asked = self._admin.describe_consumer_groups([group], request_timeout=QUICK)
        try:
            members = asked[group].result(QUICK + 1).members
        except (KafkaException, TimeoutError) as error:
            raise OSError(f"kafka: group {group} cannot be asked: {error}") from None
        held: dict[str, list[int]] = {}
        for member in members:
            name = (member.group_instance_id or "").removeprefix(f"{group}-")
            places = member.assignment.topic_partitions if member.assignment else []
            held[name] = sorted(p.partition for p in places if p.topic == topic)
        return held

    def positions(self, group: str, topic: str) -> dict[int, int]:
        """By partition, what `group` has committed: all below it is in its sink."""
        from confluent_kafka import KafkaException, TopicPartition

        if group not in self._groups:
            # Never subscribed, so it never joins the group whose positions it reads. The admin
            # client has a call for this, and aborts the process if the coordinator dies under it
            # (librdkafka issue 4605).
            settings = clients.default_settings("consumer")
            bootstrap = self._cluster.bootstrap.split(",")
            self._groups[group] = clients.consumer(settings, bootstrap, group_id=group)
        partitions = self._cluster.topics[topic].partitions
        wanted = [TopicPartition(topic, number) for number in range(partitions)]
        try:
            answer = self._groups[group].committed(wanted, timeout=QUICK)
        except KafkaException as error:
            raise OSError(f"kafka: positions of {group}: {error.args[0].str()}") from None
        for p in answer:
            if p.error is not None:
                raise OSError(f"kafka: position of {group} in {topic}/{p.partition}: {p.error}")
        return {p.partition: p.offset for p in answer if p.offset >= 0}
