"""A broker whose copies stand still is ended once, and only where nothing else is ill."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from standfast.fetching import ONCE, STILL, Copies, Fetching, behind
from standfast.health import Process
from standfast.local import Server
from standfast.questions import CORRELATION, Partition, parse_metadata

WHOLE = Partition(1, (1, 2, 3), (1, 2, 3))
WITHOUT_3 = replace(WHOLE, isr=(1, 2))
MAIN = Process(4711, 99)


def test_every_partition_of_an_answer_is_read() -> None:
    """As a broker of Kafka 3.9 writes them: two topics, one of them internal."""

    def topic(name: bytes, internal: int, *partitions: bytes) -> bytes:
        head = struct.pack(f">hh{len(name)}sb", 0, len(name), name, internal)
        return head + struct.pack(">i", len(partitions)) + b"".join(partitions)

    def partition(number: int, leader: int, replicas: list[int], isr: list[int]) -> bytes:
        ids = struct.pack(f">{len(replicas) + 1}i", len(replicas), *replicas)
        return (
            struct.pack(">hii", 5 if leader < 0 else 0, number, leader)
            + ids
            + struct.pack(f">{len(isr) + 1}i", len(isr), *isr)
        )

    answer = struct.pack(">iii", CORRELATION, 0, 1) + struct.pack(">i", 2)
    answer += topic(b"trades", 0, partition(0, 1, [1, 2, 3], [1, 2]), partition(1, -1, [2], []))
    answer += topic(b"__consumer_offsets", 1, partition(0, 2, [2, 3], [3, 2]))
    assert parse_metadata(answer)[1] == {
        "trades-0": WITHOUT_3,
        "trades-1": Partition(-1, (2,), ()),
        "__consumer_offsets-0": Partition(2, (2, 3), (3, 2)),
    }
    with pytest.raises(OSError):
        parse_metadata(answer[:-3])


def test_what_one_broker_alone_keeps_from_being_whole_is_its_own() -> None:
    assert behind(3, {"a-0": WHOLE, "a-1": WITHOUT_3}) == {"a-1"}
    assert behind(2, {"a-0": WHOLE, "a-1": WITHOUT_3}) == set()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Partition(1, (1, 2, 3), (1,)), id="another copy is behind as well"),
        pytest.param(Partition(1, (1, 2, 3), (1, 3)), id="another broker is behind elsewhere"),
        pytest.param(Partition(-1, (1, 2, 3), (2,)), id="a partition has no leader"),
    ],
)
def test_while_anything_else_is_ill_nothing_is_ended(other: Partition) -> None:
    assert behind(3, {"a-0": WITHOUT_3, "a-1": other}) == set()


def test_a_copy_stands_still_only_after_a_minute_without_a_byte() -> None:
    copies = Copies()
    assert copies.still({"a-0"}, {"a-0": 7}, 0.0) == []
    assert copies.still({"a-0"}, {"a-0": 7}, STILL - 1) == []
    assert copies.still({"a-0"}, {"a-0": 7}, STILL) == ["a-0"]
    assert copies.still({"a-0"}, {"a-0": 8}, STILL + 1) == [], "it moves"
    assert copies.still(set(), {}, 2 * STILL) == []
    assert copies.still({"a-0"}, {"a-0": 8}, 3 * STILL) == [], "it was whole between"


class Host:
    """A broker with its copy of a-0; what was ended."""

    def __init__(self, folder: Path) -> None:
        (folder / "a-0").mkdir()
        (folder / "a-0" / "00000000000000000000.log").write_bytes(b"seven..")
        self.main: Process | None = MAIN
        self.told: dict[str, Mapping[str, Partition] | OSError] = {
            "b1:9092": {"a-0": WITHOUT_3}, "b2:9092": {"a-0": WITHOUT_3},
        }  # fmt: skip
        self.ended: list[Process] = []
        server = Server("kafka", "kafka.service", "b3:9092", tuple(self.told), (str(folder),), 3)
        self.fetching = Fetching(server, lambda: self.main, self.ask, self.end)

    def ask(self, address: str, _timeout: float) -> Mapping[str, Partition]:
        answer = self.told[address]
        if isinstance(answer, OSError):
            raise answer
        return answer

    def end(self, main: Process) -> str:
        self.ended.append(main)
        return "sent SIGKILL"

    def look(self, *times: float) -> None:
        for now in times:
            self.fetching.turn(now)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_it_is_ended_once_and_then_an_alarm(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    host.look(0.0, 5.0, 5.0 + STILL)
    assert host.ended == [MAIN]
    host.main = Process(4712, 100)
    host.look(100.0, 105.0, 105.0 + STILL)
    assert host.ended == [MAIN], f"within {ONCE:.0f} s it is not ended again"
    said = capfd.readouterr().err.splitlines()
    assert [line.partition(" stand still")[0] for line in said] == [
        "<2>alarm hang-kafka: 1 copies of kafka.service"
    ] * 2
    assert "though it was restarted for that" in said[1]


@pytest.mark.parametrize("answer", [OSError("silent"), {"a-0": WHOLE}])
def test_where_not_all_others_say_so_it_is_let_alone(
    host: Host, answer: Mapping[str, Partition] | OSError
) -> None:
    host.told["b2:9092"] = answer
    host.look(0.0, 5.0, 5.0 + STILL, 5.0 + 2 * STILL)
    assert not host.ended


def test_one_that_has_not_served_yet_is_let_alone(host: Host) -> None:
    host.main = None
    host.look(0.0, 5.0, 5.0 + STILL)
    assert not host.ended


def test_a_new_process_begins_anew(host: Host) -> None:
    host.look(0.0, 5.0, STILL - 1)
    host.main = Process(4712, 100)
    host.look(STILL, STILL + 5.0, 2 * STILL)
    assert not host.ended
