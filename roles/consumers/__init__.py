"""The consumers: Standfast's collectors and the users' own scripts, all on every host."""

from __future__ import annotations

from pyinfra.api import deploy

import roles
from connect import cluster
from roles.sets.operations import activate


@deploy("Start the consumers")
def start() -> None:
    for name in cluster().consumers:
        wait = f"timeout 60 sh -c 'until systemctl is-active --quiet consumer-{name}; do sleep 0.2; done'"
        sentence = f"consumer-{name} was not ready within 60 s: journalctl -u consumer-{name}"
        activate(
            name=f"Start {name}",
            wanted=roles.rendered()[name],
            wait=f"{wait} || {{ echo '{sentence}' >&2; exit 1; }}",
        )
