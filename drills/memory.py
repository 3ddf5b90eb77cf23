"""Memory exhausted: a control group around a host, whose limit something inside runs into."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from drills.ground import Ground
from drills.plan import Planned
from drills.wait import wait_until
from lab import host as machines
from lab.machine import Lab

ROOT = Path("/sys/fs/cgroup/memory")
ROOM = 64 * 2**20  # bytes that a host has left when its limit falls
HUNGRY = (
    "systemd-run --quiet --collect --unit=drill-hungry python3 -c "
    "'import time; a=[]\nfor _ in range(400): a.append(bytearray(1<<20)); time.sleep(0.05)'"
)


def folder(lab: Lab, host: str) -> Path:
    """The control group (version 1) of the fault."""
    return ROOT / f"drill-{lab.plan.title_of(host)}"


def available() -> str:
    """Why there is no such fault here; "" where there is."""
    if (ROOT / "memory.limit_in_bytes").exists():
        return ""
    return "no memory control groups of version 1 are mounted at /sys/fs/cgroup/memory"


def exhaust(it: Ground, planned: Planned) -> None:
    """The kernel kills the largest process of a host whose memory is gone: Kafka's."""
    (host,) = planned.targets
    with it.fault(planned.kind, "memory", planned.targets) as entry:
        entry.aimed = it.aimed([host])
        before = it.run(host, "systemctl show -p MainPID --value kafka")
        group = folder(it.lab, host)
        try:
            _limit(it.lab, host)
            it.run(host, HUNGRY)

            def killed() -> bool:
                return _kills(group) > 0

            # At once: what was there before is not counted, and one kill frees little of it.
            wait_until(killed, 30, f"the kernel to kill something on {host}", every=0.05)
            unlimited(it.lab, host)
            time.sleep(0.5)  # what became of the processes shows
            after = it.run(host, "systemctl show -p MainPID --value kafka")
            entry.say("the kernel killed " + ("the broker" if after != before else "others"))
        finally:
            unlimited(it.lab, host)
            it.run(host, "systemctl stop drill-hungry 2>/dev/null; true")
        it.in_sync(120)
        it.running(90)
        it.flows(60)


def _kills(group: Path) -> int:
    for line in (group / "memory.oom_control").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return 0


def _limit(lab: Lab, host: str) -> None:
    group = folder(lab, host)
    group.mkdir(exist_ok=True)
    for _ in range(3):  # who forks meanwhile is caught the next time
        _move(lab, host, group)
    (group / "memory.limit_in_bytes").write_text(str(ROOM))


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


def _move(lab: Lab, host: str, group: Path) -> None:
    for pid in machines.processes(machines.group(lab.plan, host)):
        with suppress(OSError):  # it ended meanwhile
            (group / "cgroup.procs").write_text(str(pid))
