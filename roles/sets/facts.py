"""What lies under /etc/standfast on a host, and what runs on it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.host import Host

import roles
from cluster.observed import MachineSeen
from cluster.snapshot import asked, machine
from connect import cluster
from tasks.ask import command


class Look(FactBase[MachineSeen | None]):
    """What tasks/look.py sees on a host, as a plan and the verification see it: one command for all
    of it, since each round trip costs. None where there is no Python yet: nothing of ours is there.
    """

    def command(self, of: str) -> str:
        sets = list(roles.rendered(of).values())
        look_at = asked(cluster().machines[of], sets, disks=False)
        return f"if command -v python3 >/dev/null; then {command(look_at)}; fi"

    def process(self, output: Iterable[str]) -> MachineSeen | None:
        text = "".join(output)
        try:
            return machine(json.loads(text)) if text.strip() else None
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise FactProcessError(f"an answer that makes no sense ({error})") from error


def read(of: Host) -> MachineSeen | None:
    """The host as it was when the deploy began."""
    return roles.once(of, Look, of=of.name)
