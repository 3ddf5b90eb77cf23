"""Bring records from the log into a sink: those of the offsets that are named, as JSON.

    standfast refill collector.toml --offsets '{"trades": {"0": [[17, 17], [2000, 2999]]}}'

Each batch is one transaction, and what the sink holds already is left out: run again, it goes on.
Prints {"stored", "seen", "gone": offsets that the log has no more, "unfit": that no sink takes}.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standfast import clients
from standfast.audit import SILENCE
from standfast.collectconfig import Config, load
from standfast.errors import Failure, UserError
from standfast.ranges import Ranges
from standfast.records import Record, record_of, unfit
from standfast.sinks import Refused, Sink, Unavailable
from standfast.topicids import TopicIds
from standfast.topiclog import ANSWER

if TYPE_CHECKING:
    import argparse

    from confluent_kafka import Consumer

BATCH = 5000  # records in one transaction
NEAR = 2000  # offsets between two ranges that are read through rather than jumped over
TRIES, PAUSE = 10, 1.0  # at a sink that is away: how often, seconds between

Wanted = Mapping[str, Mapping[int, Ranges]]  # by topic, by partition


@dataclass
class Done:
    """Counts of records; `gone` and `unfit` by partition ("trades/0")."""

    stored: int = 0
    seen: int = 0
    gone: dict[str, Ranges] = field(default_factory=dict)
    unfit: dict[str, Ranges] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `standfast refill`."""
    parser.add_argument("config", type=Path, metavar="collector.toml")
    offsets = "by topic and partition, [first, last] each"
    parser.add_argument("--offsets", required=True, metavar="JSON", help=offsets)
    rate = "records a second at most (default: as fast as it goes)"
    parser.add_argument("--rate", type=float, default=0.0, help=rate)


def run(args: argparse.Namespace) -> int:
    """Refill, and say what became of it."""
    config = load(args.config)
    wanted = read(args.offsets, config)
    done = refill(config, wanted, args.rate)
    told = {name: {at: r.pairs() for at, r in getattr(done, name).items()}
            for name in ("gone", "unfit")}  # fmt: skip
    print(json.dumps({"stored": done.stored, "seen": done.seen, **told}))
    return 0


def read(text: str, config: Config) -> Wanted:
    """The offsets that are asked for. Raises UserError."""
    try:
        content = json.loads(text)
        found = {
            str(topic): {
                int(number): Ranges((int(first), int(last)) for first, last in pairs)
                for number, pairs in partitions.items()
            }
            for topic, partitions in content.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError("--offsets", f"is no list of offsets: {error}") from error
    if unknown := set(found) - set(config.topics):
        topics = ", ".join(config.topics)
        raise UserError(min(unknown), f"{config.name} does not read it; it reads {topics}")
    return found


def refill(config: Config, wanted: Wanted, rate: float = 0.0) -> Done:
    """Bring them. Raises Failure where the brokers or the sink do not answer."""
    from confluent_kafka import KafkaException

    consumer = clients.consumer(
        config.consumer, config.bootstrap, group_id=config.group, enable_partition_eof="true"
    )
    sink, done, began, read_so_far = config.open_sink(), Done(), time.monotonic(), 0
    try:
        for topic, partitions in wanted.items():
            topic_id = TopicIds(config.bootstrap, [topic]).of(topic)
            for number, offsets in partitions.items():
                place = f"{topic}/{number}"
                there = Ranges()
                for batch in _batches(consumer, topic, topic_id, number, offsets):
                    there |= Ranges.of(record.offset for record in batch)
                    _store(config, sink, batch, place, done)
                    read_so_far += len(batch)
                    if rate:  # the throttle: no faster than asked for
                        time.sleep(max(0.0, began + read_so_far / rate - time.monotonic()))
                if gone := offsets - there:
                    done.gone[place] = gone
    except KafkaException as error:
        raise Failure("kafka", f"the log cannot be read: {error.args[0].str()}") from error
    finally:
        consumer.close()
        sink.close()
    return done


def _store(config: Config, sink: Sink, batch: list[Record], place: str, done: Done) -> None:
    good = []
    for record in batch:
        if unfit(record, config.max_record_bytes, config.format) is None:
            good.append(record)
        else:
            done.unfit[place] = done.unfit.get(place, Ranges()) | Ranges.of([record.offset])
    for attempt in range(TRIES):
        try:
            written = sink.write(good)
        except Refused:
            if len(good) == 1:
                done.unfit[place] = done.unfit.get(place, Ranges()) | Ranges.of([good[0].offset])
                return
            half = len(good) // 2
            _store(config, sink, good[:half], place, done)
            _store(config, sink, good[half:], place, done)
            return
        except Unavailable as error:
            if attempt == TRIES - 1:
                raise Failure("sink", f"{error}; run it again, it goes on") from error
            time.sleep(PAUSE)  # between two attempts, no more than TRIES of them
        else:
            done.stored += written.new
            done.seen += written.seen
            return


def _batches(
    consumer: Consumer, topic: str, topic_id: str, number: int, offsets: Ranges
) -> Iterator[list[Record]]:
    """The records that are asked for, in order; those that the log does not have are left out."""
    batch: list[Record] = []
    for stretch in stretches(offsets):
        for record in _records(consumer, topic, topic_id, number, stretch):
            if record.offset in offsets:
                batch.append(record)
            if len(batch) >= BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def stretches(offsets: Ranges) -> list[tuple[int, int]]:
    """(first, last) of what is read in one go: ranges that lie near each other are joined. Pure."""
    found: list[tuple[int, int]] = []
    for first, last in offsets:
        if found and first - found[-1][1] <= NEAR:
            found[-1] = found[-1][0], last
        else:
            found.append((first, last))
    return found


def _records(
    consumer: Consumer, topic: str, topic_id: str, number: int, stretch: tuple[int, int]
) -> Iterator[Record]:
    from confluent_kafka import TopicPartition

    place = TopicPartition(topic, number)
    low, high = consumer.get_watermark_offsets(place, timeout=ANSWER)
    first, last = max(stretch[0], low), min(stretch[1], high - 1)
    if first > last:
        return
    consumer.assign([TopicPartition(topic, number, first)])
    heard = time.monotonic()
    while True:
        for message in consumer.consume(BATCH, 0.2):
            heard = time.monotonic()
            error: Any = message.error()
            offset = message.offset()
            if error is not None and error.name() != "_PARTITION_EOF":
                raise Failure(f"{topic}/{number}", f"offset {offset}: {error.str()}")
            if offset is None or offset > last or error is not None:
                return
            yield record_of(message, topic_id)
            if offset == last:
                return
        if time.monotonic() - heard > SILENCE:
            raise Failure(f"{topic}/{number}", f"nothing was heard of it for {SILENCE:.0f} s")
