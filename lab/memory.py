"""A host's memory, limited by a control group of its own around it (version 1)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lab import host as hosts
from lab.machine import Lab

ROOT = Path("/sys/fs/cgroup/memory")


def folder(lab: Lab, host: str) -> Path:
    """The control group."""
    return ROOT / f"drill-{lab.plan.title_of(host)}"


def limit(lab: Lab, host: str, room: int) -> None:
    """Let a host's processes have `room` bytes more, all together. Undone by `unlimited`."""
    group = folder(lab, host)
    group.mkdir(exist_ok=True)
    for _ in range(3):  # who forks meanwhile is caught the next time
        for pid in hosts.processes(hosts.group(lab.plan, host)):
            with suppress(OSError):  # it ended meanwhile
                (group / "cgroup.procs").write_text(str(pid))
    (group / "memory.limit_in_bytes").write_text(str(room))


def unlimited(lab: Lab, host: str) -> None:
    """Take the limit away, and the group."""
    group = folder(lab, host)
    if not group.exists():
        return
    (group / "memory.limit_in_bytes").write_text("-1")
    for _ in range(5):
        for line in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):  # it ended meanwhile
                (ROOT / "cgroup.procs").write_text(line)
        with suppress(OSError):  # somebody forked meanwhile: once more
            group.rmdir()
            return


def kills(lab: Lab, host: str) -> int:
    """How many processes the kernel has killed for want of memory."""
    for line in (folder(lab, host) / "memory.oom_control").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return 0
