"""Whether a last stand is going on: nothing is deployed, planned or rolled meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterable

from cluster.model import Cluster
from cluster.observed import LastStand, MachineSeen, Snapshot
from cluster.refused import Refusal

LAST_STAND = "last stand"
WHY = (
    "one disk holds the only copy of what is written now, and the topics' min.insync.replicas and "
    "flush.messages are the guardian's until every partition has its copies in sync"
)
INSTEAD = "switch the other hosts on first: fab status says which; the guardian does the rest"


def last_stand(seen: Snapshot) -> LastStand | None:
    """What ZooKeeper says; where it was not, or could not be, asked, what the guardians saw."""
    if not seen.registry.complaint:
        return seen.registry.last_stand
    return seen_by(seen.machines.values())


def seen_by(machines: Iterable[MachineSeen]) -> LastStand | None:
    """What the machines' guardians see."""
    return next((m.last_stand for m in machines if m.last_stand), None)


def refusal(cluster: Cluster, stand: LastStand) -> Refusal:
    """Why nothing is changed now."""
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(stand.since))
    now = f"{survivor(cluster, stand)} since {since}"
    return Refusal((), LAST_STAND, now, "over", WHY, INSTEAD)


def survivor(cluster: Cluster, stand: LastStand) -> str:
    """The host that stands, or stood, alone."""
    named = (name for name, host in cluster.hosts.items() if host.broker_id == stand.broker)
    return next(named, f"broker {stand.broker}")
