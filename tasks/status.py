"""`fab status`: how a cluster is, on one screen, and what to do next. Changes nothing.

With --json one object (with --watch one a line, every time):

    cluster     its name
    at          when it was looked at, Unix seconds
    state       full | degraded | last stand | down
    headline    the verdict as a sentence
    next        the next thing to do, "" where there is nothing
    causes      [{what, do, state}], the most urgent first; state is what it makes of the cluster
    hosts       {name: {address, unasked, zookeeper, broker, registered, controller, leads, in_sync,
                        hosted, disk: {size, free, bytes_per_day, rate, days_left},
                        processes: {service: {unit, state, uptime, restarts, stale}}}}
    groups      {name: {records, seconds, partitions, complaint}}
    last_roll   {roll, at, by, event, sentence, over}
    due         [{host, service, kind, why}]: what a roll has to do; null where nobody knows
    not_staged  [{host, service}]: what a deploy has to stage; null as above
    unrendered  why nobody knows, ""

cluster/overview.py says what each key means; null is what could not be seen. Sizes are bytes, times
seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from rich.console import Console
from rich.live import Live

import connect
import tasks
from cluster.due import Due, due, not_staged
from cluster.model import Cluster
from cluster.observed import Snapshot
from cluster.overview import Overview, overview
from cluster.render import FileSet
from cluster.snapshot import snapshot
from cluster.verdict import Verdict, verdict
from dist.errors import BuildError
from tasks import ask
from tasks.statusview import screen

SECONDS = 3.5  # for all that is asked; a dead host is known after connect.CONNECT_SECONDS
EVERY = 2.0  # seconds from one look to the next
Sets = Mapping[str, Sequence[FileSet]]


@dataclass(frozen=True)
class Status:
    """A look at a cluster. `unrendered` is why nobody knows what is due, "" where that is known."""

    cluster: Cluster
    at: float
    verdict: Verdict
    overview: Overview
    steps: Mapping[tuple[str, str], Due]
    missing: Mapping[tuple[str, str], FileSet]
    unrendered: str


def main(as_json: bool, watch: bool) -> int:
    """Show it; returns the exit code: 0 full, 1 anything else, 130 Ctrl-C."""
    code = 1
    try:
        cluster = connect.begin("status of")
        sets, why = rendered(cluster)
        if watch:
            _watch(cluster, sets, why, as_json)
        status = look(cluster, sets, why)
        code = 0 if status.verdict.state == "full" else 1
        if as_json:
            print(json.dumps(as_object(status), indent=1), flush=True)
        else:
            show(tasks.console(), status)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `fab status | head`
        sys.stdout = None
    except OSError as error:
        sys.stdout = None
        connect.die(f"status: it cannot be written: {error.strerror}")
    return code


def show(console: Console, status: Status) -> None:
    """Print the screen; without a terminal, no spaces at the ends of lines."""
    if console.is_terminal:
        console.print(screen(status, console.width))
        return
    with console.capture() as drawn:
        console.print(screen(status, console.width))
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()), flush=True)


def rendered(cluster: Cluster) -> tuple[Sets, str]:
    """The sets as the inventory asks for them; where they cannot be rendered here, what the hosts
    would run all the same, and why.
    """
    try:
        return tasks.render(cluster), ""
    except (BuildError, OSError) as error:
        bare = {
            name: [
                FileSet(service, unit, "root", {unit: ""})
                for service, unit in cluster.units(name).items()
            ]
            for name, voter in cluster.voters.items()
        }
        return bare, str(error)


def look(cluster: Cluster, sets: Sets, unrendered: str) -> Status:
    """Look at the cluster."""
    seen = snapshot(ask.everything(cluster, sets, seconds=SECONDS))
    return judged(cluster, sets, unrendered, seen)


def judged(cluster: Cluster, sets: Sets, unrendered: str, seen: Snapshot) -> Status:
    """What a look showed, judged."""
    steps = {} if unrendered else due(cluster, sets, seen)
    missing = {} if unrendered else not_staged(sets, seen)
    return Status(
        cluster,
        seen.at,
        verdict(cluster, seen, steps, missing),
        overview(cluster, seen, steps),
        steps,
        missing,
        unrendered,
    )


def as_object(status: Status) -> dict[str, Any]:
    """What --json prints."""
    steps = [
        {"host": s.host, "service": s.service, "kind": s.kind, "why": list(s.why)}
        for s in status.steps.values()
    ]
    missing = [{"host": host, "service": service} for host, service in status.missing]
    return {
        "cluster": status.cluster.name,
        "at": status.at,
        "state": status.verdict.state,
        "headline": status.verdict.headline,
        "next": status.verdict.next,
        "causes": [asdict(cause) for cause in status.verdict.causes],
        **asdict(status.overview),
        "due": None if status.unrendered else steps,
        "not_staged": None if status.unrendered else missing,
        "unrendered": status.unrendered,
    }


def _watch(cluster: Cluster, sets: Sets, why: str, as_json: bool) -> NoReturn:
    """Look again and again, until Ctrl-C."""
    console = tasks.console()
    live = (
        Live(console=console, auto_refresh=False) if console.is_terminal and not as_json else None
    )
    try:
        if live:
            live.start()
        while True:
            began = time.monotonic()
            status = look(cluster, sets, why)
            if live:
                live.update(screen(status, console.width), refresh=True)
            elif as_json:
                print(json.dumps(as_object(status)), flush=True)
            else:
                clock = time.strftime("%H:%M:%S", time.localtime(status.at))
                print(f"{clock} {status.verdict.line}", flush=True)
            time.sleep(max(0.1, EVERY - (time.monotonic() - began)))
    finally:
        if live:
            live.stop()
