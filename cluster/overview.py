"""A cluster at a glance: what was seen of each host, group and roll, as `fab status` shows it.

Pure. What could not be seen is None, never a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster import disk
from cluster.due import Due
from cluster.machine_health import demand
from cluster.model import Cluster, Host, Voter
from cluster.observed import GroupSeen, MachineSeen, Snapshot
from cluster.snapshot import DATA

PROMISED, WRITTEN = "promised", "written in the last day"
ENDS = ("end", "stopped")


@dataclass(frozen=True)
class Process:
    """A service's process. `state` is systemd's (active, inactive, failed …), "" where it is not
    installed; `uptime` in seconds, None where it does not run; `restarts` those by systemd since
    it was last started by hand; `stale`: it does not run on what is staged.
    """

    unit: str
    state: str
    uptime: float | None
    restarts: int
    stale: bool


@dataclass(frozen=True)
class Disk:
    """A broker's disk, in bytes. `days_left` until it is full at `bytes_per_day`, which is the
    greater of what is promised and what was written (`rate` says which); None where it never is:
    retention deletes before.
    """

    size: int
    free: int
    bytes_per_day: float
    rate: str
    days_left: float | None


@dataclass(frozen=True)
class HostView:
    """A machine. `unasked` is why it could not be looked at over SSH, "" where it was; `zookeeper`
    leader, follower or "" (serves nobody); what follows `broker` is that of a machine that should
    have one: `leads` counts partitions, `in_sync` of `hosted` replicas.
    """

    address: str
    unasked: str
    zookeeper: str
    broker: bool = False
    registered: bool | None = None
    controller: bool | None = None
    leads: int | None = None
    in_sync: int | None = None
    hosted: int | None = None
    disk: Disk | None = None
    processes: Mapping[str, Process] = field(default_factory=dict)


@dataclass(frozen=True)
class Lag:
    """How far a consumer group is behind: records, and seconds since the oldest of them was stored.

    `records` is None where that is unknown; `partitions` counts those whose end alone is.
    """

    records: int | None
    seconds: float | None
    partitions: int = 0
    complaint: str = ""


@dataclass(frozen=True)
class LastRoll:
    """What the hosts' journals say of the last roll: its last entry, and whether it is over."""

    roll: str
    at: float
    by: str
    event: str
    sentence: str
    over: bool


@dataclass(frozen=True)
class Overview:
    """All of it; hosts and groups by name."""

    hosts: Mapping[str, HostView]
    groups: Mapping[str, Lag]
    last_roll: LastRoll | None


def overview(
    cluster: Cluster, seen: Snapshot, steps: Mapping[tuple[str, str], Due] | None = None
) -> Overview:
    """What was seen; `steps` is what a roll has to do."""
    stale = {key for key, step in (steps or {}).items() if step.kind != "confirm"}
    return Overview(
        {name: _host(cluster, voter, seen, stale) for name, voter in cluster.voters.items()},
        {name: lag(cluster, name, seen) for name in cluster.consumers},
        last_roll(seen.machines.values()),
    )


def _host(cluster: Cluster, voter: Voter, seen: Snapshot, stale: set[tuple[str, str]]) -> HostView:
    name, machine = voter.name, seen.machines.get(voter.name)
    state = seen.voters[name].state if name in seen.voters else ""
    processes = {}
    if machine is not None:
        processes = {
            service: process(machine, unit, (name, service) in stale)
            for service, unit in cluster.units(name).items()
        }
    unasked = "" if machine else seen.unasked.get(name, "was not asked")
    if not isinstance(voter, Host):
        return HostView(voter.address, unasked, state, processes=processes)
    number, known = voter.broker_id, not seen.registry.complaint
    partitions = [p for t in seen.topics.topics.values() for p in t.partitions]
    asked = not seen.topics.complaint
    return HostView(
        voter.address,
        unasked,
        state,
        broker=True,
        registered=number in seen.registry.brokers if known else None,
        controller=number == seen.registry.controller if known else None,
        leads=sum(p.leader == number for p in partitions) if asked else None,
        in_sync=sum(number in p.replicas and number in p.isr for p in partitions)
        if asked
        else None,
        hosted=sum(number in p.replicas for p in partitions) if asked else None,
        disk=disk_view(cluster, machine) if machine else None,
        processes=processes,
    )


def process(machine: MachineSeen, unit: str, stale: bool = False) -> Process:
    """A unit's process."""
    shown = machine.units.get(unit, {})
    state = shown.get("ActiveState", "") if shown.get("LoadState") == "loaded" else ""
    began = shown.get("ActiveEnterTimestampMonotonic", "")
    uptime = None
    if state == "active" and began.isdigit():
        uptime = max(0.0, machine.monotonic - int(began) / 1e6)
    restarts = shown.get("NRestarts", "")
    return Process(unit, state, uptime, int(restarts) if restarts.isdigit() else 0, stale)


def disk_view(cluster: Cluster, machine: MachineSeen) -> Disk | None:
    """The broker's disk of a machine; None where there is none."""
    here = machine.disks.get(DATA)
    if here is None:
        return None
    wanted = demand(cluster)
    rate = max(wanted.per_day, here.recent)
    # Retention deletes before it is full, where all the days that are kept have room.
    fits = here.free + here.used >= rate * wanted.days
    left = math.inf if fits else disk.days_left(here.free, rate)
    return Disk(
        here.size,
        here.free,
        rate,
        WRITTEN if here.recent > wanted.per_day else PROMISED,
        None if left == math.inf else left,
    )


def lag(cluster: Cluster, name: str, seen: Snapshot) -> Lag:
    """How far the consumer `name` is behind."""
    group = seen.groups.get(name, GroupSeen(complaint="was not asked"))
    if group.complaint:
        return Lag(None, None, complaint=group.complaint)
    topics = cluster.consumers[name].topics
    if not any(seen.ends.get(topic) for topic in topics):
        return Lag(None, None, complaint="how long its topics are is unknown")
    records = unknown = 0
    for topic in topics:
        ends, there = seen.ends.get(topic, {}), seen.topics.topics.get(topic)
        for partition, end in ends.items():
            # A position that was never committed is the log's start, as auto.offset.reset says.
            records += max(0, end - group.committed.get(topic, {}).get(partition, 0))
        unknown += max(0, len(there.partitions) - len(ends)) if there else 0
    seconds = None if group.waiting is None else max(0.0, seen.at - group.waiting)
    return Lag(records, 0.0 if not records else seconds, unknown)


def last_roll(machines: Iterable[MachineSeen]) -> LastRoll | None:
    """The latest roll of all journals; what makes no sense is passed over."""
    entries: list[Mapping[str, Any]] = [
        entry
        for machine in machines
        for entry in machine.journal
        if isinstance(entry.get("at"), int | float) and entry.get("roll")
    ]
    if not entries:
        return None
    newest = max(entries, key=lambda e: e["at"])["roll"]
    mine: Sequence[Mapping[str, Any]] = sorted(
        (e for e in entries if e["roll"] == newest), key=lambda e: e["at"]
    )
    # A host that was away when it ended does not know that.
    final = next((e for e in reversed(mine) if e.get("event") in ENDS), mine[-1])
    return LastRoll(
        str(newest),
        float(final["at"]),
        str(final.get("by", "")),
        str(final.get("event", "")),
        str(final.get("sentence", "")),
        final.get("event") in ENDS,
    )
