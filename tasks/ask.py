"""Asks a cluster everything at once: its hosts over SSH, its servers over their own protocols.

Each question ends in time, whatever is dead, and its answer is plain JSON (cluster.snapshot says of
which shape): what was seen, or {"complaint": why it could not be}.
"""

from __future__ import annotations

import json
import logging
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import connect
from cluster.model import Cluster, Consumer
from cluster.observed import BARE
from cluster.render import FileSet
from cluster.snapshot import NONSENSE, Answer, asked

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
    seconds: float = 20.0,
) -> dict[str, Any]:
    """The answers of the whole cluster, or of some `parts` of it, within `seconds`. `sets` are the
    rendered ones of each machine that is to be looked at.

    What the servers know together is asked of those that answer: a client that is given a dead
    one's address may wait for it.
    """
    until = time.monotonic() + seconds
    quick = min(until, time.monotonic() + PATIENCE)
    pending: dict[tuple[str, str], Future[Answer]] = {}
    parts = tuple(parts)

    def begin(part: str, name: str, question: Callable[[], Answer]) -> None:
        pending[part, name] = _begun(question)

    if "machines" in parts:
        for name, mine in sets.items():
            look_at = asked(cluster.machines[name], mine, disks=disks)
            begin("machines", name, lambda n=name, a=look_at: machine(n, a, seconds))
    if {"voters", "registry"} & set(parts):
        for name, v in cluster.voters.items():
            address = f"{v.address}:{cluster.ports.zookeeper}"
            begin("voters", name, lambda a=address: voter(a))
    if {"brokers", "topics", "groups", "overrides"} & set(parts):
        for name, h in cluster.hosts.items():
            address = f"{h.address}:{cluster.ports.kafka}"
            begin("brokers", name, lambda a=address: broker(a))
    voters = {n: pending[part, n] for part, n in pending if part == "voters"}
    brokers = {n: pending[part, n] for part, n in pending if part == "brokers"}

    def of_zookeeper() -> Answer:
        serving = _first(voters, lambda a: "zk_server_state" in a.get("mntr", ""), quick)
        if not serving:
            return _complaint("no ZooKeeper serves: there is no quorum, or none is in reach")
        machines = [cluster.voters[name] for name in serving]
        return registry([f"{m.address}:{cluster.ports.zookeeper}" for m in machines], quick)

    def of_kafka(ask: Callable[[list[str], float], Answer]) -> Answer:
        answering = _first(brokers, lambda a: "brokers" in a, quick)
        if not answering:
            return _complaint("no broker answers")
        hosts = [cluster.hosts[name] for name in answering]
        return ask([f"{h.address}:{cluster.ports.kafka}" for h in hosts], quick)

    def of_broker(name: str, number: int) -> Answer:
        answer = brokers[name].result()
        return answer if "complaint" in answer else of_kafka(lambda b, u: overrides(number, b, u))

    if "registry" in parts:
        begin("registry", "", of_zookeeper)
    if "topics" in parts:
        begin("topics", "", lambda: of_kafka(topics))
    if "groups" in parts:
        consumers = list(cluster.consumers.values())
        begin("groups", "", lambda: of_kafka(lambda b, u: groups(consumers, b, u)))
    if "overrides" in parts:
        for name, h in cluster.hosts.items():
            begin("overrides", name, lambda n=name, i=h.broker_id: of_broker(n, i))
    found: dict[str, Any] = {"at": time.time()}
    for (part, name), future in pending.items():
        if part not in parts:
            continue
        try:
            answer = future.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            answer = _complaint(f"no answer within {seconds:g} s")
        if part == "groups" and "complaint" in answer:
            found |= {"groups": dict.fromkeys(cluster.consumers, answer), "ends": answer}
        elif part == "groups":
            found |= answer
        elif name:
            found.setdefault(part, {})[name] = answer
        else:
            found[part] = answer
    return found


def _begun(question: Callable[[], Answer]) -> Future[Answer]:
    """Ask in a thread that nobody has to wait for: the program may end before it does."""
    future: Future[Answer] = Future()

    def ask() -> None:
        try:
            future.set_result(question())
        except Exception as error:  # noqa: BLE001, as an executor does: for whoever asks
            future.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    return future


GRACE = 0.1  # seconds for the others to answer too, once the first did


def _first(
    pending: Mapping[str, Future[Answer]], good: Callable[[Answer], bool], until: float
) -> list[str]:
    """Who answered well, soon after the first that did. None by `until`: nobody."""
    left = set(pending.values())
    while left and (seconds := until - time.monotonic()) > 0:
        done, left = wait(left, seconds, FIRST_COMPLETED)
        if any(good(future.result()) for future in done):
            wait(left, GRACE)
            break
    return [name for name, f in pending.items() if f.done() and good(f.result())]


def _left(until: float | None) -> float:
    """The seconds that a question of Kafka's may still take."""
    return PATIENCE if until is None else max(0.05, until - time.monotonic())


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


def registry(addresses: list[str] | None = None, until: float | None = None) -> Answer:
    """What ZooKeeper holds of Kafka; only the voters at `addresses` are asked."""
    try:
        return {"nodes": connect.registry(_left(until), addresses)}
    except OSError as error:
        return _complaint(error)


# --- Kafka ---


def broker(address: str) -> Answer:
    """The brokers that one broker knows."""
    try:
        return {"brokers": {str(n): at for n, at in connect.broker_answer(address).items()}}
    except OSError as error:
        return _complaint(f"{address} does not answer ({error})")


def topics(bootstrap: list[str] | None = None, until: float | None = None) -> Answer:
    """Every topic with its partitions and settings; "unset" is why these could not be read. A
    broker reads them from ZooKeeper: without a quorum there are none.
    """
    from confluent_kafka import KafkaException

    admin = connect.admin(bootstrap)
    try:
        found = admin.list_topics(timeout=_left(until)).topics
    except KafkaException as error:
        return _complaint(f"no broker says ({_words(error)})")
    try:
        settings, unset = _topic_settings(admin, list(found), _left(until)), ""
    except (KafkaException, TimeoutError) as error:
        settings, unset = {}, f"no broker says ({_words(error)})"
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
        answers = admin.describe_configs([resource], request_timeout=_left(until))
        entries = answers[resource].result(_left(until) + 1).values()
    except (KafkaException, TimeoutError) as error:
        return _complaint(f"broker {broker_id} does not say ({_words(error)})")
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
        found = admin.list_topics(timeout=_left(until)).topics
        places = [
            TopicPartition(name, p) for name in names if name in found
            for p in found[name].partitions
        ]  # fmt: skip
        latest = {place: OffsetSpec.latest() for place in places}
        # The groups' positions come after it: half of the time is theirs.
        seconds = _left(until) / 2
        answers = admin.list_offsets(latest, request_timeout=seconds) if latest else {}
        ends: dict[str, dict[str, int]] = {name: {} for name in names}
        for place, future in answers.items():
            try:
                ends[place.topic][str(place.partition)] = future.result(seconds + 1).offset
            except KafkaException:  # this partition has no leader: the topics' look says so
                continue
    except (KafkaException, TimeoutError) as error:
        return _complaint(f"no broker says ({_words(error)})")
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
        answers = client.committed(places, timeout=_left(until)) if places else []
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
        return {"committed": committed, "waiting": _oldest(client, behind, until)}
    except KafkaException as error:
        return _complaint(f"its coordinator does not say ({_words(error)})")
    finally:
        client.close()


def _oldest(client: Any, behind: list[Any], until: float | None) -> float | None:
    """When (Unix seconds) the oldest record at these positions was stored; None where none is, and
    where none could be read.
    """
    if not behind:
        return None
    client.assign(behind)
    left = {(place.topic, place.partition) for place in behind}
    oldest: float | None = None
    end = time.monotonic() + min(1.0, _left(until))
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
        return read(connect.run(name, command(look_at), seconds))
    except OSError as error:
        if "python3: command not found" in str(error):
            return _complaint(BARE)
        return _complaint(str(error).removeprefix(f"{name}: "))


def read(printed: str) -> Answer:
    """What tasks/look.py printed."""
    try:
        answer: Answer = json.loads(printed)
    except ValueError as error:
        return _complaint(f"{NONSENSE} ({error})")
    return answer


def command(look_at: Mapping[str, Any]) -> str:
    """The command that looks at a machine, with the machine's own Python."""
    return f"python3 -c {shlex.quote(LOOK.read_text())} {shlex.quote(json.dumps(look_at))}"
