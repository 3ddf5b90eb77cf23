"""The gate's questions and waits: who is in sync, whether the others serve, for how long."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kazoo.exceptions import NoNodeError

from standfast import gate, registered
from standfast.copies import Fault

# --- the other voters ---

L, F, NONE = "leader", "follower", None


@pytest.mark.parametrize(
    ("modes", "serve"),
    [
        ([L, F], True),
        ([L, NONE], False),
        ([L, ""], False),
        ([F, F], False),
        ([NONE, NONE], False),
        ([L, F, F, F], True),
        ([L, F, F, NONE], True),
        ([F, NONE, L, F], True),
        ([L, F, NONE, NONE], False),
        ([L, F, "", ""], False),
        ([F, F, F, F], False),
        (["standalone", "standalone"], False),
    ],
)
def test_a_quorum_is_a_leader_and_a_majority_of_all_voters(
    modes: list[str | None], serve: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mode(address: str, timeout: float) -> str:
        answer = modes[int(address)]
        if answer is None:
            raise ConnectionError("refused")
        return answer

    monkeypatch.setattr("standfast.questions.zookeeper_mode", mode)
    assert gate.quorum([str(n) for n in range(len(modes))]) is serve


# --- what ZooKeeper says of the copies ---


class Answer:
    def __init__(self, content: Any) -> None:
        self._content = content

    def get(self, timeout: float) -> Any:
        if isinstance(self._content, Exception):
            raise self._content
        return self._content


class Client:
    """A ZooKeeper whose nodes are `tree`; the paths in `gone` are listed, and not there."""

    connected = True

    def __init__(self, tree: dict[str, Any], gone: str = "") -> None:
        self.tree, self.gone = tree, gone

    def sync_async(self, path: str) -> Answer:
        return Answer(path)

    def exists_async(self, path: str) -> Answer:
        there = any(node == path or node.startswith(f"{path}/") for node in self.tree)
        return Answer(SimpleNamespace(version=0) if there else None)

    def get_children_async(self, path: str) -> Answer:
        inside = [node for node in self.tree if node.startswith(f"{path}/")]
        names = sorted({node[len(path) + 1 :].split("/")[0] for node in inside})
        return Answer(names if names or path in self.tree else NoNodeError())

    def get_async(self, path: str) -> Answer:
        if path not in self.tree or path == self.gone:
            return Answer(NoNodeError())
        content = json.dumps(self.tree[path]).encode()
        return Answer((content, SimpleNamespace(version=3, mtime=5)))


def tree(**config: str) -> dict[str, Any]:
    """A topic of two partitions: broker 1 is in sync with the first."""
    topic = "/brokers/topics/trades"
    return {
        topic: {"partitions": {"0": [1, 2], "1": [2, 1]}},
        f"{topic}/partitions/0/state": {"leader": 1, "isr": [1, 2]},
        f"{topic}/partitions/1/state": {"leader": 2, "isr": [2]},
        "/config/topics/trades": {"version": 1, "config": config},
    }


def test_a_broker_learns_which_of_its_copies_are_in_sync() -> None:
    mine = gate.partitions(Client(tree()), 1, flush=True)
    assert mine.in_sync == {"trades-0": True, "trades-1": False}
    assert mine.compacted == {"trades-0": False, "trades-1": False}
    assert mine.flushed == {"trades-0": True, "trades-1": True}


def test_a_topic_says_itself_how_it_is_kept() -> None:
    config = {"cleanup.policy": "compact,delete", "flush.messages": "10000"}
    mine = gate.partitions(Client(tree(**config)), 1, flush=True)
    assert mine.compacted["trades-0"]
    assert not mine.flushed["trades-0"]


def test_where_no_broker_ever_started_nothing_is_in_sync() -> None:
    assert gate.partitions(Client({}), 1, flush=True) == gate.Mine()
    assert gate.partitions(Client({"/brokers/topics": None}), 1, flush=True) == gate.Mine()


@pytest.mark.parametrize("gone", ["/brokers/topics/trades", "/config/topics/trades"])
def test_a_topic_that_goes_while_it_is_read_is_asked_for_again(gone: str) -> None:
    client = Client(tree(), gone)
    with pytest.raises(registered.errors(), match="a topic was deleted while it was read"):
        gate.partitions(client, 1, flush=True)
    looks = []

    def ask() -> gate.Mine:
        looks.append(len(looks))
        client.gone = gone if len(looks) < 3 else ""
        return gate.partitions(client, 1, flush=True)

    mine = gate._asked(ask, deadline=float("inf"))
    assert isinstance(mine, gate.Mine)
    assert mine.in_sync["trades-0"], "a damaged broker would start unchecked"


# --- how long it waits ---


class Clock:
    """Time that passes only where the gate sleeps or reads."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def strftime(self, form: str) -> str:
        return form


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(gate, "time", made)
    return made


def broker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: Clock, takes_over: float
) -> argparse.Namespace:
    """A broker with a damaged copy that takes 500 s to read; others lead from `takes_over` on."""

    def faults(*_: object) -> list[Fault]:
        clock.now += 500.0
        return [Fault("trades-0", "it is damaged")]

    def partitions(*_: object) -> gate.Mine:
        return gate.Mine({"trades-0": clock.now < takes_over})

    idle = SimpleNamespace(start_async=lambda: None, stop=lambda: None)
    monkeypatch.setattr("standfast.clients.zookeeper", lambda *_, **__: idle)
    monkeypatch.setattr(gate, "_faults", faults)
    monkeypatch.setattr(gate, "partitions", partitions)
    return argparse.Namespace(
        kind="kafka", zookeeper="a:1", broker_id=1, flush=True, whole=None, deadline=60.0,
        data=tmp_path / "data", aside=tmp_path / "aside",
    )  # fmt: skip


@pytest.mark.parametrize("takes_over", [1400.0, 1530.0], ids=["while it reads", "afterwards"])
def test_a_broker_that_read_for_long_still_waits_for_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: Clock, takes_over: float
) -> None:
    args = broker(monkeypatch, tmp_path, clock, takes_over)
    assert gate.run(args) == 0


def test_a_broker_that_waited_in_vain_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = broker(monkeypatch, tmp_path, clock, float("inf"))
    assert gate.run(args) == 1
    assert clock.now - 1500.0 == pytest.approx(60.0, abs=1.0)
    assert "broker 1 must not start" in capsys.readouterr().err


def test_a_voter_that_read_for_long_still_waits_for_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: Clock
) -> None:
    def fault(*_: object) -> str:
        clock.now += 500.0
        return "it is damaged"

    monkeypatch.setattr("standfast.zookeeperdata.fault", fault)
    monkeypatch.setattr(gate, "quorum", lambda _: clock.now > 1530.0)
    args = argparse.Namespace(
        kind="zookeeper", others="a:1,b:1", deadline=60.0, log=tmp_path / "log",
        data=tmp_path / "data", aside=tmp_path / "aside",
    )  # fmt: skip
    (tmp_path / "data" / "version-2").mkdir(parents=True)
    assert gate.run(args) == 0
    assert not (tmp_path / "data" / "version-2").exists(), "its leader sends it everything"
