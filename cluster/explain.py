"""Why a service does not do its work on a host, as far as can be seen, and what to do there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from cluster.due import Due
from cluster.model import Cluster, Host
from cluster.observed import BARE, SetSeen, Snapshot, VoterSeen
from cluster.overview import process
from cluster.render import FileSet
from cluster.snapshot import NONSENSE
from cluster.writes import listed, lives

State = Literal["full", "degraded", "last stand", "down"]
Steps = Mapping[tuple[str, str], Due]
Missing = Mapping[tuple[str, str], FileSet]


STARTING = 60.0  # seconds that a new process may take before it is called ill


@dataclass(frozen=True)
class Cause:
    """One thing that is not as it should be: `what` was seen, and what to `do` about it. `state` is
    what it makes of the cluster by itself.
    """

    what: str
    do: str
    state: State = "degraded"


@dataclass(frozen=True)
class Down:
    """A service that does not do its work: how that looks, and what to do on {hosts}."""

    how: str
    do: str


class Explain:
    """Looks at one service on one host; None is a good answer.

    `bare` are the machines without anything of Standfast, `gone` those that answer to nothing,
    `away` both: what should run there needs no sentence of its own.
    """

    def __init__(self, cluster: Cluster, seen: Snapshot, steps: Steps) -> None:
        self.cluster, self.seen, self.steps = cluster, seen, steps
        self.bare = never_deployed(cluster, seen)
        self.gone = [n for n in cluster.voters if n not in self.bare and self._is_gone(n)]
        self.away = {*self.gone, *self.bare}
        self.led = any(v.state == "leader" for v in seen.voters.values())

    def broker(self, name: str) -> Down | None:
        """A host's broker answers, is registered and knows all others that are."""
        broker = self.seen.brokers.get(name)
        if broker is None or broker.complaint:
            why = _silence(broker.complaint if broker else "")
            return self._service(name, "kafka", "kafka.service", why)
        if not lives(self.cluster, self.seen, name):
            why = "is not registered in ZooKeeper"
            return self._service(name, "kafka", "kafka.service", why)
        hosts = self.cluster.hosts
        known = {hosts[n].broker_id for n in hosts if lives(self.cluster, self.seen, n)}
        if known - broker.brokers.keys():
            where = "journalctl -u kafka.service on {hosts}"
            return Down("does not know all the others", where)
        return None

    def voter(self, name: str) -> Down | None:
        """A machine's voter serves; without a quorum, it answers."""
        voter = self.seen.voters.get(name) or VoterSeen(complaint="was not asked")
        if voter.state or (not voter.complaint and not self.led):
            return None  # without a leader it looks for one: what is missing are the others
        why = _silence(voter.complaint) if voter.complaint else "serves nobody"
        return self._service(name, "zookeeper", "zookeeper.service", why)

    def unit(self, name: str, service: str, unit: str) -> Down | None:
        """A unit is active, as systemd sees it."""
        machine = self.seen.machines.get(name)
        if machine is None or machine.units.get(unit, {}).get("ActiveState") == "active":
            return None
        return self._service(name, service, unit, "does not run")

    def together(
        self, service: str, names: Iterable[str], look: Callable[[str], Down | None]
    ) -> list[Cause]:
        """One cause for all hosts that have the same trouble."""
        same: dict[Down, list[str]] = {}
        for name in names:
            if (down := look(name)) is not None:
                same.setdefault(down, []).append(name)
        return [
            Cause(
                f"{service} on {listed(hosts)} {down.how}",
                down.do.replace("{hosts}", listed(hosts)),
            )
            for down, hosts in same.items()
        ]

    def _is_gone(self, name: str) -> bool:
        voter, broker = self.seen.voters.get(name), self.seen.brokers.get(name)
        answers = [name in self.seen.machines, voter is not None and not voter.complaint]
        if isinstance(self.cluster.voters[name], Host):
            answers.append(broker is not None and not broker.complaint)
        return not any(answers)

    def _service(self, name: str, service: str, unit: str, why: str) -> Down:
        machine = self.seen.machines.get(name)
        if machine is None:
            return Down(f"{why}, and the host cannot be asked why", "ssh {hosts}")
        shown = machine.units.get(unit, {})
        state, step = shown.get("ActiveState", "unknown"), self.steps.get((name, service))
        journal = f"journalctl -u {unit} on {{hosts}}"
        if shown.get("LoadState") != "loaded":
            return Down("is not installed", "make deploy")
        if state == "deactivating":
            return Down("is being stopped", f"fab status --watch; or else {journal}")
        if step is not None and step.down and step.kind == "restart":
            return Down(f"does not run ({state}), and what is staged may cure it", "fab roll")
        uptime = process(machine, unit).uptime
        if uptime is not None and uptime < STARTING:
            return Down(f"{why} yet, its process is new", f"fab status --watch; or else {journal}")
        if state == "active":
            return Down(f"{why}, though its process runs", journal)
        if state == "inactive":
            return Down("is stopped", f"systemctl start {unit} on {{hosts}}")
        restarts = shown.get("NRestarts", "0")
        often = f", restarted {restarts} times" if restarts not in ("", "0") else ""
        return Down(f"does not stay up ({state}{often})", journal)


def _silence(complaint: str) -> str:
    return "answers nonsense" if complaint.startswith(NONSENSE) else "does not answer"


def never_deployed(cluster: Cluster, seen: Snapshot) -> list[str]:
    """The machines that were looked at, and have nothing of Standfast."""
    return [
        name
        for name in cluster.voters
        if seen.unasked.get(name) == BARE
        or (
            name in seen.machines
            and not any(_installed(here) for here in seen.machines[name].sets.values())
        )
    ]


def _installed(here: SetSeen) -> bool:
    return here.staged is not None or here.current is not None
