"""What a topic's log holds: its partitions, their first offset and high watermark, the records."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

ANSWER = 10.0  # seconds for one question to the brokers
PAUSE = 0.2  # seconds between two questions
BATCH = 10_000
READING = 10.0  # seconds to read in, at least, however late the ends were known


def partitions(consumer: Consumer, topic: str, seconds: float = ANSWER) -> list[int]:
    """The topic's partitions. A broker that has just started may not know the topic yet, and
    answers that there is none: it is asked again. Raises KafkaException after `seconds`.
    """
    from confluent_kafka import KafkaError, KafkaException

    deadline = time.monotonic() + seconds
    while True:
        found = consumer.list_topics(topic, timeout=ANSWER).topics[topic]
        if found.error is None and found.partitions:
            return sorted(found.partitions)
        if time.monotonic() > deadline:
            raise KafkaException(
                found.error or KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "no broker knows it")
            )
        time.sleep(PAUSE)


def at(consumer: Consumer, topic: str, ends: dict[int, int], time_ms: int) -> dict[int, int]:
    """By partition the first offset stored at a time (Unix ms) or later; where there is none, the
    end. Raises KafkaException.
    """
    from confluent_kafka import KafkaException, TopicPartition

    if not ends:
        return {}
    asked = [TopicPartition(topic, number, time_ms) for number in ends]
    answers = consumer.offsets_for_times(asked, timeout=ANSWER)
    for place in answers:
        if place.error:  # of one partition alone: its offset says nothing
            raise KafkaException(place.error)
    found = {place.partition: place.offset for place in answers}
    return {n: found[n] if 0 <= found[n] <= end else end for n, end in ends.items()}


@dataclass
class TopicLog:
    """A topic's records: each partition in order, up to the high watermark that it has at first.

    `consumer` reports a partition's end (enable.partition.eof), and is closed by the reading. What
    was not read within `seconds` is in `unread` then, by partition: why. With `silence`, `seconds`
    bound only the question for the ends, and the reading lasts until no record came for so long.
    """

    consumer: Consumer
    topic: str
    seconds: float
    since: int | None = None  # Unix ms: from the first record stored then or later
    until: int | None = None  # and up to before the first one stored then or later
    ends: dict[int, int] = field(default_factory=dict)
    unread: dict[int, str] = field(default_factory=dict)
    silence: float | None = None  # seconds
    batch: int = BATCH  # records that are held at a time
    firsts: dict[int, int] = field(default_factory=dict)  # where the log itself begins
    starts: dict[int, int] = field(default_factory=dict)  # and where the reading does

    def __iter__(self) -> Generator[Message, None, None]:
        """Raises OSError where the topic cannot be asked for at all."""
        from confluent_kafka import KafkaException, TopicPartition

        deadline = time.monotonic() + self.seconds
        try:
            starts = self.starts = self._spans(deadline)
            left = {n: self.ends[n] for n, start in starts.items() if start < self.ends[n]}
            self.consumer.assign([TopicPartition(self.topic, n, starts[n]) for n in left])
            deadline = max(deadline, time.monotonic() + (self.silence or READING))
            while left and time.monotonic() < deadline:
                heard = False
                for message in self.consumer.consume(self.batch, 1.0):
                    error, number, offset = message.error(), message.partition(), message.offset()
                    if number not in left or offset is None:
                        continue
                    if error is None and offset < left[number]:
                        heard = True
                        yield message
                    # Behind the last record there may be a control record, or what was compacted:
                    # only the partition's end is heard of then.
                    if offset + (error is None) >= left[number]:
                        del left[number]
                if heard and self.silence:  # whoever takes the records may have taken long
                    deadline = time.monotonic() + self.silence
            why = f": no record came for {self.silence:.0f} s" if self.silence else ""
            self.unread |= {n: f"not read up to offset {end}{why}" for n, end in left.items()}
        except KafkaException as error:
            why = error.args[0].str()
            raise OSError(f"kafka: {self.topic} cannot be read: {why}") from None
        finally:
            self.consumer.close()

    def whole(self) -> None:
        """Raises OSError where not everything was read."""
        if self.unread:
            bound = "" if self.silence else f" in {self.seconds:.0f} s"
            raise OSError(f"kafka: {self.topic}: not read{bound}: {self.unread}")

    def _spans(self, deadline: float) -> dict[int, int]:
        """Where each partition's reading starts; a partition says for seconds after a fault that
        its end is not known.
        """
        from confluent_kafka import KafkaException, TopicPartition

        numbers = partitions(self.consumer, self.topic, deadline - time.monotonic())
        starts: dict[int, int] = {}
        self.unread = dict.fromkeys(numbers, "its end is not known")
        while self.unread and time.monotonic() < deadline:
            for number in list(self.unread):
                try:
                    place = TopicPartition(self.topic, number)
                    low, high = self.consumer.get_watermark_offsets(place, timeout=ANSWER / 2)
                except KafkaException as error:
                    self.unread[number] = error.args[0].str()
                    continue
                del self.unread[number]
                starts[number] = self.firsts[number] = low
                self.ends[number] = high
            if self.unread:
                time.sleep(PAUSE)
        if self.since is not None:
            starts = at(self.consumer, self.topic, self.ends, self.since)
        if self.until is not None:
            self.ends = at(self.consumer, self.topic, self.ends, self.until)
        return starts
