"""Hold what a sink keeps against the log, record by record, and print both as ranges, in JSON.

Reads each partition from its first record to the high watermark beside the sink's rows, in order;
memory does not grow with either. `standfast.audited` puts several hosts' answers together.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standfast import clients
from standfast.collectconfig import Config, load
from standfast.errors import Failure
from standfast.ranges import Ranges
from standfast.records import record_of
from standfast.sinks import Unavailable
from standfast.topicids import TopicIds
from standfast.topiclog import ANSWER, BATCH, at, partitions

if TYPE_CHECKING:
    import argparse

    from confluent_kafka import Consumer, Message

    from standfast.sinks import Sink

ROWS = """SELECT "offset", sha256 FROM records WHERE topic_id = ? AND partition = ?
    AND "offset" >= ? AND "offset" < ? ORDER BY "offset" """
DEAD = """SELECT "offset" FROM dead_letters WHERE topic_id = ? AND partition = ?
    AND "offset" >= ? AND "offset" < ? ORDER BY "offset" """
OLDER = """SELECT "offset" FROM {} WHERE topic_id = ? AND partition = ? AND "offset" < ?
    ORDER BY "offset" DESC LIMIT 1"""
MARGIN = 60_000  # ms: the log's time is not monotonic across leaders
SILENCE = 30.0  # seconds without a record, after which the log counts as unreadable
ENDLESS = 2**62  # above every offset: a row behind the log's end is one too many


@dataclass
class Part:
    """A partition: the offsets that hold a record (`log`), those that the sink holds as they are
    there (`stored`), with another content (`changed`), and those that only the sink has (`stray`).
    """

    log: Ranges = field(default_factory=Ranges)
    stored: Ranges = field(default_factory=Ranges)
    changed: Ranges = field(default_factory=Ranges)
    stray: Ranges = field(default_factory=Ranges)


def merge(
    log: Iterable[tuple[int, Callable[[], bytes]]], rows: Iterable[tuple[int, bytes]]
) -> Part:
    """Both in ascending order of offsets; a record's content hash is only asked for where the sink
    has a row for it.
    """
    part = Part()
    ahead = iter(rows)
    row = next(ahead, None)
    for offset, digest in log:
        part.log.add_next(offset)
        while row is not None and row[0] < offset:
            part.stray.add_next(row[0])
            row = next(ahead, None)
        if row is not None and row[0] == offset:
            same = bytes(row[1]) == digest()
            (part.stored if same else part.changed).add_next(offset)
            row = next(ahead, None)
    while row is not None:
        part.stray.add_next(row[0])
        row = next(ahead, None)
    return part


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `standfast audit`."""
    parser.add_argument("config", type=Path, metavar="collector.toml")
    parser.add_argument("--topic", help="this one alone")
    since = f"stored in the log since then (Unix ms; {MARGIN // 1000} s more are read)"
    parser.add_argument("--since", type=int, metavar="MS", help=since)
    parser.add_argument("--until", type=int, metavar="MS", help="and until then")


def run(args: argparse.Namespace) -> int:
    """Print one object: who was asked, and a list of partitions."""
    config = load(args.config)
    found = []
    for topic in config.topics:
        if args.topic in (None, topic):
            found += list(audited(config, topic, args.since, args.until))
    json.dump(
        {"consumer": config.name, "host": config.instance, "partitions": found},
        sys.stdout,
        separators=(",", ":"),
    )
    print()
    return 0


@dataclass(frozen=True)
class Topic:
    """What is read of: with its id, whether it is compacted, and whether a time bounds its end."""

    name: str
    id: str
    compacted: bool
    bounded: bool


def audited(
    config: Config, name: str, since: int | None, until: int | None
) -> Iterator[dict[str, Any]]:
    """Each partition of a topic. Raises Failure where the brokers or the sink cannot be asked."""
    from confluent_kafka import KafkaException

    consumer = clients.consumer(
        config.consumer,
        config.bootstrap,
        group_id=config.group,  # to ask for its positions; it never joins, and never commits
        enable_partition_eof="true",
    )
    try:
        topic_id = TopicIds(config.bootstrap, [name]).of(name)
        topic = Topic(name, topic_id, _compacted(config, name), until is not None)
        spans = _spans(consumer, name, since, until)
        # The sink is looked at after the positions: what is below them is stored by then.
        sink = config.open_sink(create=False)
        try:
            for number, span in spans.items():
                yield _partition(consumer, sink, topic, number, span)
        finally:
            sink.close()
    except KafkaException as error:
        raise Failure("kafka", f"{name} cannot be read: {error.args[0].str()}") from error
    except Unavailable as error:
        raise Failure("sink", str(error)) from error
    finally:
        consumer.close()


def _compacted(config: Config, topic: str) -> bool:
    from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]

    asked = [ConfigResource(ConfigResource.Type.TOPIC, topic)]
    admin = clients.admin(config.bootstrap)  # it lives as long as its answer is waited for
    answers = admin.describe_configs(asked, request_timeout=ANSWER)
    found = next(iter(answers.values())).result()
    return "compact" in str(found["cleanup.policy"].value)


@dataclass(frozen=True)
class Span:
    """Offsets: from `start` up to before `end`, of which the group has stored those before
    `committed`; the log itself begins at `first`.
    """

    first: int
    start: int
    end: int
    committed: int


def _spans(consumer: Consumer, topic: str, since: int | None, until: int | None) -> dict[int, Span]:
    from confluent_kafka import TopicPartition

    numbers = partitions(consumer, topic)
    places = [TopicPartition(topic, number) for number in numbers]
    committed = {p.partition: p.offset for p in consumer.committed(places, timeout=ANSWER)}
    marks = {p.partition: consumer.get_watermark_offsets(p, timeout=ANSWER) for p in places}
    low, high = ({n: mark[side] for n, mark in marks.items()} for side in (0, 1))
    starts = low if since is None else at(consumer, topic, high, since - MARGIN)
    ends = high if until is None else at(consumer, topic, high, until + MARGIN)
    return {n: Span(low[n], starts[n], ends[n], max(0, committed[n])) for n in numbers}


def _partition(
    consumer: Consumer, sink: Sink, topic: Topic, number: int, span: Span
) -> dict[str, Any]:
    from confluent_kafka import TopicPartition

    bounds = (topic.id, number, span.start, span.end if topic.bounded else ENDLESS)
    reading = Reading(consumer, topic, number, span)
    part = merge(reading.records(), sink.rows(ROWS, bounds))
    dead = Ranges.of_sorted(offset for (offset,) in sink.rows(DEAD, bounds))
    # Compaction took what it took; and what is asked for may begin later than the log.
    whole = not topic.compacted and span.start <= span.first
    older = highest(sink, topic.id, number, span.first) if whole else None
    # What retention deleted and what came meanwhile, and what compaction took, is rightly in the
    # sink alone.
    low, high = consumer.get_watermark_offsets(TopicPartition(topic.name, number), timeout=ANSWER)
    rightly = Ranges((a, b - 1) for a, b in ((0, low), (span.end, high)) if a < b)
    stray = Ranges() if topic.compacted else part.stray - rightly
    return {
        "topic_id": topic.id,
        "topic": topic.name,
        "partition": number,
        "first": span.first,
        "highest": older,
        "start": span.start,
        "end": span.end,
        "committed": span.committed,
        "log": part.log.pairs(),
        "stored": part.stored.pairs(),
        "changed": part.changed.pairs(),
        "stray": stray.pairs(),
        "dead": dead.pairs(),
        "complaint": reading.complaint,
    }


def highest(sink: Sink, topic_id: str, number: int, first: int) -> int | None:
    """The highest offset below `first` that the sink holds, as a record or a dead letter."""
    place = (topic_id, number, first)
    tables = ("records", "dead_letters")
    found = (row[0] for table in tables for row in sink.rows(OLDER.format(table), place))
    return max(found, default=None)


class Reading:
    """One partition's records, read in order; why not to its end, in `complaint`."""

    def __init__(self, consumer: Consumer, topic: Topic, number: int, span: Span) -> None:
        self._consumer, self._topic, self._number, self._span = consumer, topic, number, span
        self.complaint = ""

    def records(self) -> Iterator[tuple[int, Callable[[], bytes]]]:
        """Offset, and what gives the content's hash, of each record of the span."""
        from confluent_kafka import TopicPartition

        if self._span.start >= self._span.end:
            return
        self._consumer.assign([TopicPartition(self._topic.name, self._number, self._span.start)])
        heard = time.monotonic()
        while True:
            for message in self._consumer.consume(BATCH, 1.0):
                heard = time.monotonic()
                error, offset = message.error(), message.offset()
                if error is not None and error.name() != "_PARTITION_EOF":
                    self.complaint = f"offset {offset}: {error.str()}"
                    return
                if offset is None or offset >= self._span.end:
                    return
                if error is None:
                    yield offset, lambda m=message: self._digest(m)  # type: ignore[misc]
                if error is not None or offset + 1 >= self._span.end:
                    return
            if time.monotonic() - heard > SILENCE:
                self.complaint = f"nothing was heard of it for {SILENCE:.0f} s"
                return

    def _digest(self, message: Message) -> bytes:
        return record_of(message, self._topic.id).sha256
