"""The probe: on every voter and broker it notices a server that hangs."""

from __future__ import annotations

from pyinfra.api import deploy

import roles
from roles.sets.operations import activate


@deploy("Start the probe")
def start() -> None:
    activate(name="Start the probe", wanted=roles.rendered()["probe"])
