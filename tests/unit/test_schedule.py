"""The plan of a run: the same seed gives the same one, and each rung has its share."""

from __future__ import annotations

from collections import Counter

import pytest

from drills.faults import KINDS, counted, matrix
from drills.plan import Names
from drills.schedule import flat, schedule

NAMES = Names(
    ("kafka1", "kafka2", "kafka3"),
    ("witness1", "witness2"),
    ("db1",),
    ("collector", "archive"),
    ("large-trades",),
)
SEEDS = range(12)


def test_the_same_seed_gives_the_same_plan() -> None:
    assert schedule(7, NAMES, 200) == schedule(7, NAMES, 200)
    assert schedule(7, NAMES, 200) != schedule(8, NAMES, 200)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_hundred_faults_are_of_more_than_twenty_kinds(seed: int) -> None:
    plan = flat(schedule(seed, NAMES, 200))
    assert sum(map(counted, plan)) >= 200
    assert len({planned.kind for planned in plan}) >= 35


@pytest.mark.parametrize("seed", SEEDS)
def test_each_rung_of_the_ladder_is_climbed_ten_times(seed: int) -> None:
    often = Counter(planned.kind for planned in flat(schedule(seed, NAMES, 200)))
    in_turn = often["silent deaths in turn"]
    assert in_turn + often["silent death"] >= 10
    assert in_turn >= 10
    assert often["silent deaths at once"] >= 10
    assert often["power cut on all"] >= 10


@pytest.mark.parametrize("seed", SEEDS)
def test_two_faults_at_the_same_moment_hit_different_hosts(seed: int) -> None:
    for batch in schedule(seed, NAMES, 200):
        assert len({planned.targets for planned in batch}) == len(batch)
        assert len(batch) == 1 or all(KINDS[planned.kind].light for planned in batch)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_order_of_two_deaths_comes_and_each_aim_is_hit(seed: int) -> None:
    plan = [p for p in flat(schedule(seed, NAMES, 300)) if p.kind == "silent deaths in turn"]
    assert len({planned.targets for planned in plan}) == 6
    assert {planned.aim for planned in plan} >= {"controller", "coordinator", "zookeeper leader"}


def test_a_plan_is_of_the_kinds_asked_for_alone() -> None:
    plan = flat(schedule(1, NAMES, 20, only=["power cut", "kill -9 of kafka"]))
    assert {planned.kind for planned in plan} == {"power cut", "kill -9 of kafka"}
    with pytest.raises(ValueError, match="no such kind of fault: flood"):
        schedule(1, NAMES, 20, only=["flood"])


def test_without_witnesses_or_a_database_nothing_is_planned_for_them() -> None:
    names = Names(NAMES.hosts, collectors=NAMES.collectors)
    plan = flat(schedule(1, names, 200))
    assert {host for planned in plan for host in planned.targets} == set(names.hosts)


def test_every_combination_of_the_matrix_names_its_targets() -> None:
    combinations = matrix(NAMES)
    assert {planned.kind for planned in combinations} == set(KINDS)
    assert all(planned.targets for planned in combinations)
