"""What a roll would do once a deploy has staged what the inventory asks for, and why.

cluster.due says it of what lies on the hosts; here it is asked of what would lie there, each change
gets its setting's reason, and what is the same on several hosts is told once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cluster import settings
from cluster.catalogue import names
from cluster.changes import changes
from cluster.due import Due, Kind, due, not_staged, texts
from cluster.fold import Told, folded
from cluster.live import SERVER, properties, takes
from cluster.model import Cluster, Host, Witness
from cluster.observed import FileSeen, MachineSeen, SetSeen, Snapshot
from cluster.render import FileSet

KINDS = {
    SERVER: "broker",
    "zookeeper.properties": "zookeeper",
    "consumer.properties": "consumer",
    "producer.properties": "producer",
}
SECRET = "another content (a secret: not shown)"
RANK = {"restart": 0, "apply": 1, "confirm": 2}


@dataclass(frozen=True)
class Change:
    """One thing that changes for a process or a topic: `what` is a sentence, `why` its reason in
    one sentence ("" where it has none). `setting` with its values only where it is one (None: not
    set); `live` where a running broker takes it.
    """

    what: str
    why: str = ""
    file: str = ""
    setting: str = ""
    old: str | None = None
    new: str | None = None
    live: bool = False


@dataclass(frozen=True)
class Step(Told):
    """What a roll does to one service on each of `hosts`; `staged` where it lies there already.
    Without changes the files differ in comments alone: no process is touched.
    """

    service: str
    unit: str
    kind: Kind
    down: bool
    staged: bool
    changes: tuple[Change, ...]


def steps(cluster: Cluster, sets: Mapping[str, Sequence[FileSet]], seen: Snapshot) -> list[Step]:
    """The steps: what is down first, then restarts, then what is applied without one."""
    missing = not_staged(sets, seen)
    staged = {name: after(machine, sets[name]) for name, machine in seen.machines.items()}
    found = []
    for (host, service), step in due(cluster, sets, replace(seen, machines=staged)).items():
        wanted = next(s for s in sets[host] if s.service == service)
        said = _changes(cluster, host, wanted, staged[host].sets[service], step)
        there = (host, service) not in missing
        found.append(Step((host,), service, step.unit, step.kind, step.down, there, said))
    found.sort(key=lambda s: (not s.down, RANK[s.kind], cluster.services.index(s.service)))
    return folded(found)


def after(machine: MachineSeen, sets: Sequence[FileSet]) -> MachineSeen:
    """The machine as it would be once every one of its sets is staged."""
    staged = {}
    for wanted in sets:
        here = machine.sets.get(wanted.service, SetSeen())
        files = {
            name: FileSeen(digest, 0, "", None if name in wanted.secrets else wanted.files[name])
            for name, digest in wanted.digests.items()
        }
        there = {**here.files, wanted.fingerprint: files}
        staged[wanted.service] = replace(here, staged=wanted.fingerprint, files=there)
    return replace(machine, sets={**machine.sets, **staged})


def _changes(
    cluster: Cluster, host: str, wanted: FileSet, here: SetSeen, step: Due
) -> tuple[Change, ...]:
    if step.runs == step.fingerprint or step.runs not in here.files:
        return tuple(Change(sentence) for sentence in step.why)
    old, new = texts(here, step.runs), texts(here, step.fingerprint)
    reasons = _reasons(cluster, host, wanted.service)
    found: list[Change] = []
    for name in sorted(old.keys() | new.keys()):
        if name in wanted.secrets and name in old:
            found += [Change(f"{name}: {SECRET}", file=name)] if old[name] != new[name] else []
        elif name in KINDS and name in old and name in new:
            found += _settings(name, old[name], new[name], reasons.get(name, {}))
        else:
            both = [{name: text[name]} if name in text else {} for text in (old, new)]
            found += [Change(said, file=name) for said in changes(both[0], both[1])]
    found.sort(key=lambda c: c.live)  # what a restart is for comes first
    return tuple(c for c in found if not c.what.endswith(": comments only"))


def _settings(file: str, old: str, new: str, reasons: Mapping[str, str]) -> list[Change]:
    before, now = properties(old), properties(new)
    found = []
    for name in [*now, *(n for n in before if n not in now)]:
        values = before.get(name), now.get(name)
        if values[0] == values[1]:
            continue
        usual = names(KINDS[file]).get(name, {}).get("default")
        absent = "not set" if usual is None else f"{usual} (the default)"
        what = f"{name}: {' -> '.join(absent if v is None else v for v in values)}"
        live = file == SERVER and values[1] is not None and takes(name, values[0], values[1])
        found.append(Change(what, sentence(reasons.get(name, "")), file, name, *values, live))
    return found


def _reasons(cluster: Cluster, host: str, service: str) -> dict[str, dict[str, str]]:
    """Why each setting of a service is as it is: by file, then by name."""
    machine = cluster.machines[host]
    rows: dict[str, list[settings.Setting]] = {}
    if service == "kafka" and isinstance(machine, Host):
        rows[SERVER] = settings.broker_settings(cluster, machine)
    elif service == "zookeeper" and isinstance(machine, Host | Witness):
        every = settings.zookeeper_settings(cluster, machine)
        # A voter's line has no reason but whose it is.
        rows["zookeeper.properties"] = [r for r in every if not r.name.startswith("server.")]
    elif consumer := cluster.consumers.get(service):
        rows["consumer.properties"] = settings.consumer_settings(cluster, consumer)
        rows["producer.properties"] = settings.producer_settings(cluster)
    return {file: {row.name: row.reason for row in of} for file, of in rows.items()}


def sentence(reason: str) -> str:
    """The first sentence of a reason."""
    found = re.match(r".+?\.(?=\s|$)", " ".join(reason.split()))
    return found[0] if found else reason
