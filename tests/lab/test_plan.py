"""The plan of a real cluster: what it says, its exit codes, and that it changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import connect
from cluster.model import Cluster
from lab.machine import Lab
from tests.lab.conftest import Figure, inventory_with, processes
from tests.lab.test_deploy import links

FAB = str(Path(sys.executable).with_name("fab"))

pytestmark = pytest.mark.usefixtures("deployed")


def plan(inventory: Path, *arguments: str) -> tuple[int, str, float]:
    """Exit code, all that was said, and how long it took."""
    began = time.monotonic()
    done = subprocess.run(
        [FAB, "plan", *arguments],
        cwd=connect.ROOT,
        env={**os.environ, "INVENTORY": str(inventory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    said = done.stdout if "--json" in arguments else done.stdout + done.stderr
    return done.returncode, said, time.monotonic() - began


def as_json(inventory: Path) -> tuple[int, dict[str, Any]]:
    code, said, _ = plan(inventory, "--json")
    found: dict[str, Any] = json.loads(said)
    return code, found


def test_a_plan_without_changes_says_so_at_once(cluster: Cluster, figure: Figure) -> None:
    code, said, seconds = plan(cluster.path)
    assert code == 0, said
    assert "nothing to do" in said
    figure("plan that changes nothing", seconds, 6)


def test_a_plan_names_what_restarts_and_what_does_not_and_changes_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    before, was = processes(cluster), links(cluster)
    changed = inventory_with(
        cluster, tmp_path, kafka__settings={"num.io.threads": "9"}, zookeeper__heap="97M",
        topics__trades__settings={"max.message.bytes": "2000000"},
    )  # fmt: skip
    code, found = as_json(changed)
    assert (code, found["exit"], found["next"]) == (2, 2, "make deploy, then fab roll")
    (restarts,), (applied,) = found["restarts"], found["applied"]
    assert (restarts["service"], restarts["hosts"]) == ("zookeeper", [*cluster.voters])
    assert (applied["service"], applied["hosts"]) == ("kafka", [*cluster.hosts])
    assert applied["changes"][0]["what"] == "num.io.threads: 8 (the default) -> 9"
    assert [topic["setting"] for topic in found["topics"]] == ["max.message.bytes"]
    assert "+num.io.threads=9" in next(f for f in found["files"] if f["service"] == "kafka")["diff"]
    code, said, _ = plan(changed)
    assert code == 2
    assert "Taken without a restart" in said
    assert "    +num.io.threads=9" in said.splitlines()
    assert processes(cluster) == before
    assert links(cluster) == was


def test_what_a_cluster_with_data_is_refused_is_an_error(cluster: Cluster, tmp_path: Path) -> None:
    changed = inventory_with(
        cluster, tmp_path, hosts__kafka3__zookeeper_id=9, ports__zookeeper_election=3889,
        topics__trades__partitions=3, kafka__settings={"offsets.topic.num.partitions": "20"},
    )  # fmt: skip
    code, found = as_json(changed)
    assert (code, found["unasked"]) == (1, {})
    assert {refusal["what"]: refusal["new"] for refusal in found["refused"]} == {
        "hosts.kafka3.zookeeper_id": "9",
        "ports.zookeeper_election": "3889",
        "offsets.topic.num.partitions": "20",
        "voters": "1 2 4 5 9",
        "topics.trades.partitions": "3",
    }
    assert found["next"] == "put back what is refused, then fab plan"


def test_a_machine_that_cannot_be_asked_makes_it_no_plan(cluster: Cluster, lab: Lab) -> None:
    victim = list(cluster.witnesses or cluster.hosts)[-1]
    lab.link_down(victim)
    try:
        code, said, seconds = plan(cluster.path)
    finally:
        lab.link_up(victim)
    assert code == 1
    assert f"{victim}: " in said.partition("Could not be asked")[2]
    assert seconds < 30


def test_an_inventory_that_is_wrong_is_an_error_and_no_change(
    cluster: Cluster, tmp_path: Path
) -> None:
    """2 means that there is something to do."""
    code, said, _ = plan(inventory_with(cluster, tmp_path, kafka__heep="1G"))
    assert code == 1
    assert "kafka.heep" in said
