"""What is found before anything is changed on any host: what is refused, what is the roll's.

Both are judged over the whole cluster, by the first of its hosts for all of them.
"""

from __future__ import annotations

import json

from pyinfra import host, inventory, logger
from pyinfra.api.exceptions import DeployError

import roles
from cluster import stand
from cluster.observed import MachineSeen, Registry, Snapshot, TopicsSeen
from cluster.refused import refusals
from cluster.render import FileSet
from cluster.steps import Step, steps
from connect import cluster
from roles.sets.facts import read
from roles.topics.facts import differences


def refuse() -> None:
    """Stop before anything is changed where data, running servers or topics forbid it, or a last
    stand does.
    """
    if not _is_first():
        return
    machines = _machines()
    topics = json.loads(differences(inventory.get_group("kafka")[0]) or "[]")
    found = [
        *stand.refusals(cluster(), _snapshot(machines)),
        *refusals(cluster(), _sets(machines), machines, topics),
    ]
    if found:
        lines = "".join(f"\n  {one}" for one in found)
        raise DeployError(f"refused, and no host was changed:{lines}\n  fab plan shows all of it")


def report() -> None:
    """Say what runs on something else than will be staged, and why: the roll makes it live."""
    if not _is_first():
        return
    machines = _machines()
    due = steps(cluster(), _sets(machines), _snapshot(machines))
    stale = [step for step in due if step.kind != "apply" or step.changes]
    for step in stale:
        logger.warning(f"[{', '.join(step.hosts)}] {step.unit} {_stale(step)}")
        for change in step.changes:
            logger.warning(f"    {change.what}")
    if stale:
        logger.warning("fab plan shows what a roll would do; fab roll makes it live")


def _stale(step: Step) -> str:
    if step.down:
        return "does not run, and another set is staged than it had: left to the roll"
    if step.kind == "confirm":
        return "was not seen healthy with what it runs: the roll looks again"
    how = "only a restart" if step.kind == "restart" else "the roll, without a restart,"
    return f"is stale: {how} makes it live"


def _is_first() -> bool:
    active = inventory.get_active_hosts()
    return bool(host == next(h for h in inventory.get_group("zookeeper") if h in active))


def _machines() -> dict[str, MachineSeen]:
    """Every voter's machine as it was seen, but for those where nothing is yet."""
    looks = {h.name: read(h) for h in inventory.get_group("zookeeper")}
    return {name: seen for name, seen in looks.items() if seen is not None}


def _snapshot(machines: dict[str, MachineSeen]) -> Snapshot:
    """Of a deploy, which asks no server."""
    why = "was not asked"
    return Snapshot(0.0, {}, Registry(complaint=why), {}, TopicsSeen(complaint=why), machines)


def _sets(names: dict[str, MachineSeen]) -> dict[str, list[FileSet]]:
    return {name: list(roles.rendered(name).values()) for name in names}
