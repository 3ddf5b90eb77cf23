"""A replay writes what was stored in the time that is asked for, all of it or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

import connect
from standfast import topiclog
from standfast.audit import MARGIN
from standfast.errors import Failure, UserError
from standfast.topiclog import TopicLog
from tasks import replay, replayinto
from tasks.auditview import clock
from tasks.replayinto import REPLAYED_HEADER, IntoFile, IntoTopic, line
from tests.unit.verify_base import lab

NOON = 1_795_600_800_000  # Unix ms
SECOND, MINUTE = 1000, 60_000
DELETED = {0: 0, 1: 7}  # how many records of each partition the log has deleted


def record(number: int, offset: int, at: int, value: bytes | None = b"v", **more: Any) -> Message:
    return Message("trades", number, offset, b"k", value, timestamp=(2, at), **more)


def failure(error: int = KafkaError._PARTITION_EOF) -> KafkaError:
    return KafkaError(error)


class FakeConsumer:
    """Two partitions of `trades`, as the brokers would hand them out."""

    def __init__(self, log: dict[int, list[Message]], silent: frozenset[int] = frozenset()) -> None:
        self.log, self.silent = log, silent
        self.left: dict[int, list[Message]] = {}
        self.closed = False
        self.before: Callable[[], None] = lambda: None

    def list_topics(self, topic: str, timeout: float) -> Any:
        found = SimpleNamespace(error=None, partitions=dict.fromkeys(self.log))
        return SimpleNamespace(topics={topic: found})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        there = self.log[place.partition]
        first = DELETED[place.partition]
        return first, there[-1].offset() + 1 if there else first  # type: ignore[operator]

    def offsets_for_times(
        self, asked: list[TopicPartition], timeout: float
    ) -> list[TopicPartition]:
        found = []
        for place in asked:
            later = (m.offset() for m in self.log[place.partition] if _at(m) >= place.offset)
            found.append(TopicPartition(place.topic, place.partition, next(later, -1) or 0))
        return found

    def assign(self, places: list[TopicPartition]) -> None:
        self.left = {
            p.partition: [m for m in self.log[p.partition] if (m.offset() or 0) >= p.offset]
            for p in places
        }

    def consume(self, number: int, timeout: float) -> list[Message]:
        self.before()
        found: list[Message] = []
        for partition in list(self.left):
            if partition in self.silent:
                continue
            room = max(0, number - len(found))
            found += self.left[partition][:room]
            del self.left[partition][:room]
            if not self.left[partition]:
                del self.left[partition]
                end = (self.log[partition][-1].offset() or 0) + 1 if self.log[partition] else 7
                found.append(Message("trades", partition, end, error=failure()))
        return found

    def close(self) -> None:
        self.closed = True


class FakeProducer:
    """Takes records, and answers at the next poll; what begins with "bad" is refused."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.answers: list[Callable[[], None]] = []
        self.room = 100
        self.deaf = False

    def produce(self, topic: str, value: bytes, key: bytes, **more: Any) -> None:
        if value == b"huge":
            raise KafkaException(failure(KafkaError.MSG_SIZE_TOO_LARGE))
        if len(self.answers) >= self.room:
            raise BufferError
        error = failure(KafkaError.INVALID_RECORD) if (value or b"").startswith(b"bad") else None
        answer = more.pop("on_delivery")
        self.answers.append(lambda: answer(error, None))
        self.taken.append({"topic": topic, "value": value, "key": key, **more})

    def poll(self, seconds: float) -> None:
        if self.deaf:
            return
        answers, self.answers = self.answers, []
        for answer in answers:
            answer()


class Made:
    """What `fab refill --into` meets: two partitions of trades, and another topic `copies`."""

    def __init__(self) -> None:
        # Around noon, and not in the order of its time: the leader had changed.
        times = (-3 * MINUTE, -2 * SECOND, 0, 2 * SECOND, -SECOND, 3 * SECOND, 5 * MINUTE)
        self.log = {
            0: [record(0, n, NOON + ms) for n, ms in enumerate(times)],
            1: [record(1, 7, NOON + SECOND, b"\xff"), record(1, 8, NOON + 9 * MINUTE, None)],
        }
        self.topics = {"trades": 2, "copies": 2, "others": 3, "__consumer_offsets": 12}
        self.consumers: list[FakeConsumer] = []
        self.silent: frozenset[int] = frozenset()
        self.producer = FakeProducer()

    def consumer(self, *_: object, **__: object) -> FakeConsumer:
        self.consumers.append(FakeConsumer(self.log, self.silent))
        return self.consumers[-1]

    def admin(self) -> Any:
        topics = {
            name: SimpleNamespace(error=None, partitions=dict.fromkeys(range(number)))
            for name, number in self.topics.items()
        }
        return SimpleNamespace(list_topics=lambda timeout: SimpleNamespace(topics=topics))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    made = Made()
    monkeypatch.setattr(connect, "begin", lambda doing: lab())
    monkeypatch.setattr(connect, "consumer", made.consumer)
    monkeypatch.setattr(connect, "admin", made.admin)
    monkeypatch.setattr(connect, "producer", lambda settings: made.producer)
    monkeypatch.setattr(replay, "moment", lambda text: int(text) if text else None)
    monkeypatch.setattr(replay, "time", clock_of(lambda seconds: None))
    return made


def clock_of(sleep: Callable[[float], None]) -> Any:
    return SimpleNamespace(monotonic=time.monotonic, sleep=sleep)


def run(into: str, since: int | None = NOON, until: int | None = NOON + MINUTE, **more: Any) -> int:
    asked = {"topic": "trades", "rate": 0.0, "yes": False, "collector": "", **more}
    try:
        return replay.main(
            since="" if since is None else str(since),
            until="" if until is None else str(until),
            into=into,
            **asked,
        )
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


def places(file: Path) -> list[tuple[int, int]]:
    found = map(json.loads, file.read_text().splitlines())
    return sorted((r["partition"], r["offset"]) for r in found)


def _at(message: Message) -> int:
    return int(message.timestamp()[1])


# --- into a file ---


def test_a_line_is_a_record_and_loses_nothing() -> None:
    headers = [("feed", b"a"), ("feed", b"\xff"), ("none", None)]
    message = record(1, 7, NOON, "Zürich\u2028".encode(), headers=headers)
    raw = line(message)
    assert raw.isascii() and raw.count(b"\n") == 1 and raw.endswith(b"\n")
    assert json.loads(raw) == {
        "topic": "trades",
        "partition": 1,
        "offset": 7,
        "timestamp": NOON,
        "key": "k",
        "value": "Zürich\u2028",
        "headers": [["feed", "a"], ["feed", {"base64": "/w=="}], ["none", None]],
    }
    assert json.loads(line(record(0, 0, NOON, None)))["value"] is None
    assert json.loads(line(record(0, 0, NOON, b"\xff\x00")))["value"] == {"base64": "/wA="}
    assert json.loads(line(record(0, 0, NOON, b"")))["value"] == ""


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (NOON, NOON + MINUTE, [(0, 2), (0, 3), (0, 5), (1, 7)]),
        (NOON, NOON + 3 * SECOND, [(0, 2), (0, 3), (1, 7)]),
        (None, NOON, [(0, 0), (0, 1), (0, 4)]),
        (NOON + 3 * SECOND, None, [(0, 5), (0, 6), (1, 8)]),
        (NOON - 9 * MINUTE, NOON - 8 * MINUTE, []),
    ],
)
def test_each_record_is_judged_by_its_own_time(
    made: Made, tmp_path: Path, since: int | None, until: int | None, expected: list[Any]
) -> None:
    assert run(str(tmp_path / "out"), since, until) == 0
    assert places(tmp_path / "out") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert all(consumer.closed for consumer in made.consumers)


def test_a_margin_more_is_read_on_both_sides(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = connect.topic_log

    def noted(topic: str, seconds: float, since: Any, until: Any, **more: Any) -> TopicLog:
        asked.append((since, until))
        return real(topic, seconds, since, until, **more)

    monkeypatch.setattr(connect, "topic_log", noted)
    assert run(str(tmp_path / "out")) == 0
    assert run(str(tmp_path / "early"), since=1, until=None) == 0
    assert asked == [(NOON - MARGIN, NOON + MINUTE + MARGIN), (0, None)]


def test_the_last_line_says_how_many_from_when_to_when_and_into_what(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(tmp_path / "out")) == 0
    said = capsys.readouterr().out
    span = f"stored {clock(NOON)} to {clock(NOON + 3 * SECOND)}"
    assert f"4 records of trades, {span}, are in {tmp_path / 'out'}\n" in said


def test_a_file_that_is_there_is_left_alone(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out"
    file.write_text("mine")
    made.topics.clear()  # it is said without a broker
    assert run(str(file)) == 2
    assert f"{file}: is there already: name another file" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_two_replays_do_not_write_one_file(made: Made, tmp_path: Path) -> None:
    with IntoFile(tmp_path / "out"):
        assert run(str(tmp_path / "out")) == 2
        assert (tmp_path / "out.partial").exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_said(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(tmp_path / "no" / "out")) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_what_could_not_be_read_to_its_end_leaves_no_file(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made.silent = frozenset({1})
    monkeypatch.setattr(replay, "SILENCE", 0.05)
    monkeypatch.setattr(replay, "ENDS", 0.05)
    assert run(str(tmp_path / "out")) == 1
    assert "not read up to offset 8: no record came for 0 s" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_ctrl_c_leaves_no_file(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(message: Message) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(replayinto, "line", interrupted)
    assert run(str(tmp_path / "out")) == 130
    assert capsys.readouterr().err == "standfast: refill: interrupted; nothing is left of it\n"
    assert not list(tmp_path.iterdir())
    assert made.consumers[0].closed


def test_a_full_disk_is_said_and_leaves_no_file(tmp_path: Path) -> None:
    with IntoFile(tmp_path / "out") as target:
        target._file.close()  # type: ignore[attr-defined]
        target._file = Path("/dev/full").open("wb")  # type: ignore[attr-defined]  # noqa: SIM115
        target.write(record(0, 0, NOON))
        with pytest.raises(Failure, match="cannot be written: No space left on device: make room"):
            target.finish()
    assert not list(tmp_path.iterdir())


# --- into a topic ---


def test_a_topic_gets_all_that_the_record_had_and_where_it_comes_from(made: Made) -> None:
    made.log[1][0] = record(1, 7, NOON, b"\xff", headers=[("standfast-sequence", b"1")])
    assert run("topic:copies") == 0
    assert made.producer.taken[-1] == {
        "topic": "copies",
        "partition": 1,
        "key": b"k",
        "value": b"\xff",
        "timestamp": NOON,
        "headers": [("standfast-sequence", b"1"), (REPLAYED_HEADER, b"trades/1/7")],
    }
    assert [r["partition"] for r in made.producer.taken] == [0, 0, 0, 1]


def test_into_a_topic_of_other_partitions_it_goes_by_the_key(made: Made) -> None:
    assert run("topic:others") == 0
    assert len(made.producer.taken) == 4
    assert not any("partition" in taken for taken in made.producer.taken)


def test_what_the_topic_refuses_is_counted(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    made.log[0][2] = record(0, 2, NOON, b"bad")
    made.log[0][3] = record(0, 3, NOON, b"huge")
    assert run("topic:copies") == 1
    said = capsys.readouterr().out
    assert "2 records of trades" in said
    assert said.count("1 were refused: ") == 2


def test_a_full_queue_waits_for_room() -> None:
    """What is sent is bounded: the memory is, too."""
    producer = FakeProducer()
    producer.room = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connect, "producer", lambda settings: producer)
        target = IntoTopic("copies", same=True)
        patch.setattr(target, "_serve", lambda seconds: producer.poll(0) if seconds else None)
        for offset in range(10):
            target.write(record(0, offset, NOON))
        target.finish()
    assert (len(producer.taken), target.written) == (10, 10)


def test_brokers_that_never_acknowledge_end_it(
    made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made.producer.deaf = True
    monkeypatch.setattr(replayinto, "SILENCE", 0.02)
    assert run("topic:copies") == 1
    said = capsys.readouterr().err
    assert "kafka: copies: of 4 records nothing was heard" in said
    assert "0 records at least are in copies" in said


def test_the_producer_acknowledges_at_every_copy(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, str] = {}
    monkeypatch.setattr(connect, "producer", lambda s: asked.update(s) or made.producer)
    assert run("topic:copies") == 0
    assert (asked["acks"], asked["enable.idempotence"]) == ("all", "true")


def test_on_a_cluster_that_is_no_lab_somebody_has_to_say_yes(
    made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = SimpleNamespace(is_lab=False)
    monkeypatch.setattr(connect, "begin", lambda doing: real)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    assert run("topic:copies") == 2
    assert "nobody can be asked here: --yes" in capsys.readouterr().err
    assert not made.producer.taken
    assert run("topic:copies", yes=True) == 0


# --- what is asked ---


@pytest.mark.parametrize(
    ("into", "more", "says"),
    [
        ("out", {"topic": ""}, "--into: needs --topic, and --since or --until"),
        ("out", {"since": None, "until": None}, "--into: needs --topic, and --since or --until"),
        ("out", {"collector": "archive"}, "--collector: makes no sense with --into"),
        ("", {}, "--into: should be a file, or topic:NAME"),
        ("topic:", {}, "--into: should be a file, or topic:NAME"),
        ("topic:trades", {}, "would write trades into itself"),
        ("topic:nope", {}, "--into: nope: no such topic; there are copies, others, trades; make"),
        ("topic:__consumer_offsets", {}, "no such topic"),
        ("out", {"topic": "nope"}, "--topic: nope: no such topic; there are copies, others"),
        ("out", {"until": NOON}, "is not later than --since"),
        ("out", {"rate": -1.0}, "--rate: must be over 0"),
    ],
)
def test_what_makes_no_sense_is_said(
    made: Made,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    into: str,
    more: dict[str, Any],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(into, **more) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir()) and not made.producer.taken


def test_a_time_that_is_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="should be a time"):
        replay.read("trades", "yesterday", "", "out", 0.0, "")
    with pytest.raises(UserError):
        replay.read("trades", "1h", "2h", "out", 0.0, "")


def test_the_rate_throttles(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(replay, "time", clock_of(slept.append))
    assert run(str(tmp_path / "out"), rate=100.0) == 0
    assert len(slept) == 4
    assert slept[-1] == pytest.approx(0.04, abs=0.02)


# --- what the log has no more ---


def test_what_is_older_than_the_log_is_said(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Partition 1 has lost its first seven records, partition 0 none."""
    says = f"the log begins at {clock(NOON + SECOND)}: what is older can no longer be had"
    for number, (since, until, said) in enumerate(
        [
            (NOON, NOON + MINUTE, True),
            (NOON - 9 * MINUTE, NOON - 8 * MINUTE, True),
            (None, NOON, True),
            (NOON + 2 * SECOND, None, False),
        ]
    ):
        assert run(str(tmp_path / str(number)), since, until) == 0
        assert (says in capsys.readouterr().out) is said


def test_a_partition_that_is_empty_by_now_is_said(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.log[1] = []
    assert run(str(tmp_path / "out")) == 0
    assert "the log has deleted all that was in trades/1" in capsys.readouterr().out


def test_partitions_that_begin_at_other_times() -> None:
    asked = replay.Asked("trades", NOON, None)
    assert replay.older(asked, {}) == []
    assert replay.older(asked, {0: NOON, 1: NOON - 1}) == []
    (said,) = replay.older(asked, {0: NOON + SECOND, 1: NOON + MINUTE, 2: NOON - MINUTE})
    assert clock(NOON + SECOND) in said
    assert f"in some partitions as late as {clock(NOON + MINUTE)}" in said


# --- how long the log is read ---


def slow(made: Made, **more: Any) -> TopicLog:
    """A log of which a record comes each 20 ms, and which is to be read in 50 ms."""
    consumer: Any = made.consumer()
    consumer.before = lambda: time.sleep(0.02)
    return TopicLog(consumer, "trades", 0.05, batch=1, **more)


def test_silence_ends_the_reading_and_not_its_length(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topiclog, "READING", 0.05)
    bounded = slow(made)
    assert len(list(bounded)) < 9
    with pytest.raises(OSError, match="not read in 0 s"):
        bounded.whole()
    patient = slow(made, silence=1.0)
    assert len(list(patient)) == 9
    patient.whole()
    assert (patient.firsts, patient.starts, patient.ends) == (DELETED, DELETED, {0: 7, 1: 9})


def test_who_takes_the_records_may_take_long(made: Made) -> None:
    patient = slow(made, silence=0.1)
    for _ in patient:
        time.sleep(0.12)
    patient.whole()


def test_a_partition_whose_end_is_not_known_ends_it_at_once(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = FakeConsumer.get_watermark_offsets

    def one(self: FakeConsumer, place: TopicPartition, timeout: float) -> tuple[int, int]:
        if place.partition == 1:
            raise KafkaException(failure(KafkaError.LEADER_NOT_AVAILABLE))
        return real(self, place, timeout)

    monkeypatch.setattr(FakeConsumer, "get_watermark_offsets", one)
    monkeypatch.setattr(replay, "ENDS", 0.05)
    assert run(str(tmp_path / "out")) == 1
    assert "Leader not available" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
