"""The collector's loop with a made-up group and sink: what is committed is stored, always."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition

from standfast import clients, collect
from standfast.collectconfig import load
from standfast.errors import Failure
from standfast.records import Record
from standfast.sinks import Refused, Sink, Unavailable, Written
from standfast.supervision import Starts, Stop, Watchdog


class FakeConsumer:
    """Hands out batches, and notes what happens in the order in which it happens."""

    def __init__(self, events: list[Any]) -> None:
        self.events = events
        self.batches: list[list[Message]] = []
        self.on_commit: Any = None
        self.after: Any = None

    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        self.callbacks = callbacks

    def consume(self, number: int, timeout: float) -> list[Message]:
        if self.batches:
            return self.batches.pop(0)
        if self.after:
            self.after()
        time.sleep(min(timeout, 0.001))
        return []

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition("trades", 0)]

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        return []

    def get_watermark_offsets(self, partition: TopicPartition, cached: bool) -> tuple[int, int]:
        return 0, 1000

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.events.append("assign")

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.events.append("pause")

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.events.append("resume")

    def seek(self, partition: TopicPartition) -> None:
        self.events.append(("seek", partition.partition, partition.offset))

    def commit(self, offsets: list[TopicPartition], asynchronous: bool = True) -> Any:
        self.events.append(("commit", {p.partition: p.offset for p in offsets}))
        if asynchronous:
            self.on_commit(None, offsets)
        return offsets

    def close(self) -> None:
        self.events.append("close")


class FakeSink:
    """Refuses values that begin with "bad"; fails while `down` is above zero."""

    def __init__(self, events: list[Any]) -> None:
        self.events, self.down = events, 0
        self.stored: list[int] = []
        self.buried: list[tuple[int, str]] = []

    def write(self, batch: list[Record]) -> Written:
        if self.down:
            self.down -= 1
            raise Unavailable("the sink is down")
        if any((r.value or b"").startswith(b"bad") for r in batch):
            raise Refused("a bad value")
        self.stored += [r.offset for r in batch]
        self.events.append(("stored", [r.offset for r in batch]))
        return Written(new=len(batch))

    def known_dead(self, records: list[Record]) -> set[Any]:
        return {r.id for r in records if r.offset in [offset for offset, _ in self.buried]}

    def dead(self, letters: list[tuple[Record, str]]) -> None:
        self.buried += [(r.offset, reason) for r, reason in letters]
        self.events.append(("noted", [r.offset for r, _ in letters]))

    def close(self) -> None:
        self.events.append("sink closed")


class FakeIds:
    def __init__(self, *_: object) -> None:
        self.new: set[str] = set()
        self.doubts = 0

    def of(self, topic: str) -> str:
        return "id-1"

    def doubt(self) -> None:
        self.doubts += 1

    def changed(self) -> set[str]:
        new, self.new = self.new, set()
        return new


class FakeLetters:
    def __init__(self, events: list[Any]) -> None:
        self.events, self.down = events, 0

    def send(self, letters: list[tuple[Record, str]]) -> None:
        if self.down:
            self.down -= 1
            raise Unavailable("dead-letter topic: not confirmed yet")
        self.events.append(("letters", [r.offset for r, _ in letters]))


class Made(collect.Collector):
    consumer: Any
    sink: Any
    ids: Any
    letters: Any


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    (tmp_path / "collector.toml").write_text(
        f'name = "c"\ngroup = "c"\ninstance = "i"\ntopics = ["trades"]\ndead_letter = "dead"\n'
        f'bootstrap = ["127.0.0.1:1"]\nstate = "{tmp_path}"\n[sink]\nkind = "sqlite"\n'
    )
    events: list[Any] = []
    consumer = FakeConsumer(events)

    def make_consumer(*_: object, on_commit: Any, **__: object) -> FakeConsumer:
        consumer.on_commit = on_commit
        return consumer

    monkeypatch.setattr(clients, "consumer", make_consumer)
    monkeypatch.setattr(collect, "TopicIds", FakeIds)
    monkeypatch.setattr(collect, "PAUSE_FIRST", 0.01)
    stop = Stop()
    consumer.after = lambda: setattr(stop, "asked", True)
    made = Made(load(tmp_path / "collector.toml"), stop, Watchdog(), Starts(tmp_path / "starts"))
    made.sink, made.letters = FakeSink(events), FakeLetters(events)
    return made


def batch(*offsets: int, partition: int = 0, value: bytes = b"v") -> list[Message]:
    return [Message("trades", partition, offset, b"k", value) for offset in offsets]


def events(made: Made) -> list[Any]:
    return made.consumer.events


def stop_when(made: Made, done: Callable[[], bool]) -> None:
    """Ask for a stop once `done`; fail where that does not come."""
    polls = iter(range(1000))

    def look() -> None:
        next(polls)
        made.stop.asked = done()

    made.consumer.after = look


def test_a_batch_is_committed_after_it_is_stored(made: Made) -> None:
    made.consumer.batches = [batch(0, 1, 2), batch(3)]
    made.run()
    assert events(made) == [
        ("stored", [0, 1, 2]), ("commit", {0: 3}), ("stored", [3]), ("commit", {0: 4}),
        "close", "sink closed",
    ]  # fmt: skip


def test_nothing_is_committed_while_the_sink_is_down_and_it_goes_on_by_itself(
    made: Made,
) -> None:
    made.sink.down = 2
    made.consumer.batches = [batch(0, 1), [], []]
    stop_when(made, lambda: bool(made.sink.stored))
    made.run()
    assert events(made)[:4] == ["pause", ("stored", [0, 1]), "resume", ("commit", {0: 2})]


def test_a_stop_while_the_sink_is_down_commits_nothing(made: Made) -> None:
    made.sink.down = 10**6
    made.consumer.batches = [batch(0, 1)]
    made.run()
    assert not [e for e in events(made) if e[0] == "commit"]
    assert made.sink.stored == []


def test_one_bad_record_goes_to_the_dead_letters_and_all_others_are_stored(made: Made) -> None:
    good = batch(*range(8))
    made.consumer.batches = [good[:5] + batch(100, value=b"bad") + good[5:]]
    made.run()
    assert sorted(made.sink.stored) == list(range(8))
    assert made.sink.buried == [(100, "refused by the sink: a bad value")]
    assert [e for e in events(made) if e[0] == "letters"] == [("letters", [100])]


def test_a_dead_letter_is_confirmed_and_noted_before_anything_after_it_is_committed(
    made: Made,
) -> None:
    made.letters.down = 2
    made.consumer.batches = [batch(7, value=b"bad")]
    stop_when(made, lambda: bool(made.sink.buried))
    made.run()
    told = [e for e in events(made) if e[0] in ("letters", "noted", "commit")]
    assert told == [("letters", [7]), ("noted", [7]), ("commit", {0: 8})]


def test_a_dead_letter_that_comes_again_is_not_sent_again(made: Made) -> None:
    made.sink.buried = [(7, "before")]
    made.consumer.batches = [batch(7, value=b"bad")]
    made.run()
    assert not [e for e in events(made) if e[0] == "letters"]
    assert ("commit", {0: 8}) in events(made)


def test_records_that_are_too_large_never_reach_the_sink(made: Made) -> None:
    made.config.max_record_bytes = 10
    made.consumer.batches = [batch(0) + batch(1, value=b"x" * 50)]
    made.run()
    assert made.sink.stored == [0]
    assert made.sink.buried[0][1] == "too large: 51 bytes, max_record_bytes is 10"


def test_what_was_taken_away_while_waiting_is_left_to_its_next_owner(made: Made) -> None:
    made.held = batch(0, 1) + batch(0, partition=1)
    made.positions.stored(batch(9, partition=0))
    made.revoked(made.consumer, [TopicPartition("trades", 0)])
    assert [m.partition() for m in made.held] == [1]
    assert events(made) == [("commit", {0: 10})]  # what is stored, not what is held


def test_a_partition_that_is_lost_is_dropped_without_a_commit(made: Made) -> None:
    made.held = batch(0, 1)
    made.positions.stored(batch(9))
    made.lost(made.consumer, [TopicPartition("trades", 0)])
    made.positions.commit()
    assert (made.held, events(made)) == ([], [])


def test_a_failed_commit_is_made_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.positions.stored(batch(0))
    failed = KafkaError(KafkaError.NOT_COORDINATOR)
    made.consumer.on_commit = lambda error, partitions: made.positions.committed(failed, partitions)
    made.positions.commit()
    made.positions._wait_until = 0.0
    made.consumer.on_commit = made.positions.committed
    made.positions.commit()
    made.positions.commit()
    assert events(made) == [("commit", {0: 1})] * 2


def test_a_damaged_record_is_asked_for_again_and_nothing_behind_it_is_stored(made: Made) -> None:
    error = KafkaError(KafkaError._BAD_MSG, "failed its checksum")
    damaged = Message("trades", 0, 2, error=error)
    made.consumer.batches = [batch(0, 1), [damaged, *batch(3), *batch(0, partition=1)]]
    made.run()
    assert ("seek", 0, 2) in events(made)
    commits = [e[1] for e in events(made) if e[0] == "commit"]
    assert commits == [{0: 2}, {1: 1}]


def test_an_offset_past_the_end_of_the_log_is_damage_and_never_committed(made: Made) -> None:
    made.consumer.batches = [batch(0, 1), batch(2, 2**56, 3)]
    made.run()
    assert made.sink.stored == [0, 1, 2]
    assert ("seek", 0, 2) in events(made)
    assert [e[1] for e in events(made) if e[0] == "commit"][-1] == {0: 3}


@pytest.mark.parametrize(
    "fatal",
    [
        KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced", fatal=True),
        # What a poll returns: the name alone says so, fatal() is False.
        KafkaError(KafkaError._FATAL, "Fatal error: Static consumer fenced"),
    ],
)
def test_a_fatal_error_ends_the_collector(made: Made, fatal: KafkaError) -> None:
    made.consumer.batches = [[Message(error=fatal)]]
    with pytest.raises(Failure, match="cannot go on"):
        made.run()


def test_offsets_that_go_back_make_the_topics_id_doubtful(made: Made) -> None:
    made.consumer.batches = [batch(5), batch(0)]
    made.run()
    assert made.ids.doubts == 1


def test_a_topic_made_anew_is_read_from_its_beginning(made: Made) -> None:
    made.consumer.batches = [batch(5)]
    made.ids.new = {"trades"}
    made.run()
    assert ("seek", 0, -2) in events(made)


def test_three_starts_without_progress_keep_the_next_one_away(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(Stop, "wait", lambda self, seconds, *_: waited.append(seconds))
    monkeypatch.setattr(Stop, "install", lambda self: self)

    def crash(self: object) -> None:
        raise Failure("here", "crashed")

    monkeypatch.setattr(collect.Collector, "run", crash)
    arguments = type("Arguments", (), {"config": tmp_path / "collector.toml"})
    for _ in range(4):
        with pytest.raises(Failure):
            collect.run(arguments)  # type: ignore[arg-type]
    assert waited == [12.0]
    state = tmp_path / "starts.json"
    assert json.loads(state.read_text()) == {"starts_without_progress": 4}
    monkeypatch.setattr(collect.Collector, "run", lambda self: None)
    collect.run(arguments)  # type: ignore[arg-type]
    assert json.loads(state.read_text()) == {"starts_without_progress": 0}


def test_the_fakes_stand_for_what_the_collector_uses() -> None:
    for name in ("write", "known_dead", "dead", "close"):
        assert hasattr(Sink, name)
