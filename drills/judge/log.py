"""What Kafka's log holds of a feed, read from its first record to its last."""

from __future__ import annotations

import connect
from standfast.ranges import Ranges
from standfast.union import FeedTotal


def in_log(topic: str, feed: str, seconds: float = 60, dead: bool = False) -> FeedTotal:
    """The feed's records in a topic's log. What is not read within `seconds` raises OSError; with
    `dead` it counts as not there: its only copy is on a machine that died.
    """
    from standfast.records import record_of

    log, found = connect.topic_log(topic, seconds), FeedTotal()
    offsets: dict[int, list[int]] = {}
    sequences: list[int] = []
    for message in log:
        record = record_of(message, topic)
        if record.feed == feed and record.sequence is not None:
            sequences.append(record.sequence)
            offsets.setdefault(record.partition, []).append(record.offset)
    if not dead:
        log.whole()
    found.sequences = Ranges.of(sequences)
    found.places = {(topic, number): Ranges.of(read) for number, read in offsets.items()}
    return found
