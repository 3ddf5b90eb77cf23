"""What is changed of a running Kafka over its own protocol: a broker's settings, and who leads."""

from __future__ import annotations

from collections.abc import Mapping

import connect
from cluster.observed import TopicsSeen
from tasks.askkafka import words

PATIENCE = 5.0  # seconds for an answer


class Declined(Exception):
    """Kafka did not take a setting: its sentence."""


def alter(broker_id: int, settings: Mapping[str, str | None]) -> None:
    """Set a running broker's dynamic settings, or take them away (None). Raises Declined."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        if value is not None
        else ConfigEntry(name, "", incremental_operation=AlterConfigOpType.DELETE)
        for name, value in settings.items()
    ]
    resource = ConfigResource(
        ConfigResource.Type.BROKER, str(broker_id), incremental_configs=entries
    )
    admin = connect.admin()
    try:
        asked = admin.incremental_alter_configs([resource], request_timeout=PATIENCE)
        asked[resource].result(PATIENCE + 1)
    except (KafkaException, TimeoutError) as error:
        raise Declined(words(error)) from None


def elect_preferred(topics: TopicsSeen) -> None:
    """Let the preferred replicas lead again, where they are in sync and do not. Kafka does so by
    itself within leader.imbalance.check.interval.seconds; a failure here only costs that time.
    """
    from confluent_kafka import ElectionType, KafkaException, TopicPartition

    astray = [
        TopicPartition(topic.name, number)
        for topic in topics.topics.values()
        for number, p in enumerate(topic.partitions)
        if p.replicas and p.leader != p.replicas[0] and p.replicas[0] in p.isr
    ]
    if not astray:
        return
    admin = connect.admin()
    try:
        # No request_timeout: confluent-kafka 2.16 fails on it with a SystemError.
        admin.elect_leaders(ElectionType.PREFERRED, astray).result(PATIENCE)
    except (KafkaException, TimeoutError):
        return
