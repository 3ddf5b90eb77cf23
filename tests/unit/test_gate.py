"""The gate's questions and waits: who is in sync, whether the others serve, for how long."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kazoo.exceptions import NoNodeError

from standfast import ensemble, gate, registered
from standfast.copies import Fault
from standfast.errors import Failure
from tests.unit import voters_base
from tests.unit.voters_base import members

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


# --- a voter that a last stand left out ---

ME = 1


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ensemble.Places:
    """Voter 1 has data, and no record of a last stand."""
    made = ensemble.Places(narrowed=tmp_path / "ensemble", home=tmp_path)
    monkeypatch.setattr(ensemble, "Places", lambda: made)
    made.data.mkdir(parents=True)
    made.log.mkdir(parents=True)
    return made


def narrowed(places: ensemble.Places, *voters: int) -> None:
    """Its own record names these."""
    places.narrowed.mkdir()
    record = ensemble.Record(voters, 1_700_000_000.0, "ops@desk", 3, 16)
    (places.narrowed / ensemble.RECORD).write_text(record.dump())


def starts(places: ensemble.Places, *others: str, deadline: float = 0.0) -> int:
    """The gate's exit code."""
    return gate.run(
        argparse.Namespace(
            kind="zookeeper", others=",".join(others), id=ME, deadline=deadline,
            log=places.log.parent, data=places.data.parent, aside=places.home / "aside",
        )
    )  # fmt: skip


def test_a_voter_that_was_left_out_does_not_start_on_its_old_data(
    places: ensemble.Places, capsys: pytest.CaptureFixture[str]
) -> None:
    with voters_base.voter(members(2, 4)) as serves, voters_base.refusing() as away:
        assert starts(places, away, serves) == 1
    said = capsys.readouterr().err
    assert "alarm gate-zookeeper: voter 1 must not start: since a last stand" in said
    assert f"{serves} (voters 2 4) serves without it; fab rejoin" in said
    assert places.data.exists(), "its data are the operator's to judge"


def test_a_voter_that_was_left_out_stays_out_while_nobody_is_in_reach(
    places: ensemble.Places, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that serves restarts, as it does when another is brought back."""
    with voters_base.voter(members(2, 4)) as serves:
        assert starts(places, serves) == 1
    with voters_base.refusing() as away:
        assert starts(places, away) == 1
        assert f"rm {places.left_out}" in capsys.readouterr().err
        places.left_out.unlink()  # as fab rejoin does
        assert starts(places, away) == 0


def test_another_that_was_left_out_vouches_for_nobody(places: ensemble.Places) -> None:
    """It runs with all voters, and may be of an ensemble that there should not be."""
    ensemble.leave_out(places)
    with voters_base.voter(members(1, 2, 3, 4, 5)) as other:
        assert starts(places, other) == 1


@pytest.mark.parametrize(("deadline", "waits"), [(60.0, gate.LEFT_OUT), (5.0, 5.0)])
def test_it_waits_no_longer_than_it_may(
    places: ensemble.Places, clock: Clock, deadline: float, waits: float
) -> None:
    with voters_base.voter(members(2, 4)) as serves:
        assert starts(places, serves, deadline=deadline) == 1
    assert clock.now - 1000.0 == pytest.approx(waits, abs=1.0)


def test_an_empty_voter_that_was_left_out_starts(places: ensemble.Places) -> None:
    """It does not vote: it cannot be an ensemble of its own."""
    places.data.rmdir()
    places.log.rmdir()
    with voters_base.voter(members(2, 4)) as serves:
        assert starts(places, serves) == 0


def test_a_voter_whose_record_names_it_comes_back(places: ensemble.Places) -> None:
    """The others take it in after it."""
    narrowed(places, 1, 2, 4)
    with voters_base.voter(members(2, 4)) as serves, voters_base.voter(members(1, 2, 4)) as wider:
        assert starts(places, serves, wider) == 0


def test_a_record_of_others_lets_no_voter_start(places: ensemble.Places) -> None:
    narrowed(places, 2, 4)
    with voters_base.voter(members(2, 4)) as serves:
        assert starts(places, serves) == 1


@pytest.mark.parametrize(
    ("mine", "serve"), [((1, 2, 4), (2,)), ((1, 2, 4), (2, 5)), ((1,), (2,)), ((1, 2), (3,))]
)
def test_a_voter_of_an_earlier_last_stand_does_not_start_beside_a_later_one(
    places: ensemble.Places,
    mine: tuple[int, ...],
    serve: tuple[int, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Voters 1 and 4 would be enough for an ensemble of their record's three."""
    narrowed(places, *mine)
    with voters_base.voter(members(*serve)) as serves:
        assert starts(places, serves) == 1
    assert "fab rejoin" in capsys.readouterr().err


def test_a_record_that_makes_no_sense_lets_no_voter_start(places: ensemble.Places) -> None:
    narrowed(places, 1)
    (places.narrowed / ensemble.RECORD).write_text("{")
    with pytest.raises(Failure, match=ensemble.RECORD):
        starts(places)


def test_a_voter_that_nobody_serves_without_starts_at_once(places: ensemble.Places) -> None:
    with ExitStack() as stack:
        start: Callable[[Any], str] = stack.enter_context
        silent = [start(voters_base.silent()) for _ in range(3)]
        others = [start(voters_base.refusing()), start(voters_base.voter()), *silent]
        began = time.monotonic()
        assert starts(places, *others, deadline=60.0) == 0
        assert time.monotonic() - began < 2.0
        assert starts(places, start(voters_base.voter(members(1, 2, 3, 4, 5)))) == 0
