"""Disks that are full, and a sink that is down, slow or full."""

from __future__ import annotations

import time
from collections.abc import Mapping

import connect
from cluster.commands import sh
from drills import hosts
from drills.ground import BALLAST, Ground
from drills.plan import Planned
from drills.stream import now
from drills.wait import wait_until

LASTS = 8.0  # seconds
ROOM = 100_000  # bytes that a full disk has left
UNIT = "postgresql@15-main.service"
PROBE = "standfast-probe.service"
SHARE = 8  # percent of a disk that is free where it is nearly full: an alarm is due below 10
FILL = (
    "free=$(df --output=avail -B1 / | tail -n 1); "
    f"[ $free -gt {ROOM} ] && fallocate -l $((free - {ROOM})) {BALLAST}-2; true"
)
NEARLY = (
    "set -- $(df --output=avail,size -B1 / | tail -n 1); "
    f"fallocate -l $(($1 - $2 * {SHARE} / 100)) {BALLAST}"
)
FREE = f"rm -f {BALLAST} {BALLAST}-2"


def full(it: Ground, planned: Planned) -> None:
    """The disk of a host has no room left; then it is freed."""
    (host,) = planned.targets
    with it.fault(planned.kind, "disk", planned.targets) as entry:
        entry.aimed = it.aimed([host])
        try:
            it.run(host, FILL)
            entry.at = now()
            time.sleep(LASTS)
            it.flows(60)
        finally:
            it.run(host, FREE)
        _whole(it)


def full_everywhere(it: Ground, planned: Planned) -> None:
    """The disks of all hosts fill. An alarm says so in time for the feed to be told to stop; then
    there is no room left at all, until a ballast is freed, and the feed goes on.
    """
    targets = planned.targets
    with it.fault(planned.kind, "disk", targets) as entry:
        began = now()
        try:
            _done(connect.each(targets, lambda host: connect.run(host, sh(NEARLY))))
            for host in targets:
                wait_until(
                    lambda host=host: "alarm disk: " in hosts.journal(host, PROBE, began),
                    60,
                    f"the alarm that the disk of {host} fills",
                    every=1,
                )
            entry.say(f"the last alarm came after {(now() - began) / 1000:.0f} s")
            if not it.stream.stop():
                raise OSError("told to stop in time, the feed could not have all acknowledged")
            entry.at = now()
            _done(connect.each(targets, lambda host: connect.run(host, sh(FILL))))
            time.sleep(LASTS)
        finally:
            _done(connect.each(targets, lambda host: connect.run(host, FREE)))
        it.in_sync(180)
        it.stream.start(resume=True, seconds=60)
        _whole(it)


def _done(answers: Mapping[str, object]) -> None:
    for answer in answers.values():
        if isinstance(answer, OSError):
            raise answer


def _whole(it: Ground) -> None:
    it.in_sync(180)
    it.running(90)
    it.flows(60)


def sink_down(it: Ground, planned: Planned) -> None:
    """PostgreSQL is stopped for some seconds."""
    _sink(it, planned, f"systemctl stop {UNIT}", f"systemctl start {UNIT}")


def sink_slow(it: Ground, planned: Planned) -> None:
    """PostgreSQL stands still for some seconds: it takes connections, and answers nothing."""
    _sink(it, planned, f"systemctl kill -s STOP {UNIT}", f"systemctl kill -s CONT {UNIT}")


def sink_full(it: Ground, planned: Planned) -> None:
    """PostgreSQL's disk is full."""
    _sink(it, planned, FILL, f"{FREE}; systemctl restart {UNIT}")


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
