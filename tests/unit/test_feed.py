"""The feed with a made-up producer: nothing counts before it is acknowledged and on disk."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from standfast import clients, feedcommand
from standfast.__main__ import main
from standfast.errors import Failure, UserError
from standfast.feed import Feed, RecordRefused, refuse_risky
from standfast.ledger import LedgerWriter, read_ledger
from standfast.ranges import Ranges

SAFE = {"acks": "all", "enable.idempotence": "true", "message.timeout.ms": "0"}


class Delivered:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def latency(self) -> float:
        return 0.002

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset


class FakeProducer:
    """Acknowledges what it is given, but for `held` (never) and `returned` (given back once)."""

    def __init__(self) -> None:
        self.log: list[tuple[int, bytes | None]] = []  # what the brokers took: sequence, value
        self.waiting: list[tuple[Any, Any, int, bytes | None]] = []
        self.held: set[int] = set()
        self.returned: dict[int, KafkaError] = {}
        self.refuses: dict[int, Exception] = {}

    def produce(self, topic: str, value: bytes, key: bytes, headers: Any, on_delivery: Any) -> None:
        sequence = int(dict(headers)["standfast-sequence"])
        if sequence in self.refuses:
            raise self.refuses.pop(sequence)
        self.waiting.append((on_delivery, headers, sequence, value))

    def poll(self, timeout: float) -> int:
        waiting, self.waiting = self.waiting, []
        for call, headers, sequence, value in waiting:
            if sequence in self.held:
                self.waiting.append((call, headers, sequence, value))
            elif sequence in self.returned:
                call(self.returned.pop(sequence), None)
            else:
                self.log.append((sequence, value))
                call(None, Delivered(len(self.log) - 1))
        return len(waiting)

    def purge(self) -> None:
        for call, *_ in self.waiting:
            call(KafkaError(KafkaError._PURGE_QUEUE), None)
        self.waiting = []

    def flush(self, timeout: float) -> int:
        return 0

    def list_topics(self, timeout: float) -> Any:
        found = type("Topic", (), {"error": None})
        return type("Metadata", (), {"topics": {"trades": found}})


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    made = FakeProducer()
    monkeypatch.setattr(clients, "producer", lambda *_, **__: made)
    return made


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """The command takes SIGTERM and SIGINT over; pytest wants its own back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def feed(tmp_path: Path, **more: Any) -> Feed:
    return Feed(["b:1"], "trades", ledger=tmp_path / "l", drain=0.5, **more)


def test_all_acknowledged_is_all_in_the_ledger(producer: FakeProducer, tmp_path: Path) -> None:
    with feed(tmp_path) as f:
        for number in range(500):
            f.send(b"k", b"%d" % number)
    ledger = read_ledger(tmp_path / "l")
    assert ledger.acknowledged == ledger.once == Ranges([(1, 500)])
    assert (f.sent, f.acknowledged, f.outstanding()) == (500, 500, 0)


def test_what_is_not_acknowledged_ends_in_a_failure_that_names_it(
    producer: FakeProducer, tmp_path: Path
) -> None:
    producer.held = {3, 4}
    with pytest.raises(Failure, match="2 not acknowledged: sequences 3-4"), feed(tmp_path) as f:
        for _ in range(5):
            f.send(b"k", b"v")
    assert read_ledger(tmp_path / "l").acknowledged == Ranges([(1, 2), (5, 5)])


def test_nothing_counts_that_the_ledger_could_not_flush(
    producer: FakeProducer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    f = feed(tmp_path)

    def full(self: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LedgerWriter, "sync", full)
    f.send(b"k", b"v")
    assert f.close(0.5) == Ranges([(1, 1)])
    assert f.acknowledged == 0
    assert f.error == "the ledger cannot be written: No space left on device"


def test_what_the_library_gives_back_is_sent_again_under_its_number(
    producer: FakeProducer, tmp_path: Path
) -> None:
    producer.returned = {2: KafkaError(KafkaError._UNKNOWN_PARTITION)}
    with feed(tmp_path) as f:
        for number in range(1, 4):
            f.send(b"k", b"%d" % number)
    assert sorted(producer.log) == [(1, b"1"), (2, b"2"), (3, b"3")]
    ledger = read_ledger(tmp_path / "l")
    assert ledger.acknowledged == Ranges([(1, 3)])
    assert 2 not in ledger.once  # the ledger says that it may be there twice


def test_a_producer_that_broke_is_made_anew_and_sends_all_that_was_under_way(
    producer: FakeProducer, tmp_path: Path
) -> None:
    producer.held = {3}
    producer.returned = {2: KafkaError(KafkaError._FATAL, "fatal", fatal=True)}
    f = feed(tmp_path)
    for number in range(1, 4):
        f.send(b"k", b"%d" % number)
    while f.acknowledged < 2:
        pass
    producer.held = set()
    assert f.close(2.0) == Ranges()
    assert sorted(producer.log) == [(1, b"1"), (2, b"2"), (3, b"3")]


def test_a_record_that_can_never_be_sent_is_named_and_the_others_go_on(
    producer: FakeProducer, tmp_path: Path
) -> None:
    too_large = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "Message size too large")
    producer.refuses = {2: KafkaException(too_large)}
    with feed(tmp_path) as f:
        f.send(b"k", b"1")
        with pytest.raises(RecordRefused, match="record 2: Message size too large"):
            f.send(b"k", b"2")
        f.send(b"k", b"3", sequence=3)
    assert read_ledger(tmp_path / "l").acknowledged == Ranges([(1, 1), (3, 3)])


def test_a_full_queue_sets_the_pace(producer: FakeProducer, tmp_path: Path) -> None:
    producer.refuses = {1: BufferError()}
    with feed(tmp_path) as f:
        f.send(b"k", b"v")
    assert f.acknowledged == 1


def test_a_full_queue_can_be_left_by_a_stop(producer: FakeProducer, tmp_path: Path) -> None:
    f = feed(tmp_path, stop=lambda: True)
    producer.refuses = {1: BufferError()}
    with pytest.raises(Failure, match="stopped before record 1 was sent"):
        f.send(b"k", b"v")
    f.close()


def test_resuming_sends_every_number_that_is_not_in_the_ledger_and_no_other(
    producer: FakeProducer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["feed", "--bootstrap", "b:1", "--topic", "trades", "--generate", "40"]
    command += ["--ledger", str(tmp_path / "l"), "--drain", "0.3", "--no-progress"]
    producer.held = {5, 17, 18, 40}
    assert main(command) == 1
    assert "4 not acknowledged: sequences 5, 17-18, 40; --resume" in capsys.readouterr().err
    first = dict(producer.log)
    producer.held, producer.log, producer.waiting = set(), [], []
    assert main([*command, "--resume"]) == 0
    assert [sequence for sequence, _ in producer.log] == [5, 17, 18, 40]
    assert not first.keys() & dict(producer.log).keys()
    assert read_ledger(tmp_path / "l").acknowledged == Ranges([(1, 40)])
    assert main([*command, "--resume"]) == 0
    assert len(producer.log) == 4


def test_a_bad_row_is_named_counts_as_not_sent_and_the_others_go_on(
    producer: FakeProducer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "in.csv"
    rows.write_text("id,px\na,1\nb\nc,3\n")
    command = ["feed", "--bootstrap", "b:1", "--topic", "trades", "--csv", str(rows)]
    assert main([*command, "--key", "id", "--summary", "--no-progress"]) == 1
    said = capsys.readouterr()
    assert f"standfast: {rows}:3: has 1 columns, the header line 2; it is not sent" in said.err
    summary = json.loads(said.out)
    assert (summary["acknowledged"], summary["bad_row_sequences"]) == (2, [[2, 2]])
    assert [sequence for sequence, _ in producer.log] == [1, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acks": "1"}, "producer settings: acks: must be all, is 1"),
        ({"enable.idempotence": "false"}, "enable.idempotence: must be true, is false"),
        ({"message.timeout.ms": "300000"}, "message.timeout.ms: must be 0, is 300000"),
        ({"acks": None}, "acks: must be all, is not set"),
    ],
)
def test_settings_that_lose_records_are_refused(
    change: dict[str, str | None], message: str
) -> None:
    settings = {name: value for name, value in {**SAFE, **change}.items() if value is not None}
    with pytest.raises(UserError, match=message):
        refuse_risky(settings, None)
    refuse_risky(settings, "a test of what is lost")


def test_the_shipped_settings_are_safe() -> None:
    refuse_risky(clients.default_settings("producer"), None)
    consumer = clients.default_settings("consumer")
    assert consumer["enable.auto.commit"] == consumer["enable.auto.offset.store"] == "false"
    assert consumer["auto.offset.reset"] == "earliest"


@pytest.mark.parametrize("kind", ["producer", "consumer"])
def test_every_shipped_setting_has_its_reason_above_it(kind: str) -> None:
    text = (Path(clients.__file__).parent / f"settings/{kind}.properties").read_text()
    before = ""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            assert before.startswith("#") or line.startswith("retry.backoff.max"), line
        before = line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generate", "5", "--resume"], "--resume: needs --ledger"),
        (["--generate", "-1"], "must not be negative"),
        (["--csv", "/nowhere.csv"], "/nowhere.csv: cannot be read: No such file"),
        (["--generate", "5", "--settings", "/nowhere"], "/nowhere: cannot be read"),
        (["--generate", "5", "--ledger", "/nowhere/l"], "/nowhere/l: cannot be written"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["feed", "--bootstrap", "127.0.0.1:1", "--topic", "trades", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("standfast: ") and message in said


def test_an_unreachable_cluster_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Feed.check
    monkeypatch.setattr(Feed, "check", lambda self: check(self, 0.3))
    assert main(["feed", "--bootstrap", "127.0.0.1:1", "--topic", "t", "--generate", "1"]) == 1
    ours = [li for li in capsys.readouterr().err.splitlines() if li.startswith("standfast: ")]
    assert len(ours) == 1 and "127.0.0.1:1: no answer within 0 s" in ours[0]
    assert feedcommand.__doc__
