"""A unit that dies again and again, and a disk that fills, are alarms."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from standfast.rounds import Restarts, Rounds, full

Looks = list[tuple[float, int]]  # seconds, and what systemd counts by then


@pytest.mark.parametrize(
    ("looks", "alarms"),
    [
        pytest.param([(0, 0), (10, 1), (20, 2)], [], id="two"),
        pytest.param([(0, 0), (10, 1), (20, 2), (30, 3)], [3], id="three"),
        pytest.param([(0, 0), (10, 7)], [7], id="seven-between-two-looks"),
        pytest.param([(0, 50), (10, 50), (20, 52)], [], id="those-before-the-first-look"),
        pytest.param([(0, 0), (10, 2), (620, 3), (630, 4)], [], id="not-within-ten-minutes"),
        pytest.param([(0, 0), (10, 2), (605, 3)], [3], id="within-ten-minutes"),
        pytest.param([(0, 0), (10, 3), (20, 6), (600, 90)], [3], id="said-ten-minutes-ago"),
        pytest.param([(0, 0), (10, 3), (615, 5), (620, 6)], [3, 3], id="and-said-again"),
        pytest.param([(0, 0), (10, 3), (9_000, 3)], [3], id="it-is-over"),
        pytest.param([(0, 9), (10, 0), (20, 2)], [], id="started-by-hand-and-twice-since"),
        pytest.param([(0, 9), (10, 1), (20, 3)], [3], id="started-by-hand-and-thrice-since"),
    ],
)
def test_three_restarts_within_ten_minutes_are_an_alarm(looks: Looks, alarms: list[int]) -> None:
    unit = Restarts()
    assert [often for at, count in looks if (often := unit.look(count, at))] == alarms


@pytest.mark.parametrize(
    ("free", "size", "says"),
    [(10, 100, ""), (9, 100, "9.0 % free"), (0, 100, "0.0 % free"), (0, 0, "")],
)
def test_less_than_a_tenth_free_is_an_alarm(free: int, size: int, says: str) -> None:
    assert full(free * 10**9, size * 10**9).startswith(says)
    assert bool(full(free * 10**9, size * 10**9)) == bool(says)


def test_a_restarted_unit_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    counts = {"kafka.service": 0, "consumer-a.service": 0}
    rounds = Rounds(list(counts), [], lambda _units: dict(counts))
    rounds.turn(0.0)
    counts["consumer-a.service"] = 3
    rounds.turn(10.0)
    said = capfd.readouterr().err.splitlines()
    assert [line.partition(" was ")[0] for line in said] == [
        "<2>alarm restarts-consumer-a: consumer-a.service"
    ]


def test_a_full_disk_is_said_once_an_hour(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    size = SimpleNamespace(f_bavail=5, f_blocks=100, f_frsize=10**9)
    monkeypatch.setattr(os, "statvfs", lambda _path: size)
    clock = [1000.0]
    monkeypatch.setattr("standfast.supervision.time.monotonic", lambda: clock[0])
    rounds = Rounds([], ["/data"])
    for later in (0.0, 10.0, 3000.0, 3600.0):
        clock[0] = 1000.0 + later
        rounds.turn(clock[0])
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("<2>alarm disk: the disk under /data is nearly full: 5.0 % free")
    size.f_bavail = 50
    rounds.turn(clock[0])
    size.f_bavail = 5
    rounds.turn(clock[0])
    assert len(capfd.readouterr().err.splitlines()) == 1, "it was freed, and is full again"
