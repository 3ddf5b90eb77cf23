"""The consumers: Standfast's collectors and the users' own scripts, all on every host."""

from __future__ import annotations

from pyinfra.api import deploy

import roles
from connect import cluster
from roles.sets.operations import activate


@deploy("Start the consumers")
def start() -> None:
    for name in cluster().consumers:
        unit = f"consumer-{name}"
        sentence = f"{unit} was not ready within 60 s: journalctl -u {unit}"
        activate(
            name=f"Start {name}",
            wanted=roles.rendered()[name],
            wait=roles.until(f"systemctl is-active --quiet {unit}", 60, sentence),
        )
