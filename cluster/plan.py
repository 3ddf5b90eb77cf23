"""What a deploy would do, and a roll after it: the inventory against what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff

from cluster import settings, stand
from cluster.due import not_staged, texts
from cluster.fold import Told, folded
from cluster.model import Cluster
from cluster.observed import BARE, SetSeen, Snapshot
from cluster.refused import Refusal, refusals
from cluster.render import FileSet
from cluster.steps import SECRET, Change, Step, sentence, steps

Sets = Mapping[str, Sequence[FileSet]]
Topics = Sequence[Mapping[str, str | None]]  # as `standfast topics --check` prints them
CONTEXT = 4  # lines around a change: a setting's reason stands above it


@dataclass(frozen=True)
class FileDiff(Told):
    """How a deploy changes a file: the lines of a unified diff."""

    service: str
    file: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Mend(Told):
    """What a deploy puts right beside the files: "kafka.service: does not run, and is started"."""

    what: str


@dataclass(frozen=True)
class Plan:
    """All of it. `install` are the machines that were never deployed to, `topics` what a deploy
    changes of them at once, `steps` what is the roll's, `notes` sentences about what is left alone,
    `unasked` what could not be asked, and why: then this is no plan.
    """

    install: tuple[str, ...] = ()
    files: tuple[FileDiff, ...] = ()
    mends: tuple[Mend, ...] = ()
    topics: tuple[Change, ...] = ()
    steps: tuple[Step, ...] = ()
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    unasked: Mapping[str, str] = field(default_factory=dict)

    @property
    def deploys(self) -> bool:
        """Whether a deploy has anything to do."""
        return bool(self.install or self.files or self.mends or self.topics)

    @property
    def code(self) -> int:
        """The exit code: 0 nothing to do, 2 something, 1 refused or not all could be asked."""
        if self.refused or self.unasked:
            return 1
        return 2 if self.deploys or self.steps else 0


def plan(cluster: Cluster, sets: Sets, seen: Snapshot, topics: Topics) -> Plan:
    """The plan. `topics` is how the cluster's topics differ from the inventory's."""
    staged = {n: any(s.staged for s in m.sets.values()) for n, m in seen.machines.items()}
    bare = [n for n in sets if not staged.get(n, seen.unasked.get(n) != BARE)]
    refused = (
        *stand.refusals(cluster, seen),
        *refusals(cluster, sets, seen.machines, topics),
    )
    return Plan(
        install=tuple(bare),
        files=tuple(_files(sets, seen, bare)),
        mends=tuple(_mends(sets, seen, bare)),
        topics=tuple(_topic(cluster, change) for change in topics if change["kind"] != "refused"),
        steps=tuple(steps(cluster, sets, seen)),
        refused=refused,
        notes=tuple(_strangers(cluster, seen)),
        # Servers do not answer at addresses and under numbers that are refused.
        unasked=_machines(seen) if refused else _machines(seen) | _servers(seen),
    )


def _files(sets: Sets, seen: Snapshot, bare: Sequence[str]) -> list[FileDiff]:
    found = []
    for (host, service), wanted in not_staged(sets, seen).items():
        if host in bare:
            continue
        here = seen.machines[host].sets.get(service, SetSeen())
        there = here.files.get(here.staged or "", {})
        old = texts(here, here.staged)
        for name in sorted(old.keys() | wanted.files.keys()):
            if name in wanted.secrets or (name in there and there[name].text is None):
                # Of what was a secret there is nothing but its digest.
                same = old.get(name) == wanted.digests.get(name)
                lines = [] if same else [SECRET]
            else:
                before, now = old.get(name, ""), wanted.files.get(name, "")
                diff = unified_diff(before.splitlines(), now.splitlines(), n=CONTEXT, lineterm="")
                lines = list(diff)[2:]  # without the two that name the files
            if lines:
                found.append(FileDiff((host,), service, name, tuple(lines)))
    return folded(found)


def _mends(sets: Sets, seen: Snapshot, bare: Sequence[str]) -> list[Mend]:
    found = []
    for host, machine in seen.machines.items():
        for wanted in sets[host] if host not in bare else []:
            here = machine.sets.get(wanted.service, SetSeen())
            for name, path in wanted.links.items():
                if machine.links.get(path) != f"/etc/standfast/{wanted.service}/current/{name}":
                    found.append(Mend((host,), f"{path}: is linked to the set in use"))
            if wanted.unit is None:
                continue
            shown = machine.units.get(wanted.unit, {})
            if shown.get("ActiveState") != "active":
                if here.good is None:
                    found.append(Mend((host,), f"{wanted.unit}: is started for the first time"))
                elif here.current == wanted.fingerprint:
                    found.append(Mend((host,), f"{wanted.unit}: does not run, and is started"))
            if here.good is not None and shown.get("UnitFileState") != "enabled":
                found.append(Mend((host,), f"{wanted.unit}: is started at boot again"))
    return folded(found)


def _topic(cluster: Cluster, change: Mapping[str, str | None]) -> Change:
    topic, what = change["topic"] or "", change["what"] or ""
    old, new = change["found"], change["expected"] or ""
    said = change["sentence"] or ""
    if change["kind"] == "create":
        return Change(f"{topic}: {said.partition(': ')[2]}")
    if change["kind"] == "partitions":
        return Change(f"{topic}: partitions: {old} -> {new}", said.partition("; ")[2])
    about = {**cluster.topics, cluster.canary.name: cluster.canary}
    rows = settings.topic_settings(cluster, about[topic])
    why = next((sentence(row.reason) for row in rows if row.name == what), "")
    shown = f"{topic}: {what}: {old or 'not set on the topic'} -> {new}"
    return Change(shown, why, setting=what, old=old, new=new)


def _strangers(cluster: Cluster, seen: Snapshot) -> list[str]:
    known = {host.broker_id for host in cluster.hosts.values()}
    return [
        f"broker {number} ({at}) is registered, and the inventory has no such host: it is left "
        "alone, and keeps its replicas; name it, or move them (kafka-reassign-partitions.sh) and "
        "stop it"
        for number, at in sorted(seen.registry.brokers.items())
        if number not in known
    ]


def _machines(seen: Snapshot) -> dict[str, str]:
    """The machines that could not be asked, and why."""
    return {name: why for name, why in seen.unasked.items() if why != BARE}


def _servers(seen: Snapshot) -> dict[str, str]:
    """What the servers could not be asked, where they were ever started, and why."""
    found = {}

    def served(service: str) -> bool:
        return any(m.sets.get(service, SetSeen()).good for m in seen.machines.values())

    if (why := seen.topics.complaint or seen.topics.unset) and served("kafka"):
        found["topics"] = why
    if seen.registry.complaint and served("zookeeper"):
        found["registered brokers"] = seen.registry.complaint
    for host, there in seen.overrides.items():
        unit = seen.machines[host].units.get("kafka.service", {}) if host in seen.machines else {}
        if there.complaint and unit.get("ActiveState") == "active":
            found[f"the running settings of {host}"] = there.complaint
    return found
