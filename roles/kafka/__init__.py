"""Kafka: one broker on each host."""

from __future__ import annotations

from pyinfra.api import deploy

import roles
from roles.sets.operations import activate

WAIT = (
    "/bin/standfast wait /etc/standfast/probe/staged/probe.toml kafka --all-brokers --deadline 120"
)


@deploy("Start Kafka")
def start() -> None:
    activate(
        name="Start Kafka, and wait until every broker is registered",
        wanted=roles.rendered()["kafka"],
        wait=roles.artifacts().host.path + WAIT,
    )
