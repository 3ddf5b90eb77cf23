"""`fab status` on real hosts: the right word, in time, whatever is dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import connect
from cluster import health, snapshot
from cluster.model import Cluster
from drills.outside import outside
from drills.wait import NotYet, wait_until
from lab.machine import Lab
from tasks import ask
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


def until(cluster: Cluster, state: str, seconds: float = 90) -> tuple[dict[str, Any], float]:
    """Wait until the cluster is called so; returns what --json says, and how long that took."""

    def called() -> tuple[dict[str, Any], float]:
        done, took = fab(cluster, "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        if found["state"] != state:
            raise NotYet(found["headline"])
        return found, took

    return wait_until(called, seconds, f"fab status to say {state}", every=0.2)


@pytest.fixture
def dead(cluster: Cluster, lab: Lab) -> Iterator[Sequence[str]]:
    """Two machines that die in a test, and are back after it."""
    names = list(cluster.hosts)[1:3]
    yield names

    def boot(name: str) -> None:
        with outside():
            lab.boot(name)

    with ThreadPoolExecutor() as pool:
        list(pool.map(boot, names))
    until(cluster, "full")

    def led_as_preferred() -> bool:
        return not health.preferred(snapshot.topics(ask.topics()))

    wait_until(led_as_preferred, 60, "the preferred replicas to lead again")


def test_all_alive_is_full_and_said_at_once(cluster: Cluster, figure: Figure) -> None:
    found, once = until(cluster, "full")
    done, twice = fab(cluster)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("full: ")
    assert all(host in done.stdout for host in cluster.voters)
    for name, host in found["hosts"].items():
        assert all(p["state"] == "active" for p in host["processes"].values()), name
    assert {n for n, h in found["hosts"].items() if h["controller"]} < set(cluster.hosts)
    assert all(group["records"] is not None for group in found["groups"].values())
    figure("fab status, all alive", min(once, twice), ALIVE)


def test_a_stopped_consumer_is_named_and_costs_no_redundancy(cluster: Cluster) -> None:
    host, consumer = next(iter(cluster.hosts)), next(iter(cluster.consumers))
    unit = f"consumer-{consumer}.service"
    connect.run(host, f"systemctl stop {unit}", seconds=60)
    try:
        found, _ = until(cluster, "full", 30)
    finally:
        connect.run(host, f"systemctl start {unit}", seconds=60)
    assert found["next"] == f"systemctl start {unit} on {host}"
    assert f"{consumer} on {host} is stopped" in found["causes"][0]["what"]


def test_dead_machines_are_said_in_time(
    cluster: Cluster, lab: Lab, dead: Sequence[str], figure: Figure
) -> None:
    first, second = dead
    with outside():
        lab.kill(first)
    found, seconds = until(cluster, "degraded", 30)
    assert found["next"] == f"switch {first} on, or mend the network"
    figure("fab status, a machine dead", seconds, DEAD)
    with outside():
        lab.kill(second)
    found, more = until(cluster, "last stand", 45)
    assert found["next"] == f"switch {first} and {second} on, or mend the network"
    assert "takes all writes alone" in found["headline"]
    figure("fab status, two machines dead", more, DEAD)
    # What would be waited for if each question had only its own deadline.
    assert max(seconds, more) < 3 * DEAD
    for task in ("roll", "plan"):
        refused = subprocess.run(
            [FAB, task, *(["--yes"] if task == "roll" else [])],
            cwd=connect.ROOT,
            env=environment(cluster),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert refused.returncode == 1
        assert "last stand" in refused.stdout + refused.stderr


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
