"""What was asked of a cluster becomes typed data; what makes no sense becomes a complaint."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cluster import due, health
from cluster.snapshot import snapshot
from tests.unit import snapshots_base as captured
from tests.unit import verify_base

PARTS = ("registry", "topics")
MANY = ("voters", "brokers", "groups", "overrides")


def test_a_healthy_cluster_is_read_whole() -> None:
    seen = captured.seen("healthy")
    lab = verify_base.lab()
    assert seen.voters.keys() == lab.voters.keys()
    assert [v.state for v in seen.voters.values()].count("leader") == 1
    assert seen.registry.brokers.keys() == {1, 2, 3}
    assert seen.registry.controller in {1, 2, 3}
    assert seen.brokers.keys() == lab.hosts.keys()
    assert {"trades", "__consumer_offsets"} <= seen.topics.topics.keys()
    assert seen.groups.keys() == lab.consumers.keys()
    assert seen.machines.keys() == lab.voters.keys()
    assert not seen.unasked
    assert not [x for x in (*seen.voters.values(), seen.registry, seen.topics) if x.complaint]
    assert not [x for x in (*seen.groups.values(), *seen.overrides.values()) if x.complaint]


def test_a_captured_healthy_cluster_has_nothing_due_and_everything_staged() -> None:
    sets = {name: verify_base.sets(name) for name in verify_base.lab().voters}
    seen = captured.seen("healthy")
    assert due.due(verify_base.lab(), sets, seen) == {}
    assert due.not_staged(sets, seen) == {}


def test_a_machine_that_could_not_be_asked_is_named_with_why() -> None:
    seen = captured.seen("machine-dead")
    assert seen.unasked.keys() == {"kafka2"}
    assert seen.unasked["kafka2"]
    assert "kafka2" not in seen.machines


def test_answers_that_were_cut_short_become_complaints() -> None:
    seen = captured.seen("unreadable")
    for complaint in (
        seen.registry.complaint,
        seen.topics.complaint,
        seen.groups["collector"].complaint,
        seen.brokers["kafka1"].complaint,
        seen.overrides["kafka1"].complaint,
        *(seen.unasked[name] for name in ("kafka1", "kafka2")),
    ):
        assert complaint
    # A voter whose figures break off before its state does not serve, as far as anybody knows.
    assert seen.voters["kafka1"].state == ""
    assert seen.ends == {}


def test_partitions_are_known_though_their_settings_are_not_and_that_is_unhealthy() -> None:
    """A broker reads the settings from ZooKeeper, which has no quorum here."""
    seen = captured.seen("zookeeper-no-quorum")
    assert seen.topics.unset
    assert len(seen.topics.topics["trades"].partitions) == 6
    assert health.writable(seen.topics)


def cut(answer: Any) -> Any:
    """Half of an answer."""
    return dict(list(answer.items())[: len(answer) // 2])


def wrong(answer: Any) -> Any:
    """Every value another thing than expected."""
    return dict.fromkeys(answer, 7)


NONSENSE: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda _: {},
    "cut in the middle": cut,
    "other kinds of values": wrong,
    "a list": lambda answer: list(answer),
    "a text": json.dumps,
    "null": lambda _: None,
    "a number": lambda _: 7,
}


@pytest.mark.parametrize("what", NONSENSE)
@pytest.mark.parametrize("part", [*PARTS, *MANY])
def test_nonsense_is_a_complaint_and_never_an_exception(part: str, what: str) -> None:
    answers = captured.answers("healthy")
    if part in PARTS:
        answers[part] = NONSENSE[what](answers[part])
        found = [getattr(snapshot(answers), part)]
    else:
        answers[part] = {name: NONSENSE[what](a) for name, a in answers[part].items()}
        found = list(getattr(snapshot(answers), part).values())
    assert found
    assert all(f"{x.complaint}{getattr(x, 'state', '')}" != "leader" for x in found)
    assert all(x.complaint or not getattr(x, "state", "") for x in found)
    if what != "cut in the middle":
        assert all(x.complaint for x in found)


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_of_a_machine_makes_it_unasked(what: str) -> None:
    answers = captured.answers("healthy")
    answers["machines"]["kafka1"] = NONSENSE[what](answers["machines"]["kafka1"])
    seen = snapshot(answers)
    assert "kafka1" not in seen.machines
    assert seen.unasked["kafka1"]


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_of_high_watermarks_is_none_at_all(what: str) -> None:
    answers = captured.answers("healthy")
    answers["ends"] = NONSENSE[what](answers["ends"])
    assert snapshot(answers).ends == {}


def test_a_part_that_was_not_asked_is_a_complaint() -> None:
    seen = snapshot({"at": 1.0})
    assert seen.registry.complaint == seen.topics.complaint == "was not asked"
    assert health.ensemble(verify_base.lab(), seen.voters)
    assert health.whole(seen.topics)


@pytest.mark.parametrize("name", captured.names())
def test_every_captured_state_is_small_and_can_be_read(name: str) -> None:
    assert len((captured.FOLDER / f"{name}.json").read_bytes()) < 30_000
    assert captured.seen(name).at > 1.7e9
