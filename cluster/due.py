"""What a roll has to do, from what was seen on the hosts; and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cluster import live
from cluster.changes import changes
from cluster.model import Cluster, Witness
from cluster.observed import MachineSeen, OverridesSeen, SetSeen, Snapshot
from cluster.render import FileSet

Kind = Literal["restart", "apply", "confirm"]


@dataclass(frozen=True)
class Due:
    """One service's set to be made live on one host.

    `kind`: "restart"; "apply": it takes the change while it runs; "confirm": it runs with it, and
    was not seen healthy since. `why` are sentences; `settings` what to change of a broker's dynamic
    settings (None: take it away; after a restart, which it would outlive); `fingerprint` the set
    to make live, `good` the one to put back, `runs` the one that it has now. `down`: its process
    does not run.
    """

    host: str
    service: str
    unit: str
    kind: Kind
    fingerprint: str
    good: str | None
    why: tuple[str, ...] = ()
    settings: Mapping[str, str | None] = field(default_factory=dict)
    down: bool = False
    runs: str | None = None

    @property
    def name(self) -> str:
        """As it is called on screens and in journals: "kafka on kafka1"."""
        return f"{self.service} on {self.host}"


def due(
    cluster: Cluster, sets: Mapping[str, Sequence[FileSet]], seen: Snapshot
) -> dict[tuple[str, str], Due]:
    """Everything that is due, by host and service; of the rendered `sets`, those that are staged.

    A machine that could not be asked is left out: `seen.unasked` names it.
    """
    found = {}
    for host, mine in sets.items():
        machine = seen.machines.get(host)
        if machine is None:
            continue
        for wanted in mine:
            step = _due(host, wanted, machine, seen) if wanted.unit else None
            if step is not None:
                found[host, wanted.service] = step
    return found


def not_staged(
    sets: Mapping[str, Sequence[FileSet]], seen: Snapshot
) -> dict[tuple[str, str], FileSet]:
    """The rendered sets that a deploy would stage: they do not lie there, or not whole."""
    return {
        (host, wanted.service): wanted
        for host, mine in sets.items()
        if (machine := seen.machines.get(host)) is not None
        for wanted in mine
        if not is_staged(wanted, machine.sets.get(wanted.service, SetSeen()))
    }


def is_staged(wanted: FileSet, here: SetSeen) -> bool:
    """Whether a rendered set is the staged one, and lies there whole."""
    there = {name: file.digest for name, file in here.files.get(here.staged or "", {}).items()}
    return here.staged == wanted.fingerprint and there == wanted.digests


def _due(host: str, wanted: FileSet, machine: MachineSeen, seen: Snapshot) -> Due | None:
    here = machine.sets.get(wanted.service, SetSeen())
    unit = wanted.unit or ""
    # What was never started is brought up by a deploy.
    if here.staged is None or here.good is None:
        return None
    state = machine.units.get(unit, {})
    down = state.get("ActiveState") != "active"
    runs = (None if down else here.running) or here.current
    old, new = texts(here, runs), texts(here, here.staged)
    began_with = old if down else texts(here, here.started)
    known = [texts(here, fingerprint) for fingerprint in here.files]
    there = seen.overrides.get(host, OverridesSeen(complaint="was not asked"))
    settings: dict[str, str | None] = {}
    if wanted.service == "kafka" and not down and (runs != here.staged or not there.complaint):
        settings = live.corrections(began_with, new, there.settings, *known)
    kind: Kind = "apply"
    why: Sequence[str]
    if runs != here.staged:
        apart = live.difference(began_with, new)
        if down or apart.restart or not live.reachable(settings, there.settings):
            kind = "restart"
            settings = live.corrections(new, new, there.settings, *known)
        why = ["it runs on a set that is not on the host any more"]
        if runs in here.files:
            why = changes(_shown(wanted, old), _shown(wanted, new)) or _hidden(wanted)
    elif here.current != here.staged:
        why = ["it runs with what is staged; at its next start it would not"]
    elif settings:
        why = [_correction(name, value, there.settings) for name, value in settings.items()]
    elif here.good != here.staged and down:
        kind, why = "restart", ["it does not run, and was not seen healthy with what is staged"]
    elif here.good != here.staged:
        kind, why = "confirm", ["it runs with it, and was not seen healthy since"]
    else:
        return None
    return Due(
        host, wanted.service, unit, kind, here.staged, here.good, tuple(why), settings, down, runs
    )


def _correction(name: str, value: str | None, there: Mapping[str, str]) -> str:
    if value is None:
        return f"{name}: {there[name]} was set on the running broker; its file decides again"
    return f"{name}: {there.get(name, 'nothing')} -> {value} on the running broker"


def texts(here: SetSeen, fingerprint: str | None) -> dict[str, str]:
    """A set's files by name; of a secret, its digest stands for its text."""
    files = here.files.get(fingerprint or "", {})
    return {n: f.digest if f.text is None else f.text for n, f in files.items()}


def _shown(wanted: FileSet, texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name not in wanted.secrets}


def _hidden(wanted: FileSet) -> list[str]:
    secrets = ", ".join(sorted(wanted.secrets))
    return [f"{secrets}: another content (a secret: not shown)"] if secrets else ["comments only"]


# --- the order ---


def following(cluster: Cluster, left: Iterable[Due], seen: Snapshot) -> Due | None:
    """Which of those that are left is done next.

    What is down goes first: the roll may be its cure. Then ZooKeeper's witnesses and followers, and
    its leader last; the brokers, the controller last; the probes; the consumers, a whole consumer
    after the other. Who leads is looked at anew each time: it changes in the course of a roll.
    """
    machines = list(cluster.machines)
    controller = seen.registry.controller

    def rank(step: Due) -> tuple[object, ...]:
        host = cluster.machines[step.host]
        if step.service == "zookeeper":
            voter = seen.voters.get(step.host)
            last = voter is not None and voter.state == "leader"
        else:
            number = getattr(host, "broker_id", None)
            last = step.service == "kafka" and number == controller
        return (
            not step.down,
            cluster.services.index(step.service),
            last,
            step.service == "zookeeper" and not isinstance(host, Witness),
            machines.index(step.host),
        )

    return min(left, key=rank, default=None)
