"""Machines that are cut off and alive: the inventory's fence commands switch them off first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cluster.model import Cluster
from drills.fab import fab
from drills.ground import Ground
from drills.outside import outside
from drills.power import boot
from drills.wait import wait_until
from lab.machine import Lab
from standfast import questions

pytestmark = pytest.mark.drill


def test_who_is_cut_off_and_alive_is_switched_off_before_the_rest_goes_on(
    ground: Ground, cluster: Cluster, lab: Lab, tmp_path: Path
) -> None:
    survivor = list(cluster.hosts)[1]
    others = [name for name in cluster.voters if name != survivor]
    with outside():  # the network that the lab's own switch works from
        home = subprocess.Popen(["sleep", "900"])
    tree = yaml.safe_load(cluster.path.read_text())
    for name in others:
        network = f"--net=/proc/{home.pid}/ns/net"
        command = ["nsenter", network, sys.executable, "-m", "lab", "kill", name]
        tree["hosts" if name in cluster.hosts else "witnesses"][name]["fence"] = command
    fencing = tmp_path / "fencing.yml"
    fencing.write_text(yaml.safe_dump(tree, sort_keys=False))
    address = f"{cluster.voters[survivor].address}:{cluster.ports.zookeeper}"
    try:
        with outside():
            for name in others:
                lab.link_down(name)
        wait_until(
            lambda: not questions.zookeeper_mode(address, 2.0), 30, f"{survivor} to be alone"
        )
        done = fab(fencing, "last-stand", survivor, "--yes")
        assert done.code == 0, done.text
        with outside():
            running = {s.host for s in lab.status() if s.state == "running"}
        assert not running & set(others), "not all that were cut off are off"
        ground.stream.flows(60)
    finally:
        home.kill()
        home.wait()
        with outside():
            boot(lab, others, print, wait=False)
        for name in others:
            fab(cluster.path, "rejoin", name)
    ground.stream.healthy(120)
    assert "no last stand" in fab(cluster.path, "rejoin", survivor).text
