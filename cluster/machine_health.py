"""Whether a machine is fit for what runs on it: clock, disk, kernel, versions, ports.

Questions to what was seen over SSH, each answered with findings; pure, as cluster.health.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping

from cluster import disk
from cluster.model import Cluster, Host, Voter
from cluster.observed import ClockSeen, Finding, MachineSeen
from cluster.releases import RELEASES
from cluster.settings import topic_settings
from cluster.sizes import show_size

DEPLOY = "make deploy"
MOST_OFF = 0.5  # seconds
GOOD = {"ext4", "xfs"}
# A power cut may lose what was flushed, or write data after what names it.
UNSAFE = {"nobarrier", "barrier=0", "data=writeback"}


def versions(seen: MachineSeen) -> list[Finding]:
    """Java and Python are those of a release that Standfast knows."""
    release = RELEASES.get(seen.release)
    if release is None:
        return [
            Finding(
                "release", " or ".join(RELEASES), seen.release or "unknown", "cat /etc/os-release"
            )
        ]
    found = []
    if seen.python != release.python:
        found.append(Finding("python3", release.python, seen.python, "python3 --version"))
    wanted = re.sub(r"\D", "", release.java)
    for unit, version in seen.java.items():
        if version.split(".")[0] != wanted:
            where = f"update-alternatives --display java; {DEPLOY}, then restart {unit}"
            found.append(Finding(unit, f"Java {wanted}", version or "unknown", where))
    return found


def kernel(sysctl_conf: str, seen: MachineSeen) -> list[Finding]:
    """The kernel's settings are those of the rendered sysctl.conf."""
    found = []
    for name, value in kernel_settings(sysctl_conf).items():
        here = seen.sysctl.get(name)
        if here is None or here.value != value:
            closed = bool(seen.container) and here is not None and not here.writable
            where = (
                f"read-only in this container ({seen.container}): set it on the machine outside"
                if closed
                else f"sysctl {name}; sysctl --load /etc/sysctl.d/60-standfast.conf"
            )
            now = here.value if here and here.value else "unknown"
            found.append(Finding(name, value, now, where, not closed))
    return found


def kernel_settings(sysctl_conf: str) -> dict[str, str]:
    """The settings of a sysctl.conf, name to value."""
    rows = [line.partition("=") for line in sysctl_conf.splitlines() if not line.startswith("#")]
    return {name.strip(): value.strip() for name, equals, value in rows if equals}


def clock(name: str, seen: Mapping[str, ClockSeen]) -> list[Finding]:
    """The clock of `name` is within half a second of the controller's and the other machines'."""
    own = seen[name]
    others = [c.offset for n, c in seen.items() if n != name]
    middle = statistics.median([c.offset for c in seen.values()])
    expected = f"within {MOST_OFF:g} s"
    found = []
    if own.uncertainty > MOST_OFF:
        now = f"known to {own.uncertainty:.2f} s only: the connection is too slow"
        return [Finding("clock", expected, now, f"chronyc tracking, or timedatectl, on {name}")]
    if abs(own.offset) - own.uncertainty > MOST_OFF:
        where = f"timedatectl on {name}: retention and time stamps go by this clock"
        if others and abs(middle) > MOST_OFF >= abs(own.offset - middle):
            where = "the machines agree with each other: it is this controller's clock"
        now = f"{own.offset:+.2f} s against the controller"
        found.append(Finding("clock", expected, now, where))
    elif others and abs(own.offset - middle) - own.uncertainty > MOST_OFF:
        now = f"{own.offset - middle:+.2f} s against the other machines"
        found.append(Finding("clock", expected, now, f"timedatectl on {name}"))
    return found


def synchronised(seen: MachineSeen) -> list[Finding]:
    """A time server keeps the clock."""
    if seen.synchronised:
        return []
    where = (
        "timedatectl; is a time server in reach? (systemd-timesyncd, chrony)"
        if seen.can_synchronise
        else f"the clock of a container ({seen.container}) is its machine's: look there"
    )
    return [Finding("clock", "synchronised (NTP)", "not synchronised", where, seen.can_synchronise)]


def large_enough(cluster: Cluster, host: Host, path: str, seen: MachineSeen) -> list[Finding]:
    """The disk is at least as large as the inventory declares."""
    here, declared = seen.disks.get(path), host.disk or cluster.promise.disk
    if here is None:
        return [Finding(path, "a directory", "none", DEPLOY)]
    if here.size >= declared:
        return []
    where = f"df {path}; is its disk mounted? In the inventory: hosts.{host.name}.disk"
    return [Finding(path, f"{show_size(declared)}, as declared", show_size(here.size), where)]


def room(cluster: Cluster, path: str, seen: MachineSeen) -> list[Finding]:
    """What else is on the disk leaves the room that is promised, and it does not fill up."""
    here = seen.disks.get(path)
    if here is None:
        return [Finding(path, "a directory", "none", DEPLOY)]
    wanted = demand(cluster)
    needed, left = wanted.per_day * wanted.days, here.free + here.used
    found = []
    if left < needed:
        expected = f"room for {show_size(needed)}: {wanted.days:g} x {show_size(wanted.per_day)}"
        now = f"{show_size(left)}, what Kafka holds already included"
        where = "du -xh --max-depth=2 / on this machine: what else is there?"
        found.append(Finding(path, expected, now, where))
    least = here.size * disk.LEAST_FREE
    if here.free < least:
        now = f"{show_size(here.free)}, and Kafka holds {show_size(here.used)}"
        where = "more comes in than promise.bytes_per_day says: a larger disk, or a shorter promise"
        found.append(Finding(path, f"at least {show_size(least)} free", now, where))
    return found


def demand(cluster: Cluster) -> disk.Demand:
    """What the inventory's topics keep on each host's disk."""
    kept = [
        {row.name: row.value for row in topic_settings(cluster, t)} for t in cluster.topics.values()
    ]
    return disk.Demand(
        bytes_per_day=cluster.promise.bytes_per_day,
        retention_days=max((int(k["retention.ms"]) for k in kept), default=0) / disk.DAY_MS,
        roll_days=max((int(k.get("segment.ms", disk.DAY_MS)) for k in kept), default=0)
        / disk.DAY_MS,
        replication=max((t.replication for t in cluster.topics.values()), default=1),
        hosts=len(cluster.hosts),
    )


def file_system(path: str, seen: MachineSeen) -> list[Finding]:
    """The data lies on ext4 or XFS, with barriers."""
    here = seen.disks.get(path)
    if here is None:
        return [Finding(path, "a directory", "none", DEPLOY)]
    unsafe = [option for option in here.options if option in UNSAFE]
    if unsafe:
        where = (
            f"findmnt -T {path}; take it out of /etc/fstab: a power cut loses what was acknowledged"
        )
        return [
            Finding(path, "barriers, and data=ordered", f"mounted with {', '.join(unsafe)}", where)
        ]
    if here.kind in GOOD:
        return []
    hidden = bool(seen.container) and here.kind == "overlay"
    where = (
        "a container's overlay: the disk under it is not seen from in here"
        if hidden
        else f"findmnt -T {path}: put /var/lib/kafka on a disk of its own with ext4 or XFS"
    )
    return [Finding(path, " or ".join(sorted(GOOD)), here.kind or "unknown", where, not hidden)]


def ports(cluster: Cluster, machine: Voter, leads: bool, seen: MachineSeen) -> list[Finding]:
    """The servers listen at their addresses, and nowhere else."""
    numbers = cluster.ports
    expected = {
        numbers.zookeeper: "zookeeper.service",
        numbers.zookeeper_election: "zookeeper.service",
    }
    if leads:  # the ensemble's leader alone lets followers in
        expected[numbers.zookeeper_peer] = "zookeeper.service"
    if isinstance(machine, Host):
        expected[numbers.kafka] = "kafka.service"
    ours = {process.pid: unit for unit, process in seen.processes.items()}
    found = []
    for port, unit in expected.items():
        place = [x for x in seen.listeners if (x.port, x.address) == (port, machine.address)]
        if not any(ours.get(x.pid) == unit for x in place):
            held = f"{place[0].program} (process {place[0].pid})" if place else "nobody listens"
            where = f"ss -ltnp 'sport = :{port}'; journalctl -u {unit}"
            found.append(Finding(f"{machine.address}:{port}", unit, held, where))
    for x in seen.listeners:
        known = x.address == machine.address and x.port in expected
        if not known and (x.pid in ours or x.port in expected):
            unit = ours.get(x.pid, f"{x.program} (process {x.pid})")
            where = f"ss -ltnp 'sport = :{x.port}': nobody should reach it there"
            found.append(Finding(f"{x.address}:{x.port}", "no listener", unit, where))
    return found
