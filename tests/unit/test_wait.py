"""A server serves when it says so itself; a wait that fails says what it saw last."""

from __future__ import annotations

from pathlib import Path

import pytest

from standfast import local, questions, wait
from standfast.__main__ import main
from standfast.errors import Failure, UserError
from standfast.local import Server
from standfast.questions import CORRELATION, Metadata, parse_metadata

ONE, TWO, THREE = "198.18.0.11:9092", "198.18.0.12:9092", "198.18.0.13:9092"
KAFKA = Server("kafka", "kafka.service", ONE, (TWO, THREE), (), broker_id=1)
ZOOKEEPER = Server("zookeeper", "zookeeper.service", "198.18.0.11:2181", (), ())
ALL = {1: ONE, 2: TWO, 3: THREE}


@pytest.mark.parametrize(
    ("brokers", "controller", "all_brokers", "lacks"),
    [
        (ALL, 1, True, ""),
        ({1: ONE}, None, False, ""),
        ({}, None, False, "broker 1 is not registered, registered are none"),
        ({1: TWO}, 1, False, "broker 1 is registered as 198.18.0.12:9092"),
        (ALL, None, True, "the cluster has no controller"),
        ({1: ONE, 2: TWO}, 1, True, "not registered: 198.18.0.13:9092; registered are 1 (198.18"),
    ],
)
def test_a_broker_serves_when_it_answers_and_is_registered(
    brokers: dict[int, str],
    controller: int | None,
    all_brokers: bool,
    lacks: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = Metadata(brokers, controller)
    monkeypatch.setattr(questions, "kafka_metadata", lambda address, timeout: answer)
    seen = wait.lacking(KAFKA, all_brokers, 1.0)
    assert seen.startswith(lacks)
    assert bool(seen) is bool(lacks)


def test_a_registered_broker_that_does_not_answer_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask(address: str, timeout: float) -> Metadata:
        if address == THREE:
            raise TimeoutError("no answer within 1 s")
        return Metadata(ALL, 1)

    monkeypatch.setattr(questions, "kafka_metadata", ask)
    assert "198.18.0.13:9092 is registered, but does not" in wait.lacking(KAFKA, True, 1.0)
    assert wait.lacking(KAFKA, False, 1.0) == ""


@pytest.mark.parametrize(("mode", "serves"), [("leader", True), ("follower", True), ("", False)])
def test_zookeeper_serves_when_it_leads_or_follows(
    mode: str, serves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "zookeeper_mode", lambda address, timeout: mode)
    assert (wait.lacking(ZOOKEEPER, False, 1.0) == "") is serves


def test_a_wait_that_fails_says_what_where_and_what_was_seen_last() -> None:
    def refused(timeout: float) -> str:
        raise ConnectionError("Connection refused")

    with pytest.raises(Failure) as raised:
        wait.wait_until(refused, KAFKA, 0.3)
    assert str(raised.value) == (
        "kafka on 198.18.0.11:9092: waited 0.3 s for it to serve, last seen: Connection refused; "
        "look at: journalctl -u kafka.service"
    )


def test_a_wait_ends_as_soon_as_nothing_lacks() -> None:
    looks = iter(["not yet", ""])
    wait.wait_until(lambda timeout: next(looks), KAFKA, 5.0)


# What a broker of Kafka 3.9 answers for two brokers, one in a rack, controller 2, no topics.
ANSWER = (
    CORRELATION.to_bytes(4)
    + (2).to_bytes(4)
    + (1).to_bytes(4) + (11).to_bytes(2) + b"198.18.0.11" + (9092).to_bytes(4) + b"\xff\xff"
    + (2).to_bytes(4) + (11).to_bytes(2) + b"198.18.0.12" + (9092).to_bytes(4) + b"\x00\x02r1"
    + (2).to_bytes(4)
    + (0).to_bytes(4)
)  # fmt: skip


def test_a_metadata_answer_names_brokers_and_controller() -> None:
    assert parse_metadata(ANSWER) == (Metadata({1: ONE, 2: TWO}, 2), {})


@pytest.mark.parametrize("answer", [b"", ANSWER[:30], b"\x00" * 8 + ANSWER, b"HTTP/1.1 400 Bad"])
def test_an_answer_that_makes_no_sense_is_no_answer(answer: bytes) -> None:
    with pytest.raises(OSError):
        parse_metadata(answer)


FILE = """\
host = "kafka1"
interval = 2.0
[kafka]
unit = "kafka.service"
address = "198.18.0.11:9092"
broker_id = 1
peers = ["198.18.0.12:9092", "198.18.0.13:9092"]
directories = []
"""


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("broker_id = 1", "", "kafka.broker_id: should be a int, is missing"),
        ("peers", "pears", "kafka.pears: no such key"),
        ("interval = 2.0", "interval = 0", "interval: should be seconds above 0, is 0"),
        ('"198.18.0.12:9092"', '"kafka2"', "kafka: 'kafka2' should be host:port"),
        ("host =", "hosts =", "hosts: no such key"),
        ("[kafka]", "[kafka", "is not TOML"),
    ],
)
def test_a_wrong_file_is_one_clear_error(
    tmp_path: Path, line: str, instead: str, message: str
) -> None:
    path = tmp_path / "probe.toml"
    path.write_text(FILE)
    assert local.read(path).servers["kafka"] == KAFKA
    path.write_text(FILE.replace(line, instead))
    with pytest.raises(UserError) as raised:
        local.read(path)
    assert message in raised.value.what


def test_a_host_without_the_server_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "probe.toml"
    path.write_text(FILE)
    assert main(["wait", str(path), "zookeeper"]) == 2
    assert "has no section [zookeeper]" in capsys.readouterr().err
