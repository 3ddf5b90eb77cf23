"""Whether a last stand is going on: nothing is deployed, planned or rolled meanwhile.

There are two kinds: one broker takes writes alone (the guardians' record says so), or an operator
narrowed ZooKeeper's ensemble (its machines have a record of it). By hand, both begin together, and
the second ends last.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from cluster.model import Cluster
from cluster.observed import LastStand, MachineSeen, Narrowed, Snapshot
from cluster.refused import Refusal
from cluster.writes import listed

LAST_STAND, ENSEMBLE = "last stand", "ensemble"
STANDS = (LAST_STAND, ENSEMBLE)  # what these refusals are of
WHY = (
    "one disk holds the only copy of what is written now, and the topics' min.insync.replicas and "
    "flush.messages are the guardian's until every partition has its copies in sync"
)
INSTEAD = "switch the other hosts on first: fab status says which; the guardian does the rest"
NARROWED = (
    "ZooKeeper's ensemble is narrowed, and a voter that starts with the inventory's could make a "
    "second one"
)
REJOIN = "bring the others back first: fab status says which, fab rejoin does it"


def last_stand(seen: Snapshot) -> LastStand | None:
    """What ZooKeeper says; where it was not, or could not be, asked, what the guardians saw."""
    if not seen.registry.complaint:
        return seen.registry.last_stand
    return next((m.last_stand for m in seen.machines.values() if m.last_stand), None)


def narrowed(machines: Iterable[MachineSeen]) -> Narrowed | None:
    """The ensemble that an operator narrowed."""
    return latest(machine.ensemble for machine in machines)


def latest(records: Iterable[Narrowed | None]) -> Narrowed | None:
    """Of several machines' records the one that was written last: of a last stand the widest, where
    a return is under way.
    """
    there = [record for record in records if record]
    return max(there, key=lambda n: (n.since, len(n.voters)), default=None)


def inside(cluster: Cluster, of: Narrowed) -> list[str]:
    """The machines of a narrowed ensemble, by name."""
    return [name for name, v in cluster.voters.items() if v.zookeeper_id in of.voters]


def refusals(cluster: Cluster, seen: Snapshot) -> list[Refusal]:
    """Why nothing is changed now; empty where no last stand is going on."""
    found = []
    if stand := last_stand(seen):
        now = f"{survivor(cluster, stand)} since {_clock(stand.since)}"
        found.append(Refusal((), LAST_STAND, now, "over", WHY, INSTEAD))
    if of := narrowed(seen.machines.values()):
        now = f"{listed(inside(cluster, of))} since {_clock(of.since)}"
        found.append(Refusal((), ENSEMBLE, now, "whole", NARROWED, REJOIN))
    return found


def survivor(cluster: Cluster, stand: LastStand) -> str:
    """The host that stands, or stood, alone."""
    named = (name for name, host in cluster.hosts.items() if host.broker_id == stand.broker)
    return next(named, f"broker {stand.broker}")


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
