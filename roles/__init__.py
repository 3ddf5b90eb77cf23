"""What pyinfra does on the hosts, one folder a role; deploy.py says in which order."""

from __future__ import annotations

from functools import cache

from pyinfra import host

import connect
from dist.artifacts import artifacts as artifacts_of
from cluster.model import Machine
from cluster.render import Artifacts, FileSet, file_sets


@cache
def artifacts() -> Artifacts:
    """The archives that every host gets, as they lie on the controller."""
    return artifacts_of(connect.cluster())


def machine() -> Machine:
    """The machine of the inventory that pyinfra is at."""
    return connect.cluster().machines[host.name]


@cache
def _rendered(name: str) -> dict[str, FileSet]:
    cluster = connect.cluster()
    return {s.service: s for s in file_sets(cluster, cluster.machines[name], artifacts())}


def rendered() -> dict[str, FileSet]:
    """The rendered sets of this machine, by service, in the order in which the services start."""
    return _rendered(host.name)
