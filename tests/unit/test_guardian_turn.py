"""A guardian's turns: what it does with a decision, when it does nothing, and whom it tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from standfast import guardian
from standfast.guardian import EVERY, TOO_LATE, Config, Guardian
from standfast.laststand import ALONE, BELIEF, Action, Record, Sight, Topic
from standfast.standing import PATIENCE, Unknown

ME, NOW = 3, 1_700_000_000.0
SAVED = {"min.insync.replicas": "2", "flush.messages": None}
RECORD = Record(ME, NOW - 60, {"trades": SAVED})
WHOLE = {"trades": Topic({"min.insync.replicas": "2"}, [(3,)], [3])}
LOWERED = {"trades": Topic(dict(ALONE), [(3,)], [3])}
BACK = {"trades": Topic(dict(ALONE), [(1, 3)], [3])}
HALF = {"trades": Topic(dict(ALONE), [(3,), (1, 2)], [3, 3])}


@dataclass
class Place:
    """A guardian in a world of two variables: what ZooKeeper holds, and the time."""

    folder: Path
    registered: frozenset[int] = frozenset({ME})
    record: Record | None = None
    topics: dict[str, Topic] = field(default_factory=lambda: WHOLE)
    flush: bool = True
    clock: float = 1000.0
    look_takes: list[float] = field(default_factory=list)
    topics_take: float = 0.0
    unknown: bool = False  # every look
    lost: bool = False  # the answer to every change
    reads: int = 0
    applied: list[Action] = field(default_factory=list)
    synced: list[Path] = field(default_factory=list)

    def start(self) -> Guardian:
        """A new process."""
        brokers = {1: "a:1", ME: "c:1"}
        paths = (self.folder, self.folder / "journal", self.folder / "shown")
        it = Guardian(Config(ME, (), brokers, 2, self.flush, *paths), None)
        it.registry = SimpleNamespace(look=self._look, topics=self._topics, apply=self._apply)  # type: ignore[assignment]
        return it

    def _look(self, me: int, ask_others: Callable[[], frozenset[int]]) -> Sight:
        if self.unknown:
            raise Unknown("no quorum")
        self.clock += self.look_takes.pop(0) if self.look_takes else 0.0
        return Sight(self.registered, frozenset(), self.record)

    def _topics(self) -> dict[str, Topic]:
        self.reads += 1
        self.clock += self.topics_take
        return self.topics

    def _apply(self, action: Action) -> None:
        self.applied.append(action)
        self.record = action.record
        self.topics = LOWERED if action.do == "lower" else WHOLE
        if self.lost:
            raise Unknown("no answer")

    def turns(self, it: Guardian, seconds: float) -> list[str]:
        """Turns for so long, one every EVERY seconds; what each did."""
        did = []
        for _ in range(round(seconds / EVERY)):
            did.append(it.turn().do)
            self.clock += EVERY
        return did

    def journal(self) -> list[str]:
        path = self.folder / "journal"
        return [json.loads(line)["did"] for line in path.read_text().splitlines()]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    it = Place(tmp_path)
    clock = SimpleNamespace(monotonic=lambda: it.clock, time=lambda: NOW)

    def thread(target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> Any:
        return SimpleNamespace(start=lambda: target(*args))

    monkeypatch.setattr(guardian, "time", clock)
    monkeypatch.setattr(guardian, "threading", SimpleNamespace(Thread=thread))
    monkeypatch.setattr(guardian, "sync", it.synced.append)
    return it


def alarms(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The causes since the last time."""
    lines = capsys.readouterr().err.splitlines()
    return [line.split("alarm ")[1].split(":")[0] for line in lines if "alarm " in line]


def test_it_lowers_once_it_was_alone_for_long_enough(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    it = place.start()
    assert place.turns(it, 3.0) == ["nothing"] * 3 + ["lower"] + ["hold"] * 2
    assert place.clock - 1000.0 > BELIEF
    assert [a.topics for a in place.applied] == [{"trades": ALONE}]
    assert (alarms(capsys), place.journal(), place.synced) == (["last-stand"], ["lower"], [])
    assert Record.load((place.folder / "shown").read_bytes()) == place.record


def test_the_topics_are_read_only_when_they_matter(place: Place) -> None:
    it = place.start()
    place.turns(it, BELIEF)
    assert place.reads == 0
    place.registered = frozenset({1, ME})
    place.turns(it, 5.0)
    assert place.reads == 0
    place.record, place.topics = RECORD, LOWERED
    place.turns(it, EVERY)
    assert place.reads == 1


def test_a_look_that_took_too_long_is_no_ground_for_an_action(place: Place) -> None:
    it = place.start()
    place.turns(it, 1.5)
    place.look_takes = [TOO_LATE + 0.1, TOO_LATE + 0.1]
    with pytest.raises(Unknown, match="too long"):
        it.turn()
    assert place.applied == []


def test_nothing_is_put_back_on_a_late_look_either(place: Place) -> None:
    it = place.start()
    place.registered, place.record, place.topics = frozenset({1, ME}), RECORD, BACK
    place.look_takes = [TOO_LATE + 0.1, TOO_LATE + 0.1]
    with pytest.raises(Unknown, match="too long"):
        it.turn()
    assert place.applied == []


def test_many_topics_are_lowered_after_a_second_look_at_who_lives(place: Place) -> None:
    it = place.start()
    place.topics_take = TOO_LATE + 1
    assert place.turns(it, 2.0)[-1] == "lower"


def test_many_topics_are_not_lowered_when_another_came_meanwhile(place: Place) -> None:
    it = place.start()
    place.turns(it, 1.5)

    def slow() -> dict[str, Topic]:
        place.clock += TOO_LATE + 1
        place.registered = frozenset({1, ME})
        return WHOLE

    it.registry.topics = slow  # type: ignore[method-assign]
    assert it.turn().do == "nothing"
    assert place.applied == []


def test_a_guardian_that_stood_still_while_it_read_the_topics_does_not_lower(place: Place) -> None:
    it = place.start()
    place.turns(it, 1.5)
    place.topics_take = EVERY + 2 * PATIENCE + 1
    assert it.turn().do == "nothing"
    assert place.applied == []


def test_a_guardian_that_stood_still_believes_nothing(place: Place) -> None:
    it = place.start()
    place.turns(it, 1.0)
    place.clock += EVERY + 2 * PATIENCE + 0.1
    assert place.turns(it, 2.0) == ["nothing"] * 3 + ["lower"]


def test_another_that_was_there_for_one_look_begins_it_anew(place: Place) -> None:
    it = place.start()
    place.turns(it, 1.0)
    place.registered = frozenset({1, ME})
    place.turns(it, EVERY)
    place.registered = frozenset({ME})
    assert place.turns(it, 2.0) == ["nothing"] * 3 + ["lower"]


class Turns:
    """A stop that comes after some turns; between two of them the time passes."""

    def __init__(self, place: Place, count: int) -> None:
        self.place, self.left = place, count

    def __bool__(self) -> bool:
        return self.left == 0

    def wait(self, seconds: float, _watchdog: object, _status: str) -> None:
        self.place.clock += seconds
        self.left -= 1


def test_a_look_that_failed_believes_nothing(place: Place) -> None:
    it = place.start()
    it.watch(Turns(place, 3))  # type: ignore[arg-type]
    place.unknown = True
    it.watch(Turns(place, 1))  # type: ignore[arg-type]
    place.unknown = False
    it.watch(Turns(place, 3))  # type: ignore[arg-type]
    assert place.applied == []
    it.watch(Turns(place, 1))  # type: ignore[arg-type]
    assert [a.do for a in place.applied] == ["lower"]


def test_topics_that_cannot_be_read_for_long_are_worth_a_line(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    it = place.start()

    def broken() -> dict[str, Topic]:
        raise Unknown("no such node")

    it.registry.topics = broken  # type: ignore[method-assign]
    place.record = RECORD
    it.watch(Turns(place, 40))  # type: ignore[arg-type]
    assert capsys.readouterr().err.count("no such node") == 1


def test_a_change_whose_answer_was_lost_is_told_and_synced(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.flush, place.lost = False, True
    it = place.start()
    it.watch(Turns(place, 4))  # type: ignore[arg-type]
    assert (len(place.applied), place.synced) == (1, [])
    assert alarms(capsys) == []
    it.watch(Turns(place, 20))  # type: ignore[arg-type]
    assert len(place.applied) == 1
    assert alarms(capsys) == ["last-stand"]
    assert (place.journal(), place.synced) == (["hold"], [place.folder])


def test_a_guardian_whose_forerunner_died_tells_and_syncs_once(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.flush, place.record, place.topics = False, RECORD, HALF
    it = place.start()
    place.turns(it, 1.5)
    assert (place.synced, alarms(capsys)) == ([], [])
    place.turns(it, 10.0)
    assert (place.synced, alarms(capsys)) == ([place.folder], ["last-stand", "offline"])
    assert place.journal() == ["hold"]
    place.turns(place.start(), 10.0)
    assert place.synced == [place.folder] * 2


def test_where_each_record_is_flushed_anyway_nothing_is_synced(place: Place) -> None:
    place.record, place.topics = RECORD, LOWERED
    place.turns(place.start(), 10.0)
    assert place.synced == []


def test_the_next_last_stand_is_told_and_synced_as_well(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.flush, place.record, place.topics = False, RECORD, LOWERED
    it = place.start()
    place.turns(it, 5.0)
    place.record = replace(RECORD, since=NOW)
    place.turns(it, 5.0)
    assert (alarms(capsys), place.synced) == (["last-stand"] * 2, [place.folder] * 2)


def test_a_partition_that_becomes_offline_later_is_an_alarm_once(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    it = place.start()
    place.turns(it, 5.0)
    assert alarms(capsys) == ["last-stand"]
    place.topics = HALF
    place.turns(it, 5.0)
    assert alarms(capsys) == ["offline"]
    place.topics = LOWERED
    place.turns(it, 5.0)
    assert alarms(capsys) == []
    place.topics = HALF
    place.turns(it, 5.0)
    assert alarms(capsys) == ["offline"]


def test_where_there_is_nothing_to_lower_nobody_is_alarmed(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.topics = {"scratch": Topic({"min.insync.replicas": "1"}, [(3,)], [1])}
    it = place.start()
    assert set(place.turns(it, 10.0)) == {"nothing"}
    assert (place.applied, alarms(capsys)) == ([], [])


def test_the_end_is_told_and_noted(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    it = place.start()
    place.registered, place.record, place.topics = frozenset({1, ME}), RECORD, LOWERED
    assert place.turns(it, 1.0) == ["hold", "hold"]
    assert alarms(capsys) == []
    place.topics = BACK
    assert place.turns(it, 1.0) == ["restore", "nothing"]
    assert (alarms(capsys), place.journal()) == (["last-stand-over"], ["restore"])
    assert not (place.folder / "shown").exists()
