"""The guardian: on every host, for when its broker is the only one that lives."""

from __future__ import annotations

from pyinfra.api import deploy

import roles
from roles.sets.operations import activate


@deploy("Start the guardian")
def start() -> None:
    activate(name="Start the guardian", wanted=roles.rendered()["guardian"])
