"""Sets: a service's rendered files, staged whole under their fingerprint.

/etc/standfast/<service>/<fingerprint>/   the files, never changed once they lie there
                         staged           what the inventory asks for: moved by a deploy
                         current          what the service runs on: moved by its first start, then
                         by a roll alone
                         good             what it last was healthy with
/run/standfast/<service>/fingerprint      what the running process started with
                         applied          what a roll made it run as since, without a restart
"""

from __future__ import annotations

from pyinfra.api import deploy

import roles
from roles.sets.operations import stage


@deploy("Stage the configuration")
def configure() -> None:
    stage(
        name="Stage every set under its fingerprint",
        sets=[s for s in roles.rendered().values() if s.service != "base"],
    )
