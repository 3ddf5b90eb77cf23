"""Kafka: one broker on each host."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy
from pyinfra.api.exceptions import DeployError

import roles
from cluster.model import Host
from cluster.sizes import show_size
from connect import cluster
from roles.kafka.facts import DataDisk
from roles.sets.operations import activate

WAIT = (
    "/bin/standfast wait /etc/standfast/probe/staged/probe.toml kafka --all-brokers --deadline 120"
)


def hold_disk_against_inventory() -> None:
    """Stop before anything is changed where the disk is smaller than the inventory declares."""
    machine, size = roles.machine(), host.get_fact(DataDisk)
    assert isinstance(machine, Host)
    declared = machine.disk or cluster().promise.disk
    if size < declared:
        raise DeployError(
            f"{host.name}: the file system for /var/lib/kafka has {show_size(size)}, the inventory "
            f"declares {show_size(declared)}: mount its disk, or declare what is there "
            f"(promise.disk, hosts.{host.name}.disk)"
        )


@deploy("Start Kafka")
def start() -> None:
    activate(
        name="Start Kafka, and wait until every broker is registered",
        wanted=roles.rendered()["kafka"],
        wait=roles.artifacts().host.path + WAIT,
    )
