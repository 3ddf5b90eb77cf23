"""The alert service: on every machine with a voter it hands the machine's alarms on."""

from __future__ import annotations

from pyinfra.api import deploy

import roles
from roles.sets.operations import activate


@deploy("Start the alert service")
def start() -> None:
    activate(name="Start the alert service", wanted=roles.rendered()["alert"])
