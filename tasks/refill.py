"""`fab refill`: bring what the sinks lack from the log into them, and nothing else.

Audits, shows what is missing, and brings it in parts; what is there already is left out, so that a
run that was interrupted goes on when it is run again.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

import connect
import tasks
from cluster.model import Cluster
from standfast.audited import Audit
from standfast.ranges import Ranges
from tasks import audit as auditing
from tasks.auditview import show

SECONDS = 600.0  # for one part
PART = 100_000  # records brought between two steps of the bar
PAIRS = 500  # ranges in one command


@dataclass
class Brought:
    """Counts of records: now in the sink, there already, and such that no sink takes them."""

    stored: int = 0
    seen: int = 0
    unfit: int = 0


def main(collector: str, topic: str, since: str, until: str, rate: float, yes: bool) -> int:
    """Refill; returns the exit code: 0 nothing is missing any more, 1 something is, 130 Ctrl-C."""
    cluster, console = connect.begin("refill of"), tasks.console()
    found = auditing.audit(cluster, collector, topic, since, until)
    show(console, found)
    missing = sum(len(p.missing) for a in found.audits.values() for p in a.partitions)
    if any(audit.unasked for audit in found.audits.values()):
        connect.die("refill: not every host could be asked, so what is missing is not known")
    if not missing:
        console.print("nothing to bring")
        say_gone(console, found)
        return 0 if found.good else 1
    if not (yes or cluster.is_lab or confirmed(console, f"bring {missing:,} records?")):
        connect.die("refill: nothing was changed", code=1)
    try:
        return bring_all(cluster, console, found, missing, rate)
    except OSError as error:
        connect.die(f"refill: {error}\nnext: fab refill goes on from here")
    except KeyboardInterrupt:
        connect.die("refill: interrupted; fab refill goes on from here", code=130)


def confirmed(console: Console, question: str) -> bool:
    """Whether the operator says yes; without a terminal nobody does."""
    import sys

    if not sys.stdin.isatty():
        connect.die("refill: nobody can be asked here: --yes", code=2)
    try:
        return console.input(f"{question} \\[y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        return False


def say_gone(console: Console, found: auditing.Found) -> int:
    """Say how many records no refill can bring; returns how many."""
    gone = sum(len(p.gone) for audit in found.audits.values() for p in audit.partitions)
    if gone:
        why = "the log deleted them before any sink had them"
        console.print(Text(f"{gone:,} can no longer be had: {why}", "red"))
    return gone


def bring_all(
    cluster: Cluster, console: Console, found: auditing.Found, missing: int, rate: float
) -> int:
    """Each collector's missing records, on one host, with a bar."""
    total = Brought()
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("bringing", total=missing)
        for name, audit in found.audits.items():
            host = _host(cluster, audit)
            for place, part in parts(audit):
                one = bring(host, name, place, part, rate)
                total.stored += one.stored
                total.seen += one.seen
                total.unfit += one.unfit
                progress.advance(bar, len(part))
    left = missing - total.stored - total.seen - total.unfit
    console.print(f"brought {total.stored:,} of {missing:,} records")
    if left:
        console.print(Text(f"{left:,} can no longer be had: they are older than the log", "red"))
    if total.unfit:
        console.print(Text(f"{total.unfit:,} are such that no sink takes them", "red"))
    gone = say_gone(console, found)
    return 1 if left or total.unfit or gone else 0


def _host(cluster: Cluster, audit: Audit) -> str:
    """Where a collector's records are brought to: any host's part of a sink is as good."""
    return next(host for host in cluster.hosts if host not in audit.unasked)


def parts(audit: Audit) -> Iterator[tuple[tuple[str, int], Ranges]]:
    """What is missing, in pieces of at most PART records and PAIRS ranges. Pure."""
    for p in audit.partitions:
        pairs: list[tuple[int, int]] = []
        size = 0
        for begin, end in p.missing:
            first = begin
            while first <= end:
                last = min(end, first + PART - size - 1)
                pairs.append((first, last))
                size += last - first + 1
                first = last + 1
                if size >= PART or len(pairs) >= PAIRS:
                    yield (p.topic, p.number), Ranges(pairs)
                    pairs, size = [], 0
        if pairs:
            yield (p.topic, p.number), Ranges(pairs)


def bring(host: str, name: str, place: tuple[str, int], part: Ranges, rate: float) -> Brought:
    """One piece, by the collector's own program on a host. Raises OSError."""
    topic, number = place
    wanted = shlex.quote(json.dumps({topic: {str(number): part.pairs()}}))
    line = auditing.command(name, "refill", f"--rate {rate:g} --offsets {wanted}")
    answer = json.loads(connect.run(host, line, SECONDS + len(part) / (rate or 1e9)))
    unfit = sum(last - first + 1 for pairs in answer["unfit"].values() for first, last in pairs)
    return Brought(answer["stored"], answer["seen"], unfit)
