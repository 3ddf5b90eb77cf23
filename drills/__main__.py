"""Faults from a seed, on a lab that is up and deployed, under a load that is judged at the end.

    python -m drills --seed 7 --faults 200

Leaves its evidence in build/drills/. Ends with 0 only where the verdict is good.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import signal
import sys
from types import FrameType

import connect
from cluster.model import AIDES, Cluster, Collector, Script
from drills import faults
from drills.plan import Names
from drills.run import Run
from drills.schedule import schedule
from drills.wait import Overdue

RATE = 200.0  # records a second
HOURLY = 200  # faults that two cores carry in an hour


def main(arguments: list[str] | None = None) -> int:
    """Run drills; return the exit code."""
    options = _parsed(arguments)
    cluster = connect.cluster()
    if not cluster.is_lab:
        connect.die(f"{cluster.path.name}: is no lab, and drills break what they run on", code=2)
    only = [kind.strip() for kind in options.only.split(",") if kind.strip()]
    try:
        plan = schedule(options.seed, names(cluster), _wanted(options), only)
    except ValueError as error:
        connect.die(f"--only: {error}; there are: {'; '.join(faults.KINDS)}", code=2)
    if options.plan:
        for batch in plan:
            print(" | ".join(map(str, batch)))
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    # A machine that dies under a question is no news here.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    connect.begin("drills on")
    return Run(cluster, options.seed, options.rate, _command(options)).go(plan, _seconds(options))


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m drills", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same faults")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--faults",
        type=int,
        help=f"about how many (default: {HOURLY}); machines that die in turn count one each",
    )
    length.add_argument("--hours", type=float, help="for how long")
    length.add_argument("--minutes", type=float, help="for how long")
    parser.add_argument("--rate", type=float, default=RATE, help="records a second")
    parser.add_argument("--only", default="", metavar="KIND,…", help="of these kinds alone")
    parser.add_argument("--plan", action="store_true", help="print the plan, and do nothing")
    return parser.parse_args(arguments)


def _command(options: argparse.Namespace) -> str:
    """The command that does the same again."""
    given = {"--faults": options.faults, "--hours": options.hours, "--minutes": options.minutes}
    words = [f"{name} {value:g}" for name, value in given.items() if value]
    words += [f"--rate {options.rate:g}"] if options.rate != RATE else []
    words += [f"--only {shlex.quote(options.only)}"] if options.only else []
    return " ".join([".venv/bin/python -m drills", f"--seed {options.seed}", *words])


def _wanted(options: argparse.Namespace) -> int:
    if options.faults:
        return int(options.faults)
    if seconds := _seconds(options):
        return max(5, int(2 * HOURLY * seconds / 3600))  # rather too many: time ends it
    return HOURLY


def _seconds(options: argparse.Namespace) -> float | None:
    if options.hours:
        return float(options.hours * 3600)
    return float(options.minutes * 60) if options.minutes else None


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def names(cluster: Cluster) -> Names:
    """Who is there to be hit."""
    return Names(
        tuple(cluster.hosts),
        tuple(cluster.witnesses),
        tuple(cluster.databases),
        tuple(n for n, c in cluster.consumers.items() if isinstance(c, Collector)),
        tuple(n for n, c in cluster.consumers.items() if isinstance(c, Script)),
        tuple(AIDES),
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Overdue as error:
        connect.die(str(error))
