"""What Kafka's log holds of a feed, read from its first record to its last."""

from __future__ import annotations

import time

import connect
from standfast.ranges import Ranges
from standfast.union import FeedTotal


def in_log(topic: str, feed: str, seconds: float = 60, dead: bool = False) -> FeedTotal:
    """The feed's records in a topic's log. What is not read within `seconds` raises OSError; with
    `dead` it counts as not there: its only copy is on a machine that died.
    """
    from confluent_kafka import KafkaException, TopicPartition

    from standfast.records import record_of

    deadline = time.monotonic() + seconds
    consumer = connect.consumer("drill-judge")
    found = FeedTotal()
    offsets: dict[int, list[int]] = {}
    sequences: list[int] = []
    unread: dict[int, str] = {}
    ends: dict[int, int] = {}
    try:
        unread = dict.fromkeys(consumer.list_topics(topic, timeout=10).topics[topic].partitions, "")
        while unread and time.monotonic() < deadline:
            # A quiet partition may say for seconds after a fault that its end is not known.
            for number in list(unread):
                try:
                    place = TopicPartition(topic, number)
                    first, end = consumer.get_watermark_offsets(place, timeout=5)
                except KafkaException as error:
                    unread[number] = error.args[0].str()
                    continue
                del unread[number]
                if end > first:
                    ends[number] = end
                offsets[number] = []
            if unread:
                time.sleep(0.2)
        deadline = max(deadline, time.monotonic() + 10)
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        while ends and time.monotonic() < deadline:
            for message in consumer.consume(1000, 1.0):
                if message.error():
                    continue
                record = record_of(message, topic)
                if record.feed == feed and record.sequence is not None:
                    sequences.append(record.sequence)
                    offsets[record.partition].append(record.offset)
                if record.offset + 1 >= ends.get(record.partition, 0):
                    ends.pop(record.partition, None)
    except KafkaException as error:
        raise OSError(f"kafka: {topic} cannot be read: {error.args[0].str()}") from None
    finally:
        consumer.close()
    unread |= {number: f"not read up to {end}" for number, end in ends.items()}
    if unread and not dead:
        raise OSError(f"{topic}: partitions that could not be read in {seconds:.0f} s: {unread}")
    found.sequences = Ranges.of(sequences)
    found.places = {(topic, number): Ranges.of(read) for number, read in offsets.items()}
    return found
