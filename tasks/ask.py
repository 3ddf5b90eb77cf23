"""Asks a cluster everything at once: its hosts over SSH, its servers over their own protocols.

Each question ends in time, whatever is dead, and its answer is plain JSON (cluster.snapshot says of
which shape): what was seen, or {"complaint": why it could not be}.
"""

from __future__ import annotations

import json
import logging
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import connect
from cluster.model import Cluster, Consumer
from cluster.render import FileSet
from cluster.snapshot import Answer, asked

LOOK = Path(__file__).with_name("look.py")
PATIENCE = 4.0  # seconds for an answer of Kafka's
# What the libraries say of a server that is away, the answers say better.
for library in ("kafka", "zookeeper"):
    logging.getLogger(f"standfast.{library}").addHandler(logging.NullHandler())
    logging.getLogger(f"standfast.{library}").propagate = False
EVERYTHING = ("voters", "registry", "brokers", "topics", "machines", "groups", "overrides")


def everything(
    cluster: Cluster,
    sets: Mapping[str, Sequence[FileSet]],
    parts: Iterable[str] = EVERYTHING,
    disks: bool = True,
) -> dict[str, Any]:
    """The answers of the whole cluster, or of some `parts` of it. `sets` are the rendered ones of
    each machine that is to be looked at.
    """
    questions: dict[tuple[str, str], Callable[[], Answer]] = {}
    parts = tuple(parts)
    if "voters" in parts:
        for name, v in cluster.voters.items():
            address = f"{v.address}:{cluster.ports.zookeeper}"
            questions["voters", name] = lambda a=address: voter(a)
    if "brokers" in parts:
        for name, h in cluster.hosts.items():
            address = f"{h.address}:{cluster.ports.kafka}"
            questions["brokers", name] = lambda a=address: broker(a)
    if "registry" in parts:
        questions["registry", ""] = registry
    if "topics" in parts:
        questions["topics", ""] = topics
    if "groups" in parts:
        questions["groups", ""] = lambda: groups(cluster.consumers.values())
    if "overrides" in parts:
        for name, h in cluster.hosts.items():
            questions["overrides", name] = lambda n=h.broker_id: overrides(n)
    if "machines" in parts:
        for name, mine in sets.items():
            look_at = asked(cluster.machines[name], mine, disks=disks)
            questions["machines", name] = lambda n=name, a=look_at: machine(n, a)
    found: dict[str, Any] = {"at": time.time()}
    with ThreadPoolExecutor(max_workers=max(1, len(questions))) as pool:
        pending = {key: pool.submit(ask) for key, ask in questions.items()}
        for (part, name), future in pending.items():
            answer = future.result()
            if part == "groups":
                found |= answer
            elif name:
                found.setdefault(part, {})[name] = answer
            else:
                found[part] = answer
    return found


def _complaint(why: object) -> dict[str, Any]:
    return {"complaint": str(why)}


# --- ZooKeeper ---


def voter(address: str) -> Answer:
    """A voter's answers to `conf` and `mntr`."""
    try:
        return {
            "conf": connect.zookeeper_answer(address, "conf"),
            "mntr": connect.zookeeper_answer(address, "mntr"),
        }
    except OSError as error:
        return _complaint(f"{address} does not answer ({error.strerror or error})")


def registry() -> Answer:
    """What ZooKeeper holds of Kafka."""
    try:
        return {"nodes": connect.registry()}
    except OSError as error:
        return _complaint(error)


# --- Kafka ---


def broker(address: str) -> Answer:
    """The brokers that one broker knows."""
    try:
        return {"brokers": {str(n): at for n, at in connect.broker_answer(address).items()}}
    except OSError as error:
        return _complaint(f"{address} does not answer ({error})")


def topics() -> Answer:
    """Every topic with its partitions and settings."""
    from confluent_kafka import KafkaException

    admin = connect.admin()
    try:
        found = admin.list_topics(timeout=PATIENCE).topics
        settings = _topic_settings(admin, list(found))
    except (KafkaException, TimeoutError) as error:
        return _complaint(f"no broker says ({_words(error)})")
    return {
        "topics": {
            name: {
                "partitions": [
                    [p.leader, list(p.replicas), list(p.isrs)]
                    for _, p in sorted(topic.partitions.items())
                ],
                **settings.get(name, {"settings": {}, "own": {}}),
            }
            for name, topic in sorted(found.items())
        }
    }


def _topic_settings(admin: Any, names: list[str]) -> dict[str, Answer]:
    from confluent_kafka.admin import ConfigResource, ConfigSource

    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    # DescribeConfigs refuses an empty list.
    answers = admin.describe_configs(resources, request_timeout=PATIENCE) if resources else {}
    found = {}
    for resource, future in answers.items():
        entries = future.result(PATIENCE + 1).values()
        own = [e for e in entries if int(e.source) == ConfigSource.DYNAMIC_TOPIC_CONFIG.value]
        found[resource.name] = {
            "settings": {e.name: str(e.value) for e in entries},
            "own": {e.name: str(e.value) for e in own},
        }
    return found


def overrides(broker_id: int) -> Answer:
    """The settings that a broker was given while it ran. The broker itself is asked."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ConfigSource

    resource = ConfigResource(ConfigResource.Type.BROKER, str(broker_id))
    try:
        admin = connect.admin()  # by name: it must live until the answer is there
        answers = admin.describe_configs([resource], request_timeout=PATIENCE)
        entries = answers[resource].result(PATIENCE + 1).values()
    except (KafkaException, TimeoutError) as error:
        return _complaint(f"broker {broker_id} does not say ({_words(error)})")
    own = ConfigSource.DYNAMIC_BROKER_CONFIG.value
    return {"settings": {e.name: str(e.value) for e in entries if int(e.source) == own}}


def groups(consumers: Iterable[Consumer]) -> dict[str, Any]:
    """{"groups": the positions of each consumer's group, "ends": the high watermarks}.

    A group's coordinator is never asked for the group itself: the library aborts the process where
    the coordinator dies under that question (librdkafka issue 4605).
    """
    consumers = list(consumers)
    topics_read = sorted({topic for c in consumers for topic in c.topics})
    tails = _ends(topics_read)
    if "complaint" in tails:
        return {"groups": dict.fromkeys((c.name for c in consumers), tails), "ends": tails}
    with ThreadPoolExecutor(max_workers=max(1, len(consumers))) as pool:
        answers = pool.map(lambda c: _group(c, tails["ends"]), consumers)
        found = dict(zip([c.name for c in consumers], answers, strict=True))
    return {"groups": found, "ends": tails}


def _ends(names: list[str]) -> Answer:
    from confluent_kafka import KafkaException, TopicPartition
    from confluent_kafka.admin import OffsetSpec

    admin = connect.admin()
    try:
        found = admin.list_topics(timeout=PATIENCE).topics
        places = [
            TopicPartition(name, p) for name in names if name in found
            for p in found[name].partitions
        ]  # fmt: skip
        latest = {place: OffsetSpec.latest() for place in places}
        answers = admin.list_offsets(latest, request_timeout=PATIENCE) if latest else {}
        ends: dict[str, dict[str, int]] = {name: {} for name in names}
        for place, future in answers.items():
            try:
                ends[place.topic][str(place.partition)] = future.result(PATIENCE + 1).offset
            except KafkaException:  # this partition has no leader: the topics' look says so
                continue
    except (KafkaException, TimeoutError) as error:
        return _complaint(f"no broker says ({_words(error)})")
    return {"ends": ends}


def _group(consumer: Consumer, ends: Mapping[str, Mapping[str, int]]) -> Answer:
    from confluent_kafka import KafkaException, TopicPartition

    # It never subscribes, so it is no member; and it must never commit.
    client = connect.consumer(group=consumer.name)
    try:
        places = [
            TopicPartition(topic, int(p)) for topic in consumer.topics for p in ends.get(topic, {})
        ]
        answers = client.committed(places, timeout=PATIENCE) if places else []
        wrong = next((p.error for p in answers if p.error is not None), None)
        if wrong is not None:
            return _complaint(f"its positions cannot be read ({wrong.str()})")
        committed: dict[str, dict[str, int]] = {topic: {} for topic in consumer.topics}
        behind = []
        for place in answers:
            if place.offset >= 0:
                committed[place.topic][str(place.partition)] = place.offset
            if max(place.offset, 0) < ends[place.topic][str(place.partition)]:
                # Never committed: it reads from the log's start (auto.offset.reset=earliest).
                start = place.offset if place.offset >= 0 else -2  # OFFSET_BEGINNING
                behind.append(TopicPartition(place.topic, place.partition, start))
        return {"committed": committed, "waiting": _oldest(client, behind)}
    except KafkaException as error:
        return _complaint(f"its coordinator does not say ({_words(error)})")
    finally:
        client.close()


def _oldest(client: Any, behind: list[Any]) -> float | None:
    """When (Unix seconds) the oldest record at these positions was stored; None where none is."""
    if not behind:
        return None
    client.assign(behind)
    left = {(place.topic, place.partition) for place in behind}
    oldest: float | None = None
    end = time.monotonic() + 1.0
    while left and time.monotonic() < end:
        for message in client.consume(num_messages=500, timeout=0.1):
            place = (message.topic(), message.partition())
            if message.error() is not None or place not in left:
                continue
            left.discard(place)
            stored = message.timestamp()[1] / 1000
            oldest = stored if oldest is None else min(oldest, stored)
    client.unassign()
    return oldest


def _words(error: BaseException) -> str:
    first = error.args[0] if error.args else None
    return str(first.str()) if hasattr(first, "str") else str(error) or type(error).__name__


# --- a machine ---


def machine(name: str, look_at: Mapping[str, Any], seconds: float = 20) -> Answer:
    """What tasks/look.py sees on a machine; `look_at` is cluster.snapshot.asked's."""
    try:
        answer: Answer = json.loads(connect.run(name, command(look_at), seconds))
    except (OSError, ValueError) as error:
        return _complaint(str(error).removeprefix(f"{name}: "))
    return answer


def command(look_at: Mapping[str, Any]) -> str:
    """The command that looks at a machine, with the machine's own Python."""
    return f"python3 -c {shlex.quote(LOOK.read_text())} {shlex.quote(json.dumps(look_at))}"
