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
        "sed -i '1i # changed by hand' /etc/standfast/kafka/current/server.properties",
        "sed -i 1d /etc/standfast/kafka/current/server.properties",
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
    places = [place for place in done.stdout.split("\n✗ ")[1:] if host in place.split("\n")[0]]
    assert any(word in place for place in places), f"nothing names it on {host}:\n{done.stdout}"
    assert verify(cluster)[0].returncode == 0
