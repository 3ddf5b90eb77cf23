"""`fab status` on real hosts: the right word, in time, whatever is dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import connect
from cluster.model import Cluster
from drills.outside import outside
from drills.wait import NotYet, wait_until
from lab.machine import Lab
from tests.lab.conftest import Figure

pytestmark = pytest.mark.usefixtures("deployed")

FAB = str(Path(sys.executable).parent / "fab")
ALIVE, DEAD = 2.0, 5.0  # seconds


def command(*arguments: str) -> list[str]:
    return [FAB, "status", *arguments]


def environment(cluster: Cluster) -> dict[str, str]:
    return {**os.environ, "INVENTORY": str(cluster.path), "COLUMNS": "100"}


def fab(cluster: Cluster, *arguments: str) -> tuple[subprocess.CompletedProcess[str], float]:
    began = time.monotonic()
    done = subprocess.run(
        command(*arguments),
        cwd=connect.ROOT,
        env=environment(cluster),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done, time.monotonic() - began


def until(cluster: Cluster, state: str, seconds: float = 90) -> dict[str, Any]:
    """Wait until the cluster is called so; returns what --json says."""

    def called() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(fab(cluster, "--json")[0].stdout)
        if found["state"] != state:
            raise NotYet(found["headline"])
        return found

    return wait_until(called, seconds, f"fab status to say {state}", every=0.5)


def quickest(cluster: Cluster, times: int = 3) -> float:
    """What it takes where nothing else keeps this machine busy."""
    return min(fab(cluster)[1] for _ in range(times))


@pytest.fixture
def dead(cluster: Cluster, lab: Lab) -> Iterator[Sequence[str]]:
    """Two machines that die in a test, and are back after it."""
    names = list(cluster.hosts)[1:3]
    yield names
    for name in names:
        with outside():
            lab.boot(name)
    until(cluster, "full")


def test_all_alive_is_full_and_said_at_once(cluster: Cluster, figure: Figure) -> None:
    found = until(cluster, "full")
    done, _ = fab(cluster)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("full: ")
    assert all(host in done.stdout for host in cluster.voters)
    for name, host in found["hosts"].items():
        assert all(p["state"] == "active" for p in host["processes"].values()), name
    assert {n for n, h in found["hosts"].items() if h["controller"]} < set(cluster.hosts)
    assert all(group["records"] is not None for group in found["groups"].values())
    figure("fab status, all alive", quickest(cluster), ALIVE)


def test_a_stopped_consumer_and_a_stopped_broker_are_named(cluster: Cluster) -> None:
    host, consumer = next(iter(cluster.hosts)), next(iter(cluster.consumers))
    units = f"kafka.service consumer-{consumer}.service"
    connect.run(host, f"systemctl stop {units}", seconds=60)
    try:
        found = until(cluster, "degraded", 30)
        says = [cause["what"] for cause in found["causes"]]
        assert found["next"] == f"systemctl start kafka.service on {host}"
        assert any(f"{consumer} on {host} is stopped" in what for what in says), says
        assert fab(cluster)[0].returncode == 1
    finally:
        connect.run(host, f"systemctl start {units}", seconds=60)
    until(cluster, "full")


def test_dead_machines_are_said_in_time(
    cluster: Cluster, lab: Lab, dead: Sequence[str], figure: Figure
) -> None:
    first, second = dead
    with outside():
        lab.kill(first)
    found = until(cluster, "degraded", 30)
    assert found["next"] == f"switch {first} on, or mend the network"
    seconds = quickest(cluster, 2)
    figure("fab status, a machine dead", seconds, DEAD)
    with outside():
        lab.kill(second)
    found = until(cluster, "down", 30)
    assert found["next"] == f"switch {first} and {second} on, or mend the network"
    assert "nothing can be written" in found["headline"]
    seconds = max(seconds, quickest(cluster, 2))
    figure("fab status, two machines dead", seconds, DEAD)
    # What would be waited for if each question had only its own deadline.
    assert seconds < 3 * DEAD


def test_ctrl_c_ends_the_watching_with_130(cluster: Cluster) -> None:
    with subprocess.Popen(
        command("--watch"),
        cwd=connect.ROOT,
        env=environment(cluster),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        lines = [watching.stdout.readline() for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=20)
    assert all(": " in line and "full" in line for line in lines), lines
    assert watching.returncode == 130
    assert "Traceback" not in errors
