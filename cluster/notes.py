"""What is not as it should be in a cluster, and costs it no redundancy."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.disk import LEAST_FREE
from cluster.explain import Cause, Explain, Missing, Steps
from cluster.model import AIDES, UNITS, Cluster
from cluster.observed import AlarmSeen, Snapshot
from cluster.overview import Lag, disk_view, lag, last_roll, process
from cluster.sizes import show_size
from cluster.writes import listed

LATE = 60.0  # seconds that a record may wait before a consumer is called late
TOLD = 3600.0  # seconds for which an alarm is mentioned, though it may be over
SHOWN = 160  # characters of its sentence
NEW = 300.0  # seconds that a process must have run before its restarts are history
# What is missed on a host while one of them does not run there.
MISSED = {
    "probe": "what hangs there is not restarted",
    "alert": "its alarms reach nobody",
    "guardian": "alone, its broker would take no writes",
}


def notes(cluster: Cluster, seen: Snapshot, explain: Explain, missing: Missing) -> list[Cause]:
    """All of them; the consumers first."""
    return [
        *consumers(cluster, seen, explain),
        *supervision(cluster, seen, explain),
        *disks(cluster, seen),
        *changes(
            seen, explain.steps, {k: s for k, s in missing.items() if k[0] not in explain.bare}
        ),
        *alarms(cluster, seen),
    ]


def consumers(cluster: Cluster, seen: Snapshot, explain: Explain) -> list[Cause]:
    """Consumers that run nowhere, then those that do not run on a host, or are late."""
    nowhere: list[Cause] = []
    found: list[Cause] = []
    for name in cluster.consumers:
        unit = f"consumer-{name}.service"
        asked = [n for n in cluster.hosts if n in seen.machines and n not in explain.bare]
        down = [n for n in asked if explain.unit(n, name, unit)]
        causes = explain.together(name, down, lambda n, s=name, u=unit: explain.unit(n, s, u))  # type: ignore[misc]
        behind = lag(cluster, name, seen)
        if down and down == asked:
            what = f"the consumer {name} runs on no host{_behind(behind)}"
            nowhere.append(Cause(what, causes[0].do, "full"))
        elif down:
            found += [
                Cause(f"{c.what}; the others take over{_behind(behind)}", c.do, "full")
                for c in causes
            ]
        elif behind.seconds is not None and behind.seconds > LATE:
            what = f"the consumer {name} is late{_behind(behind)}"
            found.append(Cause(what, f"journalctl -u {unit} on every host", "full"))
    return [*nowhere, *found]


def _behind(behind: Lag) -> str:
    if not behind.records:
        return ""
    since = "" if behind.seconds is None else f", the oldest for {behind.seconds:.0f} s"
    return f": {behind.records:,} {'records wait' if behind.records > 1 else 'record waits'}{since}"


def supervision(cluster: Cluster, seen: Snapshot, explain: Explain) -> list[Cause]:
    """Probes that do not run, and processes that die again and again."""
    here = [n for n in cluster.voters if n in seen.machines and n not in explain.bare]
    found = [
        Cause(f"{c.what}: {MISSED[aide]}", c.do, "full")
        for aide in AIDES
        for c in explain.together(
            aide,
            [name for name in here if aide in cluster.units(name)],
            lambda n, a=aide: explain.unit(n, a, UNITS[a]),  # type: ignore[misc]
        )
    ]
    for name in here:
        for service, unit in cluster.units(name).items():
            shown = process(seen.machines[name], unit)
            if shown.restarts > 1 and shown.uptime is not None and shown.uptime < NEW:
                what = f"{service} on {name} was restarted {shown.restarts} times"
                where = f"journalctl -u {unit} on {name}"
                found.append(Cause(f"{what}, last {shown.uptime:.0f} s ago", where, "full"))
    return found


def disks(cluster: Cluster, seen: Snapshot) -> list[Cause]:
    """Disks that do not hold what is promised; cluster.causes says which are full soon."""
    full = {}
    for name in cluster.hosts:
        machine = seen.machines.get(name)
        here = disk_view(cluster, machine) if machine else None
        if here is None or here.days_left is None:
            continue
        if here.days_left >= 1 and here.free >= LEAST_FREE * here.size:
            full[name] = here
    if not full:
        return []
    when = listed(f"{here.days_left:.1f} days on {name}" for name, here in full.items())
    most = max(full.values(), key=lambda here: here.bytes_per_day)
    what = f"full in {when}: the disk, at {show_size(most.bytes_per_day)} a day ({most.rate})"
    do = (
        "less data or days (topics' retention.ms, promise), or larger disks: df /var/lib/kafka/data"
    )
    return [Cause(what, do, "full")]


def changes(seen: Snapshot, steps: Steps, missing: Missing) -> list[Cause]:
    """What is staged and not live, and what is not even staged."""
    found = []
    stale = {key: step for key, step in steps.items() if step.kind != "confirm"}
    if stale:
        why = next((step.why[0] for step in stale.values() if step.why), "")
        what = f"staged and not live: {by_service(stale)}{f' ({why})' if why else ''}"
        roll = last_roll(seen.machines.values())
        if roll and not roll.over:
            what += f"; a roll is under way, or was interrupted ({roll.by})"
        found.append(Cause(what, "fab roll", "full"))
    elif steps:
        what = f"live, and not yet seen healthy by a roll: {by_service(steps)}"
        found.append(Cause(what, "fab roll", "full"))
    if missing:
        what = f"the inventory asks for other files than are staged: {by_service(missing)}"
        found.append(Cause(what, "fab plan; then make deploy", "full"))
    return found


def alarms(cluster: Cluster, seen: Snapshot) -> list[Cause]:
    """The alarms of the last hour, one of each cause, the newest first: they may be over."""
    causes: dict[str, list[tuple[AlarmSeen, str]]] = {}
    for name in cluster.voters:
        machine = seen.machines.get(name)
        for alarm in machine.alarms if machine else ():
            if seen.at - alarm.at < TOLD:
                causes.setdefault(alarm.cause, []).append((alarm, name))
    found = []
    for cause, there in causes.items():
        last, host = max(there, key=lambda of: of[0].at)
        ago = _ago(max(0.0, seen.at - last.at))
        what = f"alarm {cause} on {listed(name for _, name in there)}, {ago}: "
        text = last.sentence if len(last.sentence) <= SHOWN else f"{last.sentence[: SHOWN - 1]}…"
        of = f"-u {last.unit}" if last.unit else "-t standfast"
        where = f"journalctl -p crit {of} on {host}"
        found.append((last.at, Cause(what + text, where, "full")))
    return [cause for _, cause in sorted(found, key=lambda of: -of[0])]


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"


def by_service(keys: Iterable[tuple[str, str]]) -> str:
    """Services of hosts: "kafka on kafka1 and kafka2, probe on kafka1"."""
    hosts: dict[str, list[str]] = {}
    for host, service in keys:
        hosts.setdefault(service, []).append(host)
    return ", ".join(f"{service} on {listed(names)}" for service, names in hosts.items())
