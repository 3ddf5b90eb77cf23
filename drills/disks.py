"""Disks that are full, and a sink that is down, slow or full."""

from __future__ import annotations

import time

import connect
from drills.ground import BALLAST, Ground
from drills.plan import Planned
from drills.stream import now
from drills.wait import wait_until

LASTS = 8.0  # seconds
ROOM = 100_000  # bytes that a full disk has left
UNIT = "postgresql@15-main.service"
FILL = (
    "free=$(df --output=avail -B1 / | tail -n 1); "
    f"[ $free -gt {ROOM} ] && fallocate -l $((free - {ROOM})) {BALLAST}; true"
)


def full(it: Ground, planned: Planned) -> None:
    """The disk of a host, or of all of them, has no room left; then it is freed."""
    targets = planned.targets
    everywhere = len(targets) == len(it.cluster.hosts)
    with it.fault(planned.kind, "disk", targets) as entry:
        entry.aimed = it.aimed(targets)
        try:
            for host in targets:
                it.run(host, FILL)
            entry.at = now()
            if everywhere:
                wait_until(lambda: it.stream.silence() > 3, 60, "the stream to stand still")
                entry.say("the stream stood still")
            else:
                time.sleep(LASTS)
                it.flows(60)
        finally:
            for answer in connect.each(targets, _free).values():
                if isinstance(answer, OSError):
                    entry.say(str(answer))
        it.in_sync(180)
        it.running(90)
        it.flows(60)


def _free(host: str) -> None:
    connect.run(host, f"rm -f {BALLAST}")


def sink_down(it: Ground, planned: Planned) -> None:
    """PostgreSQL is stopped for some seconds."""
    _sink(it, planned, f"systemctl stop {UNIT}", f"systemctl start {UNIT}")


def sink_slow(it: Ground, planned: Planned) -> None:
    """PostgreSQL stands still for some seconds: it takes connections, and answers nothing."""
    _sink(it, planned, f"systemctl kill -s STOP {UNIT}", f"systemctl kill -s CONT {UNIT}")


def sink_full(it: Ground, planned: Planned) -> None:
    """PostgreSQL's disk is full."""
    _sink(it, planned, FILL, f"rm -f {BALLAST}; systemctl restart {UNIT}")


def _sink(it: Ground, planned: Planned, make: str, mend: str) -> None:
    (host,) = planned.targets
    with it.fault(planned.kind, "sink", planned.targets) as entry:
        it.run(host, make, 60)
        entry.at = now()
        try:
            time.sleep(LASTS)  # the fault itself lasts so long
            it.flows(30)
        finally:
            it.run(host, mend, 90)
        it.stream.caught_up(120)
