"""When one broker may take writes alone, and until when: one pure decision. No sockets, no clock.

While exactly one broker lives, nothing can be written: every topic wants two copies. The guardian
on its host then lets it write alone (min.insync.replicas=1), each record flushed before it is
acknowledged (flush.messages=1), and puts back what it found once two copies are there again.

It looks at what is, again and again (level, not edge): whoever hung, was restarted or was mistaken
is put right by the next look.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

# How long the quorum must have shown a single broker, in seconds. A survivor's own session may end
# with the ZooKeeper server that it was connected to; it is back within this time.
BELIEF = 1.2

ALONE = {"min.insync.replicas": "1", "flush.messages": "1"}
MIN_ISR = "min.insync.replicas"

Settings = Mapping[str, str]


@dataclass(frozen=True)
class Topic:
    """A topic: what is set on itself; of each partition, the in-sync set (broker ids) and how many
    replicas it has.
    """

    own: Settings
    isr: Sequence[tuple[int, ...]]
    replicas: Sequence[int]


@dataclass(frozen=True)
class Record:
    """What a guardian found before it lowered anything: who stands alone (broker id), since when
    (Unix seconds), and what was set on each topic itself (None: the setting was not).
    """

    survivor: int
    since: float
    topics: Mapping[str, Mapping[str, str | None]]

    def dump(self) -> bytes:
        """As it lies in ZooKeeper."""
        content = {"survivor": self.survivor, "since": self.since, "topics": self.topics}
        return json.dumps(content, sort_keys=True).encode()

    @classmethod
    def load(cls, data: bytes) -> Record:
        """The opposite of dump; ValueError where it is none."""
        try:
            content = json.loads(data)
            topics = {str(t): dict(own) for t, own in content["topics"].items()}
            return cls(int(content["survivor"]), float(content["since"]), topics)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a guardian's record ({error!r})") from error


@dataclass(frozen=True)
class Sight:
    """One look, after a sync(): the `registered` brokers' ids, the others that are `answering` when
    they are asked directly (of interest while one is registered alone), the record of a last stand
    and all topics (of interest while there is a record, or one is believed to be alone).
    """

    registered: frozenset[int]
    answering: frozenset[int] = frozenset()
    record: Record | None = None
    topics: Mapping[str, Topic] = field(default_factory=dict)


@dataclass(frozen=True)
class Action:
    """What to do, and why in a sentence. `topics` are the settings to set (None: to take away) on
    each topic itself. `record` is what must lie in ZooKeeper before the first of them (lower), None
    where it has to go after the last (restore). `offline` partitions wait for another host.
    """

    do: Literal["nothing", "lower", "hold", "restore"]
    why: str
    topics: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    record: Record | None = None
    offline: tuple[str, ...] = ()


def alone(me: int, seen: Sight) -> bool:
    """Whether this look shows broker `me` alone: registered, no other is, and none answers."""
    return seen.registered == {me} and not seen.answering


def believed(me: int, seen: Sight, seconds: float) -> bool:
    """Whether broker `me` is alone for long enough; `seconds` as in decide."""
    return alone(me, seen) and seconds >= BELIEF


def decide(me: int, default: int, seen: Sight, seconds: float, at: float) -> Action:
    """What the guardian of broker `me` does now.

    `default` is the brokers' own min.insync.replicas. `seconds` is for how long every look has
    shown `me` alone, 0 after a look that did not, or that could not be; `at` is now, Unix seconds.
    """
    if believed(me, seen, seconds):
        return _lower(me, default, seen, at)
    if seen.record is not None:
        return _restore(default, seen, seen.record)
    if seen.registered == {me} and seen.answering:
        others = ", ".join(map(str, sorted(seen.answering)))
        return Action("nothing", f"broker {me} is registered alone, but {others} answers: no doubt")
    if alone(me, seen):
        return Action("nothing", f"broker {me} is alone for {seconds:.1f} s")
    count = len(seen.registered)
    return Action("nothing", f"{count} {'broker is' if count == 1 else 'brokers are'} registered")


def _lower(me: int, default: int, seen: Sight, at: float) -> Action:
    """Every topic that wants more copies than there are; one made meanwhile as well."""
    offline = tuple(
        f"{name}-{number} (in sync: {_numbers(isr)})"
        for name, topic in sorted(seen.topics.items())
        for number, isr in enumerate(topic.isr)
        if me not in isr
    )
    saved = dict(seen.record.topics) if seen.record else {}
    for name, topic in seen.topics.items():
        if name not in saved and _min_isr(topic.own, default) > 1:
            saved[name] = {key: topic.own.get(key) for key in ALONE}
    if not saved:
        return Action("nothing", f"broker {me} is alone, and no topic wants more than one copy")
    record = Record(me, seen.record.since if seen.record else at, saved)
    changes = {
        name: dict(ALONE)
        for name in saved
        if name in seen.topics and not ALONE.items() <= seen.topics[name].own.items()
    }
    if changes:
        why = f"broker {me} is the only one that lives: it takes writes alone"
        return Action("lower", why, changes, record, offline)
    return Action("hold", f"broker {me} takes writes alone", {}, record, offline)


def _restore(default: int, seen: Sight, record: Record) -> Action:
    """All or nothing: the durability of one topic is no use to who reads two."""
    waiting = []
    for name, saved in sorted(record.topics.items()):
        least = int(saved[MIN_ISR] or default) if saved.get(MIN_ISR) else default
        if name not in seen.topics:
            continue
        topic = seen.topics[name]
        for number, (isr, replicas) in enumerate(zip(topic.isr, topic.replicas, strict=True)):
            # A partition never has more copies in sync than it has replicas.
            if len(seen.registered.intersection(isr)) < min(least, replicas):
                waiting.append(f"{name}-{number} (in sync: {_numbers(isr)})")
    if waiting:
        why = f"min ISR stays 1 until {len(waiting)} more partitions have their copies in sync"
        return Action("hold", why, {}, record, tuple(waiting))
    changes: dict[str, Mapping[str, str | None]] = {}
    for name, saved in record.topics.items():
        if name in seen.topics:
            # What somebody has set meanwhile is theirs.
            mine = {k: v for k, v in saved.items() if seen.topics[name].own.get(k) == ALONE[k]}
            changes[name] = {k: v for k, v in mine.items() if v != ALONE[k]}
    why = "every partition has its copies in sync again: min ISR is what it was"
    return Action("restore", why, {name: c for name, c in changes.items() if c})


def changed(own: Settings, change: Mapping[str, str | None]) -> dict[str, str]:
    """A topic's own settings after a change."""
    return {k: v for k, v in {**own, **change}.items() if v is not None}


def _min_isr(own: Settings, default: int) -> int:
    value = own.get(MIN_ISR, "")
    return int(value) if value.isdigit() else default


def _numbers(ids: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(ids))) or "none"
