"""Who may lead a partition whose in-sync copies are gone, what that costs, and what is refused."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import connect
from cluster.model import Cluster
from cluster.rescue import Copy, Election, Stranded, election, lost
from standfast import clients
from tasks import rescue
from tests.unit.inventory_base import loaded

HOSTS = ("kafka1", "kafka2", "kafka3")
AWAY = "cannot be asked over SSH: timed out"
TORN = "00.log: the batch at byte 7 fails its checksum"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return loaded(tmp_path_factory.mktemp("inventory"))


def stranded(**more: Any) -> Stranded:
    """trades/3: kafka1 alone was in sync, and is away; the two others live, and hold less."""
    known: dict[str, Any] = {
        "topic": "trades", "number": 3, "isr": ("kafka1",), "replicas": HOSTS,
        "copies": {"kafka2": Copy(14, 9346, 9346), "kafka3": Copy(14, 9120, 9120)},
        "silent": {"kafka1": AWAY}, "read": {}, "alive": frozenset({"kafka2", "kafka3"}),
    }  # fmt: skip
    return Stranded(**{**known, **more})


def two(second: Copy, third: Copy) -> Stranded:
    return stranded(copies={"kafka2": second, "kafka3": third})


# --- who is elected ---


@pytest.mark.parametrize(
    ("second", "third", "leads"),
    [
        (Copy(14, 9346), Copy(14, 9120), "kafka2"),
        (Copy(14, 9120), Copy(14, 9346), "kafka3"),
        (Copy(13, 9346), Copy(14, 9120), "kafka3"),
        (Copy(14, 9346), Copy(14, 9346), "kafka2"),
        (Copy(-1, 0), Copy(0, 1), "kafka3"),
        (Copy(15, 9999, fault=TORN), Copy(14, 9120), "kafka3"),
    ],
    ids=["the longer one", "whoever has it", "a later epoch before more of an earlier",
         "the first of two alike", "an empty one last", "no damaged one"],
)  # fmt: skip
def test_the_most_complete_copy_leads(second: Copy, third: Copy, leads: str) -> None:
    found = two(second, third)
    plan = election(found)
    assert isinstance(plan, Election)
    assert (plan.host, plan.end) == (leads, found.copies[leads].end)


def test_one_whose_in_sync_copy_is_destroyed_though_its_machine_answers_goes_on() -> None:
    gone = Copy(fault="its directory is not there")
    plan = election(stranded(copies={**stranded().copies, "kafka1": gone}, silent={}))
    assert plan == Election("kafka2", 9346, None)


def test_one_that_was_named_as_in_sync_and_not_elected_is_elected_still() -> None:
    """The command was interrupted between the two: a second run mends it."""
    found = stranded(isr=("kafka2",))
    plan = election(found)
    assert plan == Election("kafka2", 9346, None)
    assert lost(found, plan) == (
        "trades/3: kafka2 is in sync, and nobody elected it yet: no more is lost by that"
    )
    unread = election(stranded(isr=("kafka2",), copies={}))
    assert isinstance(unread, Election), "that its disk cannot be read is no obstacle"


def test_another_host_that_is_destroyed_as_well_is_not_waited_for() -> None:
    found = stranded(copies={"kafka2": Copy(14, 9346)}, silent={"kafka1": AWAY, "kafka3": AWAY})
    refused = election(found)
    assert isinstance(refused, str)
    assert "fab rescue --gone kafka3" in refused
    assert isinstance(election(found, ["kafka3"]), Election)


def test_a_host_that_answers_is_not_destroyed(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, why in (("kafka2", "it answers"), ("kafka9", "no such host")):
        with pytest.raises(SystemExit) as ended:
            rescue._destroyed(cluster, name, [stranded()])
        assert ended.value.code == 2
        assert why in capsys.readouterr().err
    assert rescue._destroyed(cluster, "kafka1, ", [stranded()]) == ["kafka1"]


# --- what is refused ---

HELD = {**stranded().copies, "kafka1": Copy(14, 9402, 9402)}
REFUSED: dict[str, tuple[Stranded, tuple[str, ...]]] = {
    "the machine of an in-sync copy answers": (
        stranded(copies=HELD, silent={}),
        ("kafka1 has all of it, and its machine answers: start its broker",
         "journalctl -u kafka.service on kafka1"),
    ),
    "two machines of in-sync copies answer": (
        stranded(isr=("kafka1", "kafka2"), copies=HELD, silent={}, alive=frozenset({"kafka3"})),
        ("kafka1 and kafka2 has all of it",),
    ),
    "another copy could not be asked": (
        stranded(copies={"kafka2": Copy(14, 9346)}, silent={"kafka1": AWAY, "kafka3": AWAY}),
        ("kafka3 could not be asked, and may hold more: switch it on first",),
    ),
    "no machine can be asked": (
        stranded(copies={}, silent=dict.fromkeys(HOSTS, AWAY)),
        ("no copy can be used: ", f"kafka1: {AWAY}; kafka2: {AWAY}", "switch on whoever holds one"),
    ),
    "every copy is damaged": (
        stranded(copies={"kafka2": Copy(fault=TORN), "kafka3": Copy(fault="holds no segment")}),
        ("no copy can be used: ", f"kafka2: {TORN}; kafka3: holds no segment; kafka1: {AWAY}"),
    ),
    "there is one replica, and it is away": (
        stranded(replicas=("kafka1",), copies={}), (f"no copy can be used: kafka1: {AWAY}",),
    ),
    "the best copy's broker is down": (
        stranded(alive=frozenset({"kafka3"})),
        ("kafka2 has the most of it, and its broker is not registered: start it",
         "journalctl -u kafka.service on kafka2"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_nobody_is_elected_while(why: str) -> None:
    found, says = REFUSED[why]
    plan = election(found)
    assert isinstance(plan, str), plan
    for words in says:
        assert words in plan


# --- what is said to be lost ---


def cost(**more: Any) -> tuple[int | None, str]:
    found = stranded(**more)
    plan = election(found)
    assert isinstance(plan, Election)
    return plan.known, lost(found, plan)


BEGIN = "trades/3: what was acknowledged from offset 9346 on is lost for the log"


@pytest.mark.parametrize("read", [{}, {"collector": 9346}, {"collector": 12}])
def test_where_nobody_knows_of_more_the_ledger_is_named(read: dict[str, int]) -> None:
    known, said = cost(read=read)
    assert known is None
    assert said == (
        f"{BEGIN}; nobody that could be asked knows of any. A feed's ledger does: fab audit"
    )


def test_what_a_consumer_had_read_is_lost_for_the_log_and_not_for_its_sink() -> None:
    known, said = cost(read={"collector": 9402, "mine": 9400, "slow": 9346})
    assert known == 9402
    assert said == (
        f"{BEGIN}: offsets 9346 to 9401 at least, 56; the sinks of collector and mine hold what "
        "they had read of it"
    )


def test_what_a_damaged_copy_knows_to_be_acknowledged_counts() -> None:
    damaged = Copy(high=10_600, fault=TORN)
    known, said = cost(copies={**stranded().copies, "kafka1": damaged}, silent={})
    assert known == 10_600
    assert said == f"{BEGIN}: offsets 9346 to 10599 at least, 1,254"


# --- the command's own ---


def test_every_copy_is_shown() -> None:
    out = io.StringIO()
    copies = {"kafka2": Copy(14, 9346, 9340), "kafka3": Copy(high=9120, fault=TORN)}
    rescue.show(Console(file=out, width=120), [stranded(copies=copies)])
    title, *lines = [line.split() for line in out.getvalue().splitlines()]
    assert " ".join(title) == "partition host in sync last epoch end offset acknowledged to"
    assert lines == [
        ["trades/3", "kafka1", "yes", "?", "?", "?", *AWAY.split()],
        ["trades/3", "kafka2", "no", "14", "9,346", "9,340"],
        ["trades/3", "kafka3", "no", "?", "?", "9,120", *TORN.split()],
    ]


def test_one_that_gave_no_answer_at_all_is_shown_as_not_asked() -> None:
    out = io.StringIO()
    rescue.show(Console(file=out, width=120), [stranded(silent={})])
    assert "was not asked" in out.getvalue()


BOTH = [stranded(), stranded(number=5)]


@pytest.mark.parametrize(
    ("elect", "wanted"),
    [
        ("trades/3", ["trades/3"]),
        ("all", ["trades/3", "trades/5"]),
        (" trades/5, trades/3,", ["trades/5", "trades/3"]),
        ("trades/3,trades/3", ["trades/3"]),
    ],
)
def test_what_is_to_be_elected(elect: str, wanted: list[str]) -> None:
    assert rescue._wanted(elect, BOTH) == wanted


@pytest.mark.parametrize(
    ("elect", "says"),
    [
        ("trades/4", "trades/4: is not without a leader; these are: trades/3, trades/5"),
        ("trades/3,all", "all: is not without a leader"),
        ("trades", "trades: is not without a leader"),
        (" , ", "--elect names no partition"),
    ],
)
def test_what_cannot_be_elected_is_nonsense(
    elect: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        rescue._wanted(elect, BOTH)
    assert ended.value.code == 2
    assert f"rescue: {says}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "believed"),
    [("trades/3, trades/5", True), ("trades/5 trades/3", True), ("trades/3", False),
     ("yes", False), ("", False), (None, False)],
)  # fmt: skip
def test_who_gives_records_up_names_them(
    typed: str | None, believed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: object) -> str:
        if typed is None:
            raise EOFError  # Ctrl-D
        return typed

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    console = Console(file=io.StringIO())
    monkeypatch.setattr(console, "input", answer)
    assert rescue._typed(console, ["trades/3", "trades/5"]) is believed


@pytest.mark.parametrize("printed", ["Welcome to kafka1!", "[1]", '{"trades-3": {"more": 1}}'])
def test_a_host_that_answers_nonsense_was_not_asked(
    printed: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str, *_: object) -> str:
        good = {"epoch": 14, "end": 7, "high": 6, "fault": ""}
        return printed if name == "kafka1" else json.dumps({"trades-3": good})

    monkeypatch.setattr(connect, "run", run)
    copies, silent = rescue._copies(cluster, ["trades-3"])
    assert copies["kafka2"] == {"trades-3": Copy(14, 7, 6)}
    assert set(copies) == {"kafka2", "kafka3"}
    assert silent["kafka1"].startswith("kafka1: an answer that makes no sense")


class FakeZooKeeper:
    """The state of one partition, and who is registered; notes what is written."""

    def __init__(self, leader: int, isr: list[int], alive: str) -> None:
        self.state = {"leader": leader, "isr": isr, "leader_epoch": 4}
        self.alive = list(alive)
        self.written: list[dict[str, Any]] = []

    def start(self, timeout: float) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...

    def get(self, _: str) -> tuple[bytes, Any]:
        return json.dumps(self.state).encode(), SimpleNamespace(version=9)

    def get_children(self, _: str) -> list[str]:
        return self.alive

    def set(self, _: str, data: bytes, version: int) -> None:
        assert version == 9
        self.written.append(json.loads(data))


@pytest.mark.parametrize(
    ("leader", "isr", "alive", "written", "says"),
    [
        (-1, [1], "23", [[2]], ""),
        (1, [1], "23", [[2]], ""),
        (-1, [2], "23", [], ""),
        (1, [1], "123", [], "broker 1 is back"),
        (-1, [1], "123", [], "broker 1 is back"),
        (3, [3, 2], "23", [], "broker 3 is back"),
        (-1, [1], "3", [], "the broker on kafka2 is gone"),
        (-1, [2], "3", [], "the broker on kafka2 is gone"),
    ],
)
def test_what_changed_while_the_operator_was_asked_ends_it(
    leader: int,
    isr: list[int],
    alive: str,
    written: list[list[int]],
    says: str,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody is taken out of the in-sync set who lives, and Kafka is not let elect another."""
    fake, ran = FakeZooKeeper(leader, isr, alive), []
    monkeypatch.setattr(clients, "zookeeper", lambda *_, **__: fake)
    monkeypatch.setattr(rescue.ensemble, "serving", lambda _: ["10.0.0.12:2181"])
    monkeypatch.setattr(rescue.ensemble, "until", lambda *_: None)
    monkeypatch.setattr(connect, "run", lambda *words: ran.append(words) or "")
    plan = Election("kafka2", 9346, None)
    if says:
        with pytest.raises(OSError, match=f"trades/3: {says}, and nothing was changed"):
            rescue._elect(cluster, stranded(), plan)
    else:
        rescue._elect(cluster, stranded(), plan)
    assert [state["isr"] for state in fake.written] == written
    assert all(state["leader_epoch"] == 4 for state in fake.written)
    assert len(ran) == (not says)
