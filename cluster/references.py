"""Topics, sinks and consumers: their names, and that what they refer to is there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from cluster import shapes
from cluster.draft import Draft
from cluster.problems import did_you_mean

TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
UNIT_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
# What a consumer's folder already holds, or will.
RENDERED = ("consumer.properties", "producer.properties", "collector.toml", "pgpass")


def check_references(d: Draft, root: Path) -> None:
    """Add to the draft's problems; `root` is where the repository lies."""
    _topics(d)
    _sinks(d)
    for name, consumer in d.consumers.items():
        path = f"consumers.{name}"
        if not UNIT_NAME.fullmatch(name):
            d.problem(
                path,
                "must be at most 31 lower-case letters, digits and hyphens, and begin with a"
                " letter: it names a unit of systemd and a group of Kafka",
            )
        elif name in shapes.RESERVED:
            d.problem(path, f"{name} is a name of Standfast's own; take another")
        if consumer is None:
            continue
        _read_topics(d, consumer.topics, path)
        if isinstance(consumer, shapes.Collector):
            _collector(d, consumer, path)
        else:
            _script(d, consumer, path, name, root)


def _topics(d: Draft) -> None:
    flat: dict[str, str] = {}
    for name, topic in d.topics.items():
        path = f"topics.{name}"
        if not TOPIC_NAME.fullmatch(name) or name in (".", ".."):
            d.problem(path, "must be at most 249 letters, digits, dots, hyphens and underscores")
        elif name.startswith(("__", "standfast.")):
            d.problem(
                path, "topics that begin with __ or standfast. are Kafka's and Standfast's own"
            )
        same = flat.setdefault(name.replace(".", "_"), name)
        if same != name:
            d.problem(
                path, f"Kafka cannot tell it from {same}: a dot and an underscore are one to it"
            )
        if topic is not None and topic.replication > len(d.hosts) >= 3:
            d.problem(
                f"{path}.replication",
                f"must be at most {len(d.hosts)}, the number of hosts, is {topic.replication}",
            )


def _sinks(d: Draft) -> None:
    databases = {entry.address for entry in d.databases.values() if entry is not None}
    for name, sink in d.sinks.items():
        if not UNIT_NAME.fullmatch(name):
            d.problem(f"sinks.{name}", "must be at most 31 lower-case letters, digits and hyphens")
        if not isinstance(sink, shapes.PostgresqlSink):
            continue
        path = f"sinks.{name}.host"
        if d.lab is not None:
            if sink.host not in databases:
                d.problem(
                    path, f"must be the address of one of the lab's databases, is {sink.host}"
                )
        elif sink.host == "localhost" or _is_loopback(sink.host):
            d.problem(path, f"must be an address that every host reaches, is {sink.host}")


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def _read_topics(d: Draft, topics: Iterable[str], path: str) -> None:
    seen: set[str] = set()
    for index, topic in enumerate(topics):
        if topic not in d.topics:
            d.problem(f"{path}.topics[{index}]", _no_such(topic, "topics", d.topics))
        elif topic in seen:
            d.problem(f"{path}.topics[{index}]", f"{topic} is named twice")
        seen.add(topic)


def _no_such(name: str, section: str, known: Iterable[str]) -> str:
    known = list(known)
    there = ", ".join(known) or "none"
    return f"{name} is not one of `{section}`{did_you_mean(name, known) or f' ({there})'}"


def _collector(d: Draft, consumer: shapes.Collector, path: str) -> None:
    if consumer.sink not in d.sinks:
        d.problem(f"{path}.sink", _no_such(consumer.sink, "sinks", d.sinks))
    letter = consumer.dead_letter
    if letter not in d.topics:
        d.problem(f"{path}.dead_letter", _no_such(letter, "topics", d.topics))
    elif letter in consumer.topics:
        d.problem(
            f"{path}.dead_letter",
            f"{letter} is one of its own topics: a refused record would come back for ever",
        )


def _script(d: Draft, script: shapes.Script, path: str, name: str, root: Path) -> None:
    taken = {**dict.fromkeys(RENDERED, "Standfast"), f"consumer-{name}.service": "Standfast"}
    for index, file in enumerate(script.files):
        place = f"{path}.files[{index}]"
        if not (root / file).is_file():
            d.problem(place, f"no such file in the repository: {file}")
        own = PurePosixPath(file).name
        if own in taken:
            d.problem(
                place, f"the name {own} is taken by {taken[own]}: all files lie in one folder"
            )
        taken[own] = file
    if script.requirements is not None:
        _requirements(d, f"{path}.requirements", script.requirements, root)


def _requirements(d: Draft, place: str, file: str, root: Path) -> None:
    try:
        text = (root / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        d.problem(place, f"no such file in the repository, or not text: {file}")
        return
    joined = re.sub(r"\\\n", " ", text)
    for number, line in enumerate(joined.splitlines(), start=1):
        wanted = line.partition(" #")[0].strip()
        if wanted and not wanted.startswith(("#", "--")) and "--hash=sha256:" not in wanted:
            package = re.split(r"[\s;=<>~!\[]", wanted, maxsplit=1)[0]
            d.problem(
                place,
                f"{file}: {package} (entry on line {number}) has no --hash=sha256:…;"
                " make the file with pip-compile --generate-hashes",
            )
