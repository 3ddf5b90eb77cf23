"""What a fault does on a host, as text; and the ladder's figures out of a list of faults."""

from __future__ import annotations

from drills.faults import KINDS, NOT_HERE, counted, cuts
from drills.ground import Entry
from drills.judge import ladder
from drills.plan import Planned
from drills.seen import java_hash


def test_a_cut_loses_packets_both_ways_and_one_way_only_one() -> None:
    both = cuts.between(["198.18.0.12"])
    assert "ip saddr 198.18.0.12 drop" in both
    assert "ip daddr 198.18.0.12 drop" in both
    one = cuts.between(["198.18.0.12"], both=False)
    assert "ip saddr 198.18.0.12 drop" in one
    assert "daddr" not in one


def test_a_lossy_link_loses_by_chance() -> None:
    assert "numgen random mod 100 < 10 drop" in cuts.between(["198.18.0.12"], odds=10)


def test_a_cut_replaces_what_an_earlier_fault_left() -> None:
    assert cuts.rules([], []).startswith("nft delete table inet drill")


def test_deaths_in_turn_are_one_fault_each() -> None:
    assert counted(Planned("silent deaths in turn", ("kafka1", "kafka2"), gap=6.0)) == 2
    assert counted(Planned("silent deaths at once", ("kafka1", "kafka2"), gap=1.0)) == 1


def test_what_is_not_to_be_had_is_no_kind_and_has_a_reason() -> None:
    assert not set(NOT_HERE) & set(KINDS)
    assert all(len(why) > 20 for why in NOT_HERE.values())


def test_a_groups_place_is_where_java_would_look() -> None:
    assert java_hash("") == 0
    assert java_hash("a") == 97
    assert java_hash("polygenelubricants") == 2**31


def entry(kind: str, rung: str, pause: float, unit: str = "", **more: object) -> Entry:
    return Entry(kind, rung, ["kafka1"], unit, pause=pause, **more)  # type: ignore[arg-type]


def test_the_ladder_takes_each_rungs_faults_those_that_did_not_heal_too() -> None:
    found = ladder.figures(
        [
            entry("silent death", "machine", 6.0),
            entry("power cut", "machine", 7.0),
            entry("power off", "machine", 99.0),
            entry("silent death", "machine", 99.0, error="waited in vain"),
            entry("silent death", "second machine", 12.0),
            entry("power cut", "all machines", 50.0, since_sshd=21.0),
        ],
        ["collector"],
    )
    by_name = {one.rung.name: one for one in found}
    one = by_name["one machine's death"]
    assert (one.count, one.median, one.worst) == (3, 7.0, 99.0)
    assert one.reached
    assert not by_name["the second machine's death"].reached
    assert by_name["all three, after sshd answers"].worst == 21.0


def test_a_processs_figure_is_of_those_that_struck_alone() -> None:
    found = ladder.figures(
        [
            entry("kill -9", "process", 0.1, "collector", stored={"collector": 2.0, "other": 9.0}),
            entry("kill -9", "process", 0.1, "collector", stored={"collector": 8.0},
                  note="with SIGSTOP (archive) on kafka2 at the same time"),
        ],
        ["collector", "other"],
    )  # fmt: skip
    assert [(one.count, one.worst) for one in found] == [(1, 2.0)]
