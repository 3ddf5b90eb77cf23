"""The verification on real hosts: it passes on a whole cluster, and names what was broken."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

import connect
from cluster.model import Cluster
from tests.lab.conftest import Figure

pytestmark = pytest.mark.usefixtures("deployed")


def verify(cluster: Cluster) -> tuple[subprocess.CompletedProcess[str], float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.verify"],
        cwd=connect.ROOT,
        env={**os.environ, "INVENTORY": str(cluster.path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done, time.monotonic() - began


def test_verify_passes_on_a_healthy_cluster(cluster: Cluster, figure: Figure) -> None:
    done, seconds = verify(cluster)
    assert done.returncode == 0, done.stdout + done.stderr
    figure("verify", seconds)


BROKEN = {
    "a file that was changed": (
        "sed -i.was '1i # changed by hand' /etc/standfast/kafka/current/server.properties",
        "mv /etc/standfast/kafka/current/server.properties.was "
        "/etc/standfast/kafka/current/server.properties",
        "server.properties",
    ),
    "a service that was stopped": (
        "systemctl stop standfast-probe.service",
        "systemctl start standfast-probe.service",
        "standfast-probe",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_verify_names_what_was_broken(cluster: Cluster, what: str) -> None:
    breaks, mends, word = BROKEN[what]
    host = list(cluster.hosts)[-1]
    connect.run(host, breaks)
    try:
        done, _ = verify(cluster)
    finally:
        connect.run(host, mends)
    assert done.returncode == 1, done.stdout
    failures = [line for line in done.stdout.splitlines() if word in line and host in line]
    assert failures, f"nothing names {word} on {host}:\n{done.stdout}"
    assert verify(cluster)[0].returncode == 0
