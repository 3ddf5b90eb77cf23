"""The verification's look at clocks, and how it reads systemd's time spans."""

from __future__ import annotations

import pytest

from cluster import machine_health, unitfile
from cluster.observed import ClockSeen, Finding


def said(findings: list[Finding]) -> str:
    return " | ".join(str(finding) for finding in findings)


def clocks(**offsets: float) -> dict[str, ClockSeen]:
    return {name: ClockSeen(offset, 0.02) for name, offset in offsets.items()}


def test_clocks_that_agree_have_no_finding() -> None:
    assert machine_health.clock("a", clocks(a=0.3, b=-0.1, c=0.0)) == []


def test_a_clock_that_is_off_is_seen() -> None:
    seen = clocks(a=0.7, b=0.0, c=0.0)
    assert "+0.70 s against the controller" in said(machine_health.clock("a", seen))
    assert machine_health.clock("b", seen) == []


def test_two_clocks_that_drift_apart_are_seen_though_each_is_near_the_controllers() -> None:
    seen = clocks(a=0.45, b=-0.3, c=-0.3)
    assert "against the other machines" in said(machine_health.clock("a", seen))


def test_a_controller_with_a_wrong_clock_is_told_so() -> None:
    seen = clocks(a=-3600.0, b=-3600.1, c=-3599.9)
    assert "this controller's clock" in said(machine_health.clock("a", seen))


def test_a_connection_too_slow_to_measure_a_clock_is_no_pass() -> None:
    assert machine_health.clock("a", {"a": ClockSeen(0.0, 0.9)})


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        ("600", 600),
        ("2s", 2),
        ("1min 30s", 90),
        ("100ms", 0.1),
        ("0", 0),
        ("infinity", float("inf")),
    ],
)
def test_systemds_time_spans_are_read(span: str, seconds: float) -> None:
    assert unitfile.seconds(span) == pytest.approx(seconds)
