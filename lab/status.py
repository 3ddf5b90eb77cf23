"""What a lab's hosts are like now, as data and as a table."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from lab import host as hosts
from lab import network
from lab.plan import Machine, Plan


@dataclass(frozen=True)
class HostStatus:
    """What a host is like now; `up_since` in seconds since 1970, disk sizes in bytes."""

    host: str
    state: str  # running, frozen, off, half dead
    address: str
    link: str  # up, down
    up_since: float | None
    disk_used: int | None
    disk_size: int | None


def of(plan: Plan, machine: Machine) -> HostStatus:
    """Look at one host."""
    name, since, used, size = machine.name, None, None, None
    pid = hosts.init(plan, name)
    state = "running" if pid else "half dead" if hosts.runs(plan, name) else "off"
    if hosts.is_frozen(plan, name):
        state = "frozen"
    if pid is not None:
        since = Path(f"/proc/{pid}").stat().st_ctime
        disk = os.statvfs(f"/proc/{pid}/root")
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        size = disk.f_blocks * disk.f_frsize
    up = network.exists(plan.title) and network.link_is_up(plan, name)
    return HostStatus(name, state, str(machine.address), "up" if up else "down", since, used, size)


def table(statuses: list[HostStatus]) -> list[str]:
    """Aligned lines, the first with the columns' names."""
    rows = [("HOST", "STATE", "LINK", "ADDRESS", "UP SINCE", "DISK USED"), *map(_row, statuses)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(status: HostStatus) -> tuple[str, ...]:
    since, disk = "-", "-"
    if status.up_since is not None:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.up_since))
    if status.disk_used is not None and status.disk_size is not None:
        disk = f"{status.disk_used / 1e9:.2f} of {status.disk_size / 1e9:.2f} GB"
    return status.host, status.state, status.link, status.address, since, disk
