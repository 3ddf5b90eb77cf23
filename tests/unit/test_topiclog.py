"""A topic's log is read to its end, or it is said what was not: nothing unread passes for empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from standfast import topiclog
from standfast.topiclog import READING, TopicLog

TOPIC = "trades"
UNKNOWN = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
NO_LEADER = KafkaError(KafkaError.LEADER_NOT_AVAILABLE)
END = KafkaError(KafkaError._PARTITION_EOF)


@dataclass(frozen=True)
class Message:
    at: int
    number: int
    what: KafkaError | None = None

    def error(self) -> KafkaError | None:
        return self.what

    def partition(self) -> int:
        return self.number

    def offset(self) -> int:
        return self.at


@dataclass
class Clock:
    """Time that passes only where somebody waits."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Broker:
    """A consumer of a topic. By partition the offsets of its records, which were stored at offset
    times 1000 ms, and its high watermark where another offset is behind the last record.
    """

    clock: Clock
    logs: dict[int, list[int]]
    highs: dict[int, int] = field(default_factory=dict)
    unknown: int = 0  # so many times it does not know the topic
    none: KafkaError | None = UNKNOWN  # and says this
    no_end: dict[int, int] = field(default_factory=dict)  # so many times the end is not known
    stops: dict[int, int] = field(default_factory=dict)  # from this offset on, nothing comes
    first: list[Message] = field(default_factory=list)  # what comes before all else
    no_times: set[int] = field(default_factory=set)  # partitions whose times nobody tells
    slow: float = 0.0  # seconds for each answer with records
    closed: int = 0
    assigned: dict[int, int] = field(default_factory=dict)
    coming: Iterator[Message] = field(default_factory=lambda: iter(()))

    def list_topics(self, topic: str, timeout: float) -> Any:
        self.unknown -= 1
        there = self.unknown < 0
        found = SimpleNamespace(error=None, partitions=dict.fromkeys(reversed(self.logs)))
        return SimpleNamespace(
            topics={topic: found if there else SimpleNamespace(error=self.none, partitions={})}
        )

    def _high(self, number: int) -> int:
        return self.highs.get(number, max(self.logs[number], default=-1) + 1)

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        number = place.partition
        self.no_end[number] = self.no_end.get(number, 0) - 1
        if self.no_end[number] >= 0:
            raise KafkaException(NO_LEADER)
        return min(self.logs[number], default=self._high(number)), self._high(number)

    def offsets_for_times(self, asked: list[TopicPartition], timeout: float) -> list[Any]:
        if not asked:
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG))
        return [self._at(place.partition, place.offset) for place in asked]

    def _at(self, number: int, time_ms: int) -> Any:
        later = (offset for offset in self.logs[number] if offset * 1000 >= time_ms)
        if number in self.no_times:
            return SimpleNamespace(partition=number, offset=-1, error=NO_LEADER)
        return SimpleNamespace(partition=number, offset=next(later, -1), error=None)

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = {place.partition: place.offset for place in places}
        self.coming = self._come()

    def _come(self) -> Iterator[Message]:
        yield from self.first
        for number, start in self.assigned.items():
            stop = self.stops.get(number)
            for offset in self.logs[number]:
                if offset >= start and (stop is None or offset < stop):
                    yield Message(offset, number)
            if stop is None:
                yield Message(self._high(number), number, END)

    def consume(self, most: int, timeout: float) -> list[Message]:
        found = list(islice(self.coming, 2))
        self.clock.sleep(self.slow if found else timeout)
        return found

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(topiclog, "time", made)
    return made


def log(broker: Broker, seconds: float = 20.0, **more: Any) -> TopicLog:
    return TopicLog(broker, TOPIC, seconds, **more)  # type: ignore[arg-type]


def read(found: Iterable[Any]) -> dict[int, list[int]]:
    """The offsets that were read, in their order, by partition."""
    offsets: dict[int, list[int]] = {}
    for message in found:
        assert message.error() is None, "no record"
        offsets.setdefault(message.partition(), []).append(message.offset())
    return offsets


def test_each_partition_is_read_in_order_to_its_end(clock: Clock) -> None:
    broker = Broker(clock, {0: [0, 1, 2, 3, 4], 1: [7, 8], 2: []})
    it = log(broker)
    assert read(it) == {0: [0, 1, 2, 3, 4], 1: [7, 8]}
    it.whole()
    assert it.ends == {0: 5, 1: 9, 2: 0}
    assert broker.assigned == {0: 0, 1: 7}, "one that is empty is not waited for"
    assert broker.closed == 1
    assert clock.now == 1000.0


# --- a broker that does not know yet ---


@pytest.mark.parametrize("says", [UNKNOWN, None], ids=["an error", "no partitions"])
def test_a_topic_that_the_broker_does_not_know_yet_is_asked_for_again(
    clock: Clock, says: KafkaError | None
) -> None:
    broker = Broker(clock, {0: [0, 1]}, unknown=20, none=says)
    it = log(broker)
    assert read(it) == {0: [0, 1]}, "it was taken for empty"
    it.whole()
    assert clock.now > 1000.0


@pytest.mark.parametrize(
    ("says", "why"),
    [(UNKNOWN, "Broker: Unknown topic or partition"), (None, "no broker knows it")],
)
def test_a_topic_that_stays_unknown_cannot_be_read(
    clock: Clock, says: KafkaError | None, why: str
) -> None:
    broker = Broker(clock, {0: [0, 1]}, unknown=10**6, none=says)
    with pytest.raises(OSError, match=f"^kafka: trades cannot be read: {why}$"):
        read(log(broker, seconds=5.0))
    assert clock.now - 1000.0 == pytest.approx(5.0, abs=0.5)
    assert broker.closed == 1


def test_brokers_that_do_not_answer_are_named_as_the_reason(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Broker, topic: str, timeout: float) -> Any:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr(Broker, "list_topics", away)
    broker = Broker(clock, {0: [0]})
    with pytest.raises(OSError, match="trades cannot be read: Local: Broker transport failure"):
        read(log(broker))
    assert broker.closed == 1


def test_a_partition_whose_end_is_not_known_yet_is_asked_for_again(clock: Clock) -> None:
    broker = Broker(clock, {0: [0, 1], 1: [5, 6]}, no_end={1: 10})
    it = log(broker)
    assert read(it) == {0: [0, 1], 1: [5, 6]}
    it.whole()


def test_a_partition_whose_end_stays_unknown_is_named_and_the_others_are_read(
    clock: Clock,
) -> None:
    broker = Broker(clock, {0: [0, 1], 1: [5, 6]}, no_end={1: 10**6})
    it = log(broker, seconds=5.0)
    assert read(it) == {0: [0, 1]}
    assert it.unread == {1: "Broker: Leader not available"}
    assert 1 not in it.ends, "its end is not known"
    with pytest.raises(OSError, match=r"trades: not read in 5 s.*Leader not available"):
        it.whole()
    assert broker.closed == 1


def test_what_is_known_late_is_read_all_the_same(clock: Clock) -> None:
    """The ends of the others took all the time that there was."""
    many = list(range(100))
    broker = Broker(clock, {0: many, 1: [5, 6]}, no_end={1: 10**6})
    it = log(broker, seconds=1.0)
    assert read(it) == {0: many}
    assert list(it.unread) == [1]


# --- a partition's end ---


def test_a_control_record_behind_the_last_one_is_no_record_to_wait_for(clock: Clock) -> None:
    """Nobody is given it: that the partition ended is all that is heard."""
    broker = Broker(clock, {0: [0, 1, 2], 1: []}, highs={0: 4, 1: 9})
    it = log(broker)
    assert read(it) == {0: [0, 1, 2]}
    it.whole()
    assert clock.now == 1000.0


def test_an_end_below_the_high_watermark_is_not_the_end(clock: Clock) -> None:
    """A follower that leads since may not have been told yet how far its log is acknowledged."""
    early = [Message(0, 0, END), Message(3, 0, END)]
    broker = Broker(clock, {0: [0, 1, 2, 3]}, first=early)
    it = log(broker)
    assert read(it) == {0: [0, 1, 2, 3]}
    it.whole()
    broker = Broker(clock, {0: [0, 1, 2, 3]}, first=early, stops={0: 2})
    it = log(broker)
    assert read(it) == {0: [0, 1]}
    assert it.unread == {0: "not read up to offset 4"}


def test_the_last_record_is_the_end_without_another_word(clock: Clock) -> None:
    broker = Broker(clock, {0: [0, 1, 2, 3]}, stops={0: 4})
    it = log(broker)
    assert read(it) == {0: [0, 1, 2, 3]}
    it.whole()
    assert clock.now == 1000.0


def test_errors_that_are_of_no_partition_end_nothing(clock: Clock) -> None:
    down = KafkaError(KafkaError._ALL_BROKERS_DOWN)
    broker = Broker(clock, {0: [0, 1]}, first=[Message(-1001, -1, down), Message(-1001, 0, down)])
    it = log(broker)
    assert read(it) == {0: [0, 1]}
    it.whole()


def test_what_comes_while_it_is_read_is_not_read(clock: Clock) -> None:
    broker = Broker(clock, {0: [0, 1, 2, 3]}, highs={0: 2})
    assert read(log(broker)) == {0: [0, 1]}


def test_where_the_last_record_was_compacted_away_a_later_one_ends_it(clock: Clock) -> None:
    broker = Broker(clock, {0: [0, 1, 7]}, highs={0: 5})
    it = log(broker)
    assert read(it) == {0: [0, 1]}
    it.whole()


@pytest.mark.parametrize("seconds", [2.0, 60.0])
def test_what_was_not_read_in_time_is_named(clock: Clock, seconds: float) -> None:
    broker = Broker(clock, {0: [0, 1, 2], 1: [0, 1, 2, 3]}, stops={1: 2})
    it = log(broker, seconds)
    assert read(it) == {0: [0, 1, 2], 1: [0, 1]}
    assert it.unread == {1: "not read up to offset 4"}
    assert clock.now - 1000.0 == pytest.approx(max(seconds, READING), abs=1.0)
    with pytest.raises(OSError, match=rf"trades: not read in {seconds:.0f} s: .*up to offset 4"):
        it.whole()


def test_a_reading_without_a_bound_ends_when_nothing_comes_any_more(clock: Clock) -> None:
    many = list(range(100))
    broker = Broker(clock, {0: many}, slow=3.0)
    it = log(broker, seconds=1.0, silence=5.0)
    assert read(it) == {0: many}
    it.whole()
    broker = Broker(clock, {0: many}, slow=3.0, stops={0: 50})
    it = log(broker, seconds=1.0, silence=5.0)
    assert read(it) == {0: many[:50]}
    assert it.unread[0].startswith("not read up to offset 100")
    with pytest.raises(OSError, match="no record came for 5 s"):
        it.whole()


# --- from a time on, up to a time ---


@pytest.mark.parametrize(
    ("since", "until", "offsets"),
    [
        (None, None, [0, 1, 2, 3, 4, 5]),
        (2000, None, [2, 3, 4, 5]),
        (2001, None, [3, 4, 5]),
        (None, 2000, [0, 1]),
        (2000, 4000, [2, 3]),
        (9000, None, []),
        (None, 9000, [0, 1, 2, 3, 4, 5]),
        (None, 0, []),
        (4000, 2000, []),
    ],
)
def test_only_what_was_stored_in_a_span_of_time_is_read(
    clock: Clock, since: int | None, until: int | None, offsets: list[int]
) -> None:
    broker = Broker(clock, {0: [0, 1, 2, 3, 4, 5], 1: []})
    it = log(broker, since=since, until=until)
    assert read(it).get(0, []) == offsets
    it.whole()
    assert clock.now == 1000.0


def test_a_record_that_came_after_the_ends_were_known_is_not_waited_for(clock: Clock) -> None:
    broker = Broker(clock, {0: [0, 1, 2, 3]}, highs={0: 2})
    assert topiclog.at(broker, TOPIC, {0: 2}, 3000) == {0: 2}  # type: ignore[arg-type]


@pytest.mark.parametrize("bound", ["since", "until"])
def test_a_partition_whose_times_nobody_tells_is_not_taken_for_empty(
    clock: Clock, bound: str
) -> None:
    broker = Broker(clock, {0: [0, 1], 1: [0, 1]}, no_times={1})
    with pytest.raises(OSError, match="trades cannot be read: Broker: Leader not available"):
        read(log(broker, **{bound: 1000}))
    assert broker.closed == 1


def test_where_no_end_is_known_nothing_is_asked_about_times(clock: Clock) -> None:
    broker = Broker(clock, {0: [0, 1]}, no_end={0: 10**6})
    it = log(broker, seconds=2.0, since=1000, until=2000)
    assert read(it) == {}
    assert it.unread == {0: "Broker: Leader not available"}


# --- the consumer ---


def test_a_reading_that_is_given_up_closes_the_consumer(clock: Clock) -> None:
    broker = Broker(clock, {0: [0, 1, 2, 3]})
    reading = iter(log(broker))
    assert next(reading).offset() == 0
    assert broker.closed == 0
    reading.close()  # type: ignore[attr-defined,unused-ignore]
    assert broker.closed == 1


def test_a_reader_that_fails_closes_the_consumer(clock: Clock) -> None:
    broker = Broker(clock, {0: [0, 1, 2, 3]})

    def fails() -> None:
        for _ in log(broker):
            raise ValueError("a record that is none")

    with pytest.raises(ValueError):
        fails()
    assert broker.closed == 1
