"""Faults of one process: killed, hung, and a program that does not start."""

from __future__ import annotations

import time

from drills import hosts
from drills.ground import DROPIN, Entry, Ground
from drills.plan import Planned
from drills.wait import wait_until

HANGS = 90.0  # seconds in which a hung process is found out and started again
LOOP = 18.0  # seconds for which a program does not start
# Longer than what a group may be kept from its partitions, or nothing is proven.
JOINS = 30.0  # seconds for which a collector joins its group and dies
DIES = 2  # seconds after its start: it has joined, and stored nothing or little


def kill(it: Ground, planned: Planned) -> None:
    """kill -9. Well again: it runs in another process, and what it serves is whole."""
    (host,) = planned.targets
    with it.fault("kill -9", "process", planned.targets, planned.unit) as entry:
        unit, before = _begin(it, entry, planned)
        entry.at = hosts.signal(host, unit)
        it.again(host, unit, before)
        _served(it, planned.unit)


def hang(it: Ground, planned: Planned) -> None:
    """SIGSTOP, until something notices, ends it and starts it again."""
    (host,) = planned.targets
    with it.fault("SIGSTOP", "process", planned.targets, planned.unit) as entry:
        unit, before = _begin(it, entry, planned)
        entry.at = hosts.signal(host, unit, "STOP")
        it.again(host, unit, before, HANGS)
        _served(it, planned.unit)


def loop(it: Ground, planned: Planned) -> None:
    """A broken program: it fails each time it is started, for some seconds. Then it is mended.

    A collector starts well, joins its group, and dies: a static member that keeps its partitions.
    """
    (host,) = planned.targets
    joins = planned.unit in it.stream.collectors
    with it.fault("crash loop", "process", planned.targets, planned.unit) as entry:
        unit, before = _begin(it, entry, planned)
        folder = f"/run/systemd/system/{unit}.d"
        it.run(host, broken(unit, folder, joins))
        try:
            entry.at = hosts.signal(host, unit)
            time.sleep(JOINS if joins else LOOP)  # the fault itself lasts so long
            restarts = hosts.unit(host, unit).restarts
            entry.say(f"started {restarts} times in vain")
            it.flows(30)
        finally:
            it.run(host, f"rm -f {folder}/{DROPIN} && systemctl daemon-reload")
        it.again(host, unit, before, 60)
        _served(it, planned.unit)


def broken(unit: str, folder: str, joins: bool) -> str:
    """The script that breaks a unit's program: `joins` lets it run for a moment each time. Pure."""
    # In a unit's file $$ is one $: the shell's own number, which the program takes over.
    dies = rf'/bin/sh -c "(sleep {DIES}; kill -9 \$\$\$\$) & exec $program"'
    program = dies if joins else "/bin/false"
    return (
        f"program=$(systemctl cat {unit} | sed -n 's/^ExecStart=//p' | tail -n 1); "
        f"mkdir -p {folder} && cat > {folder}/{DROPIN} <<END\n"
        f"[Service]\nExecStart=\nExecStart={program}\nEND\n"
        "systemctl daemon-reload"
    )


def _begin(it: Ground, entry: Entry, planned: Planned) -> tuple[str, int]:
    """The unit's name and its process, once it runs; what it is just now is noted."""
    (host,) = planned.targets
    unit = it.cluster.units(host)[planned.unit]

    def runs() -> int:
        return hosts.unit(host, unit).pid

    before = wait_until(runs, 60, f"{unit} to run on {host}")
    if planned.unit in ("kafka", "zookeeper"):
        entry.aimed = it.aimed(planned.targets)
    if planned.together:
        entry.say(f"with {planned.together} at the same time")
    return unit, before


def _served(it: Ground, unit: str) -> None:
    """Wait until what a service is there for is whole again."""
    if unit == "kafka":
        it.in_sync(120)
    it.flows(60)
    if unit in it.stream.collectors:
        it.stream.caught_up(60)
