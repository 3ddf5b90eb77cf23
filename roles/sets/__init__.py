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

from pyinfra import host, inventory, logger
from pyinfra.api import deploy
from pyinfra.api.exceptions import DeployError

import roles
from cluster.observed import MachineSeen, Registry, Snapshot, TopicsSeen
from cluster.refused import refusals
from cluster.render import FileSet
from cluster.steps import Step, steps
from connect import cluster
from roles.sets.facts import read
from roles.sets.operations import stage


def hold_against_what_is_there() -> None:
    """Stop before anything is changed on any host where data or running servers forbid it."""
    machines = _machines()
    found = refusals(cluster(), {name: _sets(name) for name in machines}, machines)
    if found:
        refuse([str(refusal) for refusal in found])


def refuse(sentences: list[str]) -> None:
    """End the deploy. Raises DeployError."""
    lines = "\n".join(f"  {sentence}" for sentence in sentences)
    raise DeployError(f"refused, and no host was changed:\n{lines}\n  fab plan shows all of it")


@deploy("Stage the configuration")
def configure() -> None:
    stage(
        name="Stage every set under its fingerprint",
        sets=[s for s in roles.rendered().values() if s.service != "base"],
    )


def report() -> None:
    """Say, once for all hosts, what runs on something else than will be staged, and why."""
    active = inventory.get_active_hosts()
    if host != next(h for h in inventory.get_group("zookeeper") if h in active):
        return
    machines = _machines()
    why = "was not asked"
    seen = Snapshot(0.0, {}, Registry(complaint=why), {}, TopicsSeen(complaint=why), machines)
    due = steps(cluster(), {name: _sets(name) for name in machines}, seen)
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
        return "was not seen healthy with what it runs"
    how = "only a restart" if step.kind == "restart" else "the roll, without a restart,"
    return f"is stale: {how} makes it live"


def _machines() -> dict[str, MachineSeen]:
    """Every voter's machine as it was seen, but for those where nothing is yet."""
    looks = {h.name: read(h) for h in inventory.get_group("zookeeper")}
    return {name: seen for name, seen in looks.items() if seen is not None}


def _sets(name: str) -> list[FileSet]:
    return list(roles.rendered(name).values())
