"""Up to where each partition is stored, and the commits to Kafka that follow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from standfast.supervision import say

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

Place = tuple[str, int]  # topic, partition

ANSWER_SECONDS = 6.0  # a commit that was not answered by then is made again
RETRY_SECONDS = 0.5


class Positions:
    """The next offset of each assigned partition, with the leader epoch of the record before it.

    A commit runs beside the polling: without its coordinator a commit takes seconds, and what is
    stored is safe without it.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._next: dict[Place, tuple[int, int]] = {}
        self._open: set[Place] = set()  # stored, not committed
        self._seen: dict[Place, int] = {}  # the offset that was read last
        self._wait_until = 0.0

    def stored(self, messages: list[Message]) -> None:
        """These are in the sink."""
        for message in messages:
            place = (message.topic() or "", message.partition() or 0)
            epoch = message.leader_epoch()
            self._next[place] = (message.offset() or 0) + 1, -1 if epoch is None else epoch
            self._open.add(place)

    def goes_back(self, message: Message) -> bool:
        """Whether the message comes before what is stored: offsets may have begun anew."""
        known = self._next.get((message.topic() or "", message.partition() or 0))
        return known is not None and (message.offset() or 0) < known[0]

    def commit(self, wait: bool = False) -> None:
        """Commit what is stored and not committed; at most one commit is under way."""
        from confluent_kafka import KafkaException, TopicPartition

        if not self._open or (not wait and time.monotonic() < self._wait_until):
            return
        offsets = []
        for topic, partition in sorted(self._open):
            offset, epoch = self._next[topic, partition]
            offsets.append(TopicPartition(topic, partition, offset, leader_epoch=epoch))
        try:
            if wait:
                self._done(self._consumer.commit(offsets=offsets, asynchronous=False))
            else:
                self._wait_until = time.monotonic() + ANSWER_SECONDS
                self._consumer.commit(offsets=offsets)
        except KafkaException as error:
            # Not lost: the records are in the sink, and are left out when they come again.
            self._wait_until = time.monotonic() + RETRY_SECONDS
            say(f"positions not committed: {error.args[0].str()}", priority=4)

    def committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """The answer to a commit."""
        self._wait_until = time.monotonic() + (RETRY_SECONDS if error else 0.0)
        if error is None:
            self._done(partitions)

    def _done(self, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            known = self._next.get((p.topic, p.partition))
            if p.error is None and known is not None and known[0] == p.offset:
                self._open.discard((p.topic, p.partition))

    def forget(self, places: set[Place]) -> None:
        """These are no longer ours."""
        for place in places:
            self._next.pop(place, None)
            self._seen.pop(place, None)
            self._open.discard(place)

    def beyond_end(self, message: Message) -> bool:
        """Whether the offset is one that the log cannot have: no checksum covers it.

        The end is the one of the answer that brought the message, so this asks nobody.
        """
        from confluent_kafka import KafkaException, TopicPartition

        place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
        before, self._seen[place] = self._seen.get(place), offset
        if before is not None and offset == before + 1:
            return False
        try:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
        except KafkaException:
            return False
        return 0 <= end <= offset

    def go_back(self, message: Message) -> None:
        """Read again from where the sink ends; the message itself where nothing is stored yet."""
        from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

        topic, partition = message.topic() or "", message.partition() or 0
        first = message.offset() if message.error() else OFFSET_BEGINNING
        offset = self._next.get((topic, partition), (first or 0, -1))[0]
        try:
            self._consumer.seek(TopicPartition(topic, partition, offset))
        except KafkaException as error:
            say(f"{topic}/{partition}: cannot go back to {offset}: {error.args[0].str()}", 3)

    def to_beginning(self, topic: str) -> None:
        """Read all our partitions of a topic from its first record."""
        from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

        for p in self._consumer.assignment():
            if p.topic == topic:
                self.forget({(p.topic, p.partition)})
                try:
                    self._consumer.seek(TopicPartition(topic, p.partition, OFFSET_BEGINNING))
                except KafkaException as error:
                    what = error.args[0].str()
                    say(f"{topic}/{p.partition}: cannot go to its beginning: {what}", 3)

    def lag(self) -> int:
        """Records behind the log's end as last heard, over all our partitions; asks nobody."""
        from confluent_kafka import KafkaException

        behind = 0
        try:
            for p in self._consumer.position(self._consumer.assignment()):
                _, high = self._consumer.get_watermark_offsets(p, cached=True)
                if high > 0 and p.offset >= 0:
                    behind += max(0, high - p.offset)
        except (KafkaException, RuntimeError):
            return behind  # closed, or assigned a moment ago
        return behind
