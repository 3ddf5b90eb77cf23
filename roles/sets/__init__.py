"""Sets: a service's rendered files, staged whole under their fingerprint.

/etc/standfast/<service>/<fingerprint>/   the files, never changed once they lie there
                         staged           what the inventory asks for: moved by a deploy
                         current          what the service runs on: moved by its first start, then
                         by a roll alone
                         good             what it last was healthy with
/run/standfast/<service>/fingerprint      what the running process started with
"""

from __future__ import annotations

from pyinfra import host, logger
from pyinfra.api import deploy

import roles
from cluster.changes import changes
from roles.sets.facts import CurrentFiles, read
from roles.sets.operations import stage


@deploy("Stage the configuration")
def configure() -> None:
    stage(
        name="Stage every set under its fingerprint",
        sets=[s for s in roles.rendered().values() if s.service != "base"],
    )


def report() -> None:
    """Say what runs on something else than what is staged, and why; the roll makes it live."""
    found = read(host)
    for wanted in roles.rendered().values():
        state = found.get(wanted.service)
        if state and state.active and wanted.unit and state.running != wanted.fingerprint:
            kept = host.get_fact(CurrentFiles, service=wanted.service)
            shown = {n: t for n, t in wanted.files.items() if n not in wanted.secrets}
            why = changes(kept, shown) or ["it was not restarted since, or a secret changed"]
            runs = state.running or "an unknown set"
            logger.warning(
                f"[{host.name}] {wanted.unit} is stale: it runs {runs}, "
                f"staged is {wanted.fingerprint}. A deploy restarts nothing that runs."
            )
            for change in why:
                logger.warning(f"[{host.name}]   {change}")
