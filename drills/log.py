"""What Kafka's log holds of a feed, read from its first record to its last."""

from __future__ import annotations

import time

import connect
from standfast.ranges import Ranges
from standfast.union import FeedTotal


def in_log(topic: str, feed: str, seconds: float = 60) -> FeedTotal:
    """The feed's records in a topic's log. After `seconds`, what cannot be read is not there.

    Raises OSError where not even the topic's partitions are to be had.
    """
    from confluent_kafka import KafkaException, TopicPartition

    from standfast.records import record_of

    deadline = time.monotonic() + seconds
    consumer = connect.consumer("drill-judge")
    found = FeedTotal()
    offsets: dict[int, list[int]] = {}
    sequences: list[int] = []
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends: dict[int, int] = {}
        for number in partitions:
            try:
                place = TopicPartition(topic, number)
                first, end = consumer.get_watermark_offsets(place, timeout=5)
            except KafkaException:
                continue  # nobody leads it: nothing of it can be read
            if end > first:
                ends[number] = end
                offsets[number] = []
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
    found.sequences = Ranges.of(sequences)
    found.places = {(topic, number): Ranges.of(read) for number, read in offsets.items()}
    return found
