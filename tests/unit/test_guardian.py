"""When the last broker may take writes alone, and what is put back afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from standfast import guardian
from standfast.errors import UserError
from standfast.laststand import ALONE, BELIEF, Action, Record, Sight, Topic, changed, decide

ME, NOW = 3, 1_700_000_000.0
OWN = {"min.insync.replicas": "2", "retention.ms": "7"}
LOWERED = {**OWN, **ALONE}
HERE = [(3,), (3,)]
BACK = [(1, 3), (3, 1)]
SAVED = {"min.insync.replicas": "2", "flush.messages": None}
RECORD = Record(ME, NOW - 60, {"trades": SAVED})


def topic(own: dict[str, str], isr: list[tuple[int, ...]], replicas: int = 3) -> Topic:
    return Topic(own, isr, [replicas] * len(isr))


def of(registered: set[int], isr: list[tuple[int, ...]] = HERE, **more: object) -> Sight:
    own = more.pop("own", OWN)
    assert isinstance(own, dict)
    return replace(Sight(frozenset(registered), topics={"trades": topic(own, isr)}), **more)  # type: ignore[arg-type]


def decided(seen: Sight, seconds: float = BELIEF) -> Action:
    return decide(ME, 2, seen, seconds, NOW)


ALIVE = of({1, 2, 3}, [(1, 2, 3), (1, 2, 3)])
SOLE = of({3})
STANDS = of({3}, own=LOWERED, record=RECORD)

TABLE = {
    "three live": (ALIVE, BELIEF, "nothing"),
    "two live, as in a roll": (of({1, 3}, BACK), BELIEF, "nothing"),
    "two live, and the copies of the third still count": (of({1, 3}), BELIEF, "nothing"),
    "nobody is registered": (of(set()), BELIEF, "nothing"),
    "another one is alone, not this one": (of({1}), BELIEF, "nothing"),
    "alone, but only since just now": (SOLE, BELIEF / 2, "nothing"),
    "alone after a look that failed": (SOLE, 0.0, "nothing"),
    # A survivor's session expired with the ZooKeeper server that died.
    "a false alarm: the other answers": (of({3}, answering=frozenset({1})), BELIEF, "nothing"),
    "alone for long enough": (SOLE, BELIEF, "lower"),
    "it lasts": (STANDS, 100.0, "hold"),
    "a topic was made meanwhile": (of({3}, record=replace(RECORD, topics={})), 9.0, "lower"),
    "somebody raised it meanwhile": (of({3}, record=RECORD), 9.0, "lower"),
    # A guardian that was restarted in between believes nothing yet, and puts nothing back.
    "restarted while it lasts": (STANDS, 0.0, "hold"),
    "killed between the record and the topics": (of({3}, record=RECORD), 0.0, "hold"),
    "one is back, and not in sync": (replace(STANDS, registered=frozenset({1, 3})), 0.0, "hold"),
    "one is back, in sync": (of({1, 3}, BACK, own=LOWERED, record=RECORD), 0.0, "restore"),
    "one is back, in sync with some": (
        of({1, 3}, [(1, 3), (3,)], own=LOWERED, record=RECORD), 0.0, "hold",
    ),
    "one died again before its copies were struck out": (
        of({3}, BACK, own=LOWERED, record=RECORD), 0.5, "hold",
    ),
    # It hung in the act, lowered a healthy cluster, and looks again.
    "it woke up late": (
        replace(ALIVE, topics={"trades": topic(LOWERED, [(1, 2, 3)])}, record=RECORD),
        0.0, "restore",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_what_a_guardian_does(case: str) -> None:
    seen, seconds, expected = TABLE[case]
    assert decided(seen, seconds).do == expected


@pytest.mark.parametrize("brokers", [{1}, {1, 2}, {1, 3}, {1, 2, 3}, set()])
def test_nothing_is_lowered_unless_this_broker_is_alone(brokers: set[int]) -> None:
    for record in (None, RECORD):
        assert decided(of(brokers, record=record), 3600.0).do != "lower"


def test_what_was_found_is_noted_before_anything_is_changed() -> None:
    action = decided(SOLE)
    assert action.topics == {"trades": ALONE}
    assert action.record == Record(ME, NOW, {"trades": SAVED})


def test_the_first_record_of_a_last_stand_is_kept_when_another_topic_is_added() -> None:
    later = {"trades": topic(LOWERED, HERE), "new": topic({}, HERE)}
    action = decided(replace(STANDS, topics=later))
    assert action.record is not None
    assert action.record.since == RECORD.since
    assert action.record.topics["trades"] == SAVED
    assert action.topics == {"new": ALONE}


def test_a_topic_that_takes_a_single_copy_anyway_is_left_alone() -> None:
    scratch = topic({"min.insync.replicas": "1"}, [(3,)])
    assert decided(replace(SOLE, topics={**SOLE.topics, "scratch": scratch})).topics.keys() == {
        "trades"
    }


def test_where_no_topic_wants_more_than_one_copy_nothing_stands_alone() -> None:
    for topics in ({}, {"scratch": topic({"min.insync.replicas": "1"}, [(3,)])}):
        for record in (None, replace(RECORD, topics={})):
            action = decided(replace(SOLE, topics=topics, record=record))
            assert (action.do, action.record) == ("nothing", None)
            assert "no topic wants more than one copy" in action.why


@pytest.mark.parametrize(
    ("isr", "replicas", "expected"),
    [
        ((1,), 1, "restore"),  # its only copy is in sync
        ((2,), 1, "hold"),  # its host is not back
        ((3,), 2, "hold"),
        ((1, 3), 2, "restore"),
    ],
)
def test_a_partition_is_awaited_until_it_has_all_the_copies_it_can_have(
    isr: tuple[int, ...], replicas: int, expected: str
) -> None:
    single = {"min.insync.replicas": None, "flush.messages": None}
    topics = {"trades": topic(LOWERED, BACK), "other": topic(dict(ALONE), [isr], replicas)}
    record = replace(RECORD, topics={"trades": SAVED, "other": single})
    seen = Sight(frozenset({1, 3}), record=record, topics=topics)
    assert decided(seen, 0.0).do == expected


def test_a_min_isr_above_the_number_of_replicas_is_put_back_as_it_was() -> None:
    own = {"min.insync.replicas": "3"}
    record = replace(RECORD, topics={"trades": {**own, "flush.messages": None}})
    topics = {"trades": topic(dict(ALONE), BACK, 2)}
    action = decided(Sight(frozenset({1, 3}), record=record, topics=topics), 0.0)
    assert action.do == "restore"
    assert changed(ALONE, action.topics["trades"]) == own


def test_a_partition_whose_in_sync_set_left_the_survivor_out_is_named() -> None:
    assert decided(of({3}, [(3,), (1, 2)])).offline == ("trades-1 (in sync: 1, 2)",)


def test_a_topic_that_names_no_min_isr_gets_that_of_the_brokers_back() -> None:
    action = decided(of({3}, own={}))
    assert action.record is not None
    back = decided(of({1, 3}, BACK, own=dict(ALONE), record=action.record), 0.0)
    assert changed(ALONE, back.topics["trades"]) == {}


def test_what_was_there_is_put_back_and_nothing_else_touched() -> None:
    action = decided(of({1, 3}, BACK, own=LOWERED, record=RECORD), 0.0)
    assert action.record is None
    assert changed(LOWERED, action.topics["trades"]) == OWN


def test_what_somebody_set_meanwhile_is_theirs() -> None:
    mine = {**LOWERED, "min.insync.replicas": "3"}
    action = decided(of({1, 3}, BACK, own=mine, record=RECORD), 0.0)
    assert action.topics == {"trades": {"flush.messages": None}}


def test_a_topic_that_was_deleted_meanwhile_keeps_nothing_back() -> None:
    gone = Sight(frozenset({1, 3}), record=RECORD)
    assert decided(gone, 0.0) == replace(decided(gone, 0.0), do="restore", topics={})


def test_a_record_survives_zookeeper() -> None:
    assert Record.load(RECORD.dump()) == RECORD


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"survivor": 1, "since": 1, "topics": 3}'])
def test_a_record_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Record.load(data)


def test_the_survivors_disk_is_synced_and_a_failure_is_an_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guardian.sync(tmp_path)
    assert "is on the disk" in capsys.readouterr().err
    guardian.sync(tmp_path / "gone")
    assert "alarm last-stand" in capsys.readouterr().err


GOOD = """
broker_id = 1
zookeeper = ["198.18.0.11:2181"]
min_insync_replicas = 2
flush = true
data = "/data"
journal = "/journal"
shown = "/shown"
[brokers]
1 = "198.18.0.11:9092"
"""


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("flush = true\n", ""), "flush: missing"),
        (("broker_id = 1", "broker_id = 'one'"), "one"),
        (("[brokers]\n", ""), "brokers"),
        (("zookeeper = [", "zookeeper = ["), ""),
    ],
)
def test_a_wrong_configuration_is_one_sentence(
    tmp_path: Path, change: tuple[str, str], named: str
) -> None:
    path = tmp_path / "guardian.toml"
    path.write_text(GOOD.replace(*change))
    if not named:
        assert guardian.read(path).brokers == {1: "198.18.0.11:9092"}
        return
    with pytest.raises(UserError, match=named):
        guardian.read(path)
