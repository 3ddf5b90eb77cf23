"""Check a cluster's topics against a file, or create and alter them.

--check prints the differences as a JSON list, and ends with 0 (none) or 2 (some); --apply makes
them good, prints what it did, and waits until every partition has its leader and all its
replicas in sync. What cannot be done in place (fewer partitions, another replication factor,
other leaders) is refused: then nothing at all is changed, and the exit code is 1.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has no __all__
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
)

from standfast import clients
from standfast.errors import Failure
from standfast.topicplan import (
    CREATE,
    PARTITIONS,
    REFUSED,
    SETTING,
    Actual,
    Change,
    Desired,
    assignment,
    differences,
    read,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from confluent_kafka.admin import AdminClient

PAUSE = 0.2  # seconds between two looks
# Seconds for one request. librdkafka goes on waiting for a controller that died; a new request,
# after a new look, goes to the new one.
PATIENCE = 5.0
CONTACT = 5.0  # seconds until one of the brokers answers, two of three being dead


# What passes by itself while a new controller is found, beside what librdkafka calls retriable.
PASSING = {
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_CONTROLLER,
    KafkaError.TOPIC_ALREADY_EXISTS,
}


class Unavailable(Failure):
    """The cluster could not do it just now."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="topics.toml")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--check", action="store_true", help="print the differences as JSON")
    group.add_argument("--apply", action="store_true", help="make the differences good")
    parser.add_argument("--deadline", type=float, default=60.0, metavar="SECONDS")


def run(args: argparse.Namespace) -> int:
    """0: as desired; 2: differences (--check); 1: refused, or the cluster did not answer."""
    desired = read(args.config)
    admin = clients.admin(desired.bootstrap)
    end = time.monotonic() + args.deadline
    changes = differences(desired, look(admin, desired))
    if args.check:
        _print(changes)
    for change in changes:
        print(f"standfast: {change.sentence}", file=sys.stderr)
    refused = [change for change in changes if change.kind == REFUSED]
    if refused:
        raise Failure("topics", f"{len(refused)} of these cannot be altered; nothing was changed")
    if args.check:
        return 2 if changes else 0
    if changes:
        converge(admin, desired, changes, end)
        settle(admin, desired, changes, end)
    _print(changes)
    return 0


def look(admin: AdminClient, desired: Desired) -> dict[str, Actual]:
    """The desired topics that exist, as the cluster describes them."""
    metadata = _cluster(admin, desired)
    present = [topic.name for topic in desired.topics if topic.name in metadata.topics]
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in present]
    # DescribeConfigs refuses an empty list.
    answers = admin.describe_configs(resources, request_timeout=PATIENCE) if resources else {}
    own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    actual: dict[str, Actual] = {}
    for resource, future in answers.items():
        entries = _result(future, f"topic {resource.name}", "its settings cannot be read")
        partitions = metadata.topics[resource.name].partitions
        actual[resource.name] = Actual(
            replicas=tuple(tuple(partitions[i].replicas) for i in sorted(partitions)),
            settings={e.name: str(e.value) for e in entries.values() if int(e.source) == own},
        )
    return actual


def apply(admin: AdminClient, desired: Desired, changes: Iterable[Change]) -> None:
    """Ask the cluster for the changes; Failure names the first that it declines."""
    topics = {topic.name: topic for topic in desired.topics}
    created, grown = [], []
    settings: dict[str, list[ConfigEntry]] = {}
    for change in changes:
        topic = topics[change.topic]
        have = int(change.found or 0) if change.kind == PARTITIONS else 0
        options: dict[str, Any] = {}
        if topic.leaders_by_broker:
            options["replica_assignment"] = [
                assignment(number, topic.replication, desired.brokers)
                for number in range(have, topic.partitions)
            ]
        if change.kind == CREATE:
            if not topic.leaders_by_broker:
                options["replication_factor"] = topic.replication
            settings_now = dict(topic.settings)
            created.append(NewTopic(topic.name, topic.partitions, config=settings_now, **options))
        elif change.kind == PARTITIONS:
            grown.append(NewPartitions(topic.name, topic.partitions, **options))
        elif change.kind == SETTING:
            entry = ConfigEntry(
                change.what, change.expected, incremental_operation=AlterConfigOpType.SET
            )
            settings.setdefault(topic.name, []).append(entry)
    if created:
        for name, future in admin.create_topics(created, request_timeout=PATIENCE).items():
            _result(future, f"topic {name}", "cannot be created")
    if grown:
        for name, future in admin.create_partitions(grown, request_timeout=PATIENCE).items():
            _result(future, f"topic {name}", "partitions cannot be added")
    altered = [
        ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        for name, entries in settings.items()
    ]
    if altered:
        answers = admin.incremental_alter_configs(altered, request_timeout=PATIENCE)
        for resource, future in answers.items():
            _result(future, f"topic {resource.name}", "settings cannot be altered")


def converge(admin: AdminClient, desired: Desired, changes: list[Change], end: float) -> None:
    """Apply the changes; where the cluster is between two controllers, again until `end`."""
    while True:
        try:
            apply(admin, desired, changes)
            return
        except Unavailable:
            if time.monotonic() > end:
                raise
        time.sleep(PAUSE)
        # What seemed to fail may have been done.
        changes = differences(desired, look(admin, desired))


def settle(admin: AdminClient, desired: Desired, changes: list[Change], end: float) -> None:
    """Wait until the changes are visible and the topics whole; Failure at `end` (monotonic)."""
    began = time.monotonic()
    names = {change.topic for change in changes}
    while True:
        lacks = [change.sentence for change in differences(desired, look(admin, desired))]
        for name, topic in _cluster(admin, desired).topics.items():
            if name in names:
                lacks += unsettled(name, topic.partitions)
        if not lacks:
            return
        if time.monotonic() + PAUSE > end:
            waited = time.monotonic() - began
            raise Failure(
                "topics",
                f"waited {waited:.0f} s for a leader and all replicas in sync, last seen: "
                f"{lacks[0]}; look at: journalctl -u kafka.service on the brokers that lack",
            )
        time.sleep(PAUSE)


def unsettled(name: str, partitions: Mapping[int, Any]) -> list[str]:
    """Which partitions have no leader, or a replica that is not in sync."""
    lacks = []
    for number, partition in sorted(partitions.items()):
        behind = sorted(set(partition.replicas) - set(partition.isrs))
        if partition.leader < 0:
            lacks.append(f"topic {name} partition {number} has no leader")
        elif behind:
            lacks.append(f"topic {name} partition {number}: not in sync on brokers {behind}")
    return lacks


def _cluster(admin: AdminClient, desired: Desired) -> Any:
    try:
        return admin.list_topics(timeout=CONTACT)
    except KafkaException as error:
        at = ", ".join(desired.bootstrap)
        raise Failure(
            "kafka", f"none of {at} answers within {CONTACT:g} s ({error.args[0].str()})"
        ) from error


def _result(future: Any, place: str, what: str) -> Any:
    try:
        return future.result()
    except KafkaException as error:
        cause = error.args[0]
        kind = Unavailable if cause.retriable() or cause.code() in PASSING else Failure
        raise kind(place, f"{what}: {cause.str()}") from error


def _print(changes: list[Change]) -> None:
    print(json.dumps([asdict(change) for change in changes], indent=1))
