"""Questions to Kafka, over its own protocol: each ends in time, and says why it has no answer.

`bootstrap` are the brokers by way of which the cluster is asked (default: all of the inventory's),
`until` is when (time.monotonic()) the answer must be there. Answers are plain JSON, as
cluster.snapshot says.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import connect
from cluster.model import Consumer
from cluster.snapshot import Answer

PATIENCE = 4.0  # seconds for an answer


def left(until: float | None) -> float:
    """The seconds that a question may still take."""
    return PATIENCE if until is None else max(0.05, until - time.monotonic())


def complaint(why: object) -> dict[str, Any]:
    """In place of an answer: why there is none."""
    return {"complaint": str(why)}


def broker(address: str) -> Answer:
    """The brokers that one broker knows."""
    try:
        return {"brokers": {str(n): at for n, at in connect.broker_answer(address).items()}}
    except OSError as error:
        return complaint(f"{address} does not answer ({error})")


def topics(bootstrap: list[str] | None = None, until: float | None = None) -> Answer:
    """Every topic with its partitions and settings; "unset" is why these could not be read. A
    broker reads them from ZooKeeper: without a quorum there are none.
    """
    from confluent_kafka import KafkaException

    admin = connect.admin(bootstrap)
    try:
        found = admin.list_topics(timeout=left(until)).topics
    except KafkaException as error:
        return complaint(f"no broker says ({words(error)})")
    try:
        settings, unset = _topic_settings(admin, list(found), left(until)), ""
    except (KafkaException, TimeoutError) as error:
        settings, unset = {}, f"no broker says ({words(error)})"
    return {
        "unset": unset,
        "topics": {
            name: {
                "partitions": [
                    [p.leader, list(p.replicas), list(p.isrs)]
                    for _, p in sorted(topic.partitions.items())
                ],
                **settings.get(name, {"settings": {}, "own": {}}),
            }
            for name, topic in sorted(found.items())
        },
    }


def _topic_settings(admin: Any, names: list[str], seconds: float) -> dict[str, Answer]:
    from confluent_kafka.admin import ConfigResource, ConfigSource

    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    # DescribeConfigs refuses an empty list.
    answers = admin.describe_configs(resources, request_timeout=seconds) if resources else {}
    found = {}
    for resource, future in answers.items():
        entries = future.result(seconds + 1).values()
        own = [e for e in entries if int(e.source) == ConfigSource.DYNAMIC_TOPIC_CONFIG.value]
        found[resource.name] = {
            "settings": {e.name: str(e.value) for e in entries},
            "own": {e.name: str(e.value) for e in own},
        }
    return found


def overrides(
    broker_id: int, bootstrap: list[str] | None = None, until: float | None = None
) -> Answer:
    """The settings that a broker was given while it ran. The broker itself is asked."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ConfigSource

    resource = ConfigResource(ConfigResource.Type.BROKER, str(broker_id))
    try:
        admin = connect.admin(bootstrap)  # by name: it must live until the answer is there
        answers = admin.describe_configs([resource], request_timeout=left(until))
        entries = answers[resource].result(left(until) + 1).values()
    except (KafkaException, TimeoutError) as error:
        return complaint(f"broker {broker_id} does not say ({words(error)})")
    own = ConfigSource.DYNAMIC_BROKER_CONFIG.value
    return {"settings": {e.name: str(e.value) for e in entries if int(e.source) == own}}


def groups(
    consumers: Iterable[Consumer], bootstrap: list[str] | None = None, until: float | None = None
) -> dict[str, Any]:
    """{"groups": the positions of each consumer's group, "ends": the high watermarks}.

    A group's coordinator is never asked for the group itself: the library aborts the process where
    the coordinator dies under that question (librdkafka issue 4605).
    """
    consumers = list(consumers)
    topics_read = sorted({topic for c in consumers for topic in c.topics})
    tails = _ends(topics_read, bootstrap, until)
    if "complaint" in tails:
        return {"groups": dict.fromkeys((c.name for c in consumers), tails), "ends": tails}
    with ThreadPoolExecutor(max_workers=max(1, len(consumers))) as pool:
        answers = pool.map(lambda c: _group(c, tails["ends"], bootstrap, until), consumers)
        found = dict(zip([c.name for c in consumers], answers, strict=True))
    return {"groups": found, "ends": tails}


def _ends(names: list[str], bootstrap: list[str] | None, until: float | None) -> Answer:
    from confluent_kafka import KafkaException, TopicPartition
    from confluent_kafka.admin import OffsetSpec

    admin = connect.admin(bootstrap)
    try:
        found = admin.list_topics(timeout=left(until)).topics
        places = [
            TopicPartition(name, p) for name in names if name in found
            for p in found[name].partitions
        ]  # fmt: skip
        latest = {place: OffsetSpec.latest() for place in places}
        # The groups' positions come after it: half of the time is theirs.
        seconds = left(until) / 2
        answers = admin.list_offsets(latest, request_timeout=seconds) if latest else {}
        ends: dict[str, dict[str, int]] = {name: {} for name in names}
        for place, future in answers.items():
            try:
                ends[place.topic][str(place.partition)] = future.result(seconds + 1).offset
            except KafkaException:  # this partition has no leader: the topics' look says so
                continue
    except (KafkaException, TimeoutError) as error:
        return complaint(f"no broker says ({words(error)})")
    return {"ends": ends}


def _group(
    consumer: Consumer,
    ends: Mapping[str, Mapping[str, int]],
    bootstrap: list[str] | None,
    until: float | None,
) -> Answer:
    from confluent_kafka import KafkaException, TopicPartition

    # It never subscribes, so it is no member; and it must never commit.
    client = connect.consumer(consumer.name, bootstrap)
    try:
        places = [
            TopicPartition(topic, int(p)) for topic in consumer.topics for p in ends.get(topic, {})
        ]
        answers = client.committed(places, timeout=left(until)) if places else []
        wrong = next((p.error for p in answers if p.error is not None), None)
        if wrong is not None:
            return complaint(f"its positions cannot be read ({wrong.str()})")
        committed: dict[str, dict[str, int]] = {topic: {} for topic in consumer.topics}
        behind = []
        for place in answers:
            if place.offset >= 0:
                committed[place.topic][str(place.partition)] = place.offset
            if max(place.offset, 0) < ends[place.topic][str(place.partition)]:
                # Never committed: it reads from the log's start (auto.offset.reset=earliest).
                start = place.offset if place.offset >= 0 else -2  # OFFSET_BEGINNING
                behind.append(TopicPartition(place.topic, place.partition, start))
        return {"committed": committed, "waiting": _oldest(client, behind, until)}
    except KafkaException as error:
        return complaint(f"its coordinator does not say ({words(error)})")
    finally:
        client.close()


def _oldest(client: Any, behind: list[Any], until: float | None) -> float | None:
    """When (Unix seconds) the oldest record at these positions was stored; None where none is, and
    where none could be read.
    """
    if not behind:
        return None
    client.assign(behind)
    wanted = {(place.topic, place.partition) for place in behind}
    oldest: float | None = None
    end = time.monotonic() + min(1.0, left(until))
    while wanted and time.monotonic() < end:
        for message in client.consume(num_messages=500, timeout=0.1):
            place = (message.topic(), message.partition())
            if message.error() is not None or place not in wanted:
                continue
            wanted.discard(place)
            stored = message.timestamp()[1] / 1000
            oldest = stored if oldest is None else min(oldest, stored)
    client.unassign()
    return oldest


def words(error: BaseException) -> str:
    """An error of the client library's, as it says it."""
    first = error.args[0] if error.args else None
    return str(first.str()) if hasattr(first, "str") else str(error) or type(error).__name__
