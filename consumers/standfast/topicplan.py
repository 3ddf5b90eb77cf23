"""Which topics there should be, and what a cluster's topics lack. No sockets here."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from standfast.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CREATE, PARTITIONS, SETTING, REFUSED = "create", "partitions", "setting", "refused"


@dataclass(frozen=True)
class Topic:
    """A topic as it should be. With `leaders_by_broker` the i-th partition's preferred leader
    is the i-th broker, so that a record to each partition passes through each broker."""

    name: str
    partitions: int
    replication: int
    leaders_by_broker: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Desired:
    """The topics of a file, the brokers' addresses and ids."""

    bootstrap: tuple[str, ...]
    brokers: tuple[int, ...]
    topics: tuple[Topic, ...]


@dataclass(frozen=True)
class Actual:
    """A topic as it is: the replicas of each partition (preferred leader first), and the
    settings that are set on the topic itself."""

    replicas: tuple[tuple[int, ...], ...]
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """One difference; `kind` is create, partitions, setting or refused (cannot be altered)."""

    topic: str
    kind: str
    what: str
    expected: str
    found: str | None
    sentence: str


def parse(text: str) -> Desired:
    """The topics of a file's text. Raises KeyError, TypeError or ValueError where it is none."""
    content = tomllib.loads(text)
    topics = tuple(Topic(**entry) for entry in content["topic"])
    brokers = tuple(int(number) for number in content["brokers"])
    return Desired(tuple(content["bootstrap"]), brokers, topics)


def read(path: Path) -> Desired:
    """The file's topics; UserError names the file and the key that is wrong."""
    try:
        desired = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}") from error
    except KeyError as error:
        raise UserError(str(path), f"{error.args[0]}: missing") from error
    except (ValueError, TypeError) as error:  # TOML's and Unicode's errors are ValueErrors
        raise UserError(str(path), str(error).replace("Topic.__init__()", "topic")) from error
    for topic in desired.topics:
        if topic.partitions < 1:
            raise UserError(str(path), f"{topic.name}.partitions: must be at least 1")
        for name, value in topic.settings.items():
            if not isinstance(value, str):
                place = f"{topic.name}.settings.{name}"
                raise UserError(str(path), f"{place}: should be in quotes, is {value!r}")
        most = len(desired.brokers)
        if not 1 <= topic.replication <= most:
            place = f"{topic.name}.replication"
            sentence = f"must be 1 to {most} (the number of brokers), is {topic.replication}"
            raise UserError(str(path), f"{place}: {sentence}")
    return desired


def differences(desired: Desired, actual: Mapping[str, Actual]) -> list[Change]:
    """What the cluster's topics lack, in the file's order. Pure.

    A setting counts only where it is set on the topic itself: a default of the brokers with the
    same value may change. Settings that the file does not name are left alone.
    """
    changes: list[Change] = []
    for topic in desired.topics:
        found = actual.get(topic.name)
        if found is None:
            sentence = (
                f"topic {topic.name} does not exist: to be created with {topic.partitions} "
                f"partitions, {topic.replication} replicas each"
            )
            expected = f"{topic.partitions} partitions"
            changes.append(Change(topic.name, CREATE, "topic", expected, None, sentence))
            continue
        changes += _replica_differences(topic, desired.brokers, found)
        for name, value in topic.settings.items():
            is_now = found.settings.get(name)
            if is_now is None or normal(is_now) != normal(value):
                now = f"is {is_now}" if is_now is not None else "is not set on the topic"
                sentence = f"topic {topic.name}: {name} should be {value}, {now}"
                changes.append(Change(topic.name, SETTING, name, value, is_now, sentence))
    return changes


def _replica_differences(topic: Topic, brokers: tuple[int, ...], found: Actual) -> list[Change]:
    changes: list[Change] = []

    def differ(kind: str, what: str, expected: object, is_now: object, remark: str) -> None:
        sentence = f"topic {topic.name}: {what} should be {expected}, is {is_now}{remark}"
        changes.append(Change(topic.name, kind, what, str(expected), str(is_now), sentence))

    count = len(found.replicas)
    if count < topic.partitions:
        remark = "" if topic.leaders_by_broker else "; with more of them a key's records may move"
        differ(PARTITIONS, "partitions", topic.partitions, count, remark)
    elif count > topic.partitions:
        remark = ": partitions cannot be taken away; state what it has, or make a new topic"
        differ(REFUSED, "partitions", topic.partitions, count, remark)
    for number, replicas in enumerate(found.replicas):
        where = f"partition {number}"
        if len(replicas) != topic.replication:
            remark = ": needs a reassignment (kafka-reassign-partitions.sh)"
            differ(REFUSED, f"{where} replicas", topic.replication, len(replicas), remark)
        if topic.leaders_by_broker and number < topic.partitions:
            leader = assignment(number, topic.replication, brokers)[0]
            if replicas[:1] != (leader,):
                remark = ": needs a reassignment (kafka-reassign-partitions.sh)"
                is_now = replicas[0] if replicas else "none"
                differ(REFUSED, f"{where} preferred leader", leader, is_now, remark)
    return changes


def assignment(partition: int, replication: int, brokers: tuple[int, ...]) -> list[int]:
    """The replicas of a partition where partition i is led by the i-th broker."""
    first = partition % len(brokers)
    return [*brokers[first:], *brokers[:first]][:replication]


def normal(value: str) -> str:
    """A setting's value so that two spellings of the same one are equal: case of booleans,
    blanks in lists, signs and leading zeros of whole numbers, 0.50 and 0.5."""
    parts = [part.strip() for part in value.split(",")]
    return ",".join(_normal_part(part) for part in parts)


def _normal_part(text: str) -> str:
    if text.lower() in ("true", "false"):
        return text.lower()
    try:
        number = float(text)
    except ValueError:
        return text
    # Whole numbers of up to 64 bits (retention.ms) are not all exact as float.
    bare = text.lstrip("+-")
    return str(int(text)) if bare.isdecimal() else repr(number)
