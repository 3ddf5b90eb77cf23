"""The demo's last words: one table, and what to try next."""

from __future__ import annotations

import os

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster.model import Cluster
from connect import ROOT
from drills.result import Result

KINDS = {"sqlite": "SQLite on each host", "postgresql": "PostgreSQL"}


# Seconds without an acknowledgement that are aimed at.
TARGETS = {
    "consumer's kill -9": 3.0,
    "broker's kill -9 (the controller)": 1.5,
    "machine's silent death (the controller)": 8.0,
    "second machine's silent death": 9.0,
    "all three powered on again, after sshd answers": 30.0,
}


def closing_table(result: Result, verified: bool) -> Table:
    """What became of the stream."""
    table = Table(title="What became of every record", title_style="bold", show_header=False)
    table.add_column(overflow="fold")
    table.add_column(justify="right", overflow="fold")
    table.add_row("sent", f"{result.sent:,}")
    table.add_row("acknowledged", f"{result.acknowledged:,}")
    for name, sink in result.sinks.items():
        stored = sink.verdict.stored + sink.verdict.dead
        table.add_row(f"stored by {name} ({KINDS[sink.kind]})", f"{stored:,}")
    table.add_row("missing", _count(result.missing))
    table.add_row("twice", _count(result.twice))
    table.add_row("verification", Text("passed", "green") if verified else Text("failed", "red"))
    return table


def ladder_table(result: Result) -> Table:
    """What each rung cost, in seconds: of acknowledgements, in the partition that waited longest,
    with its target; and of the sink that stood still the longest.
    """
    table = Table(title="The ladder, in seconds", title_style="bold")
    table.add_column("what happened", overflow="fold")
    table.add_column("no acknowledgement", justify="right")
    table.add_column("target", justify="right")
    table.add_column("nothing stored", justify="right")
    for fault in result.faults:
        paused, target = fault.acknowledged.worst, TARGETS.get(fault.name)
        late = max((pause.worst for pause in fault.stored.values()), default=0.0)
        missed = target is not None and paused > target
        table.add_row(
            fault.name,
            Text(f"{paused:.1f}", "yellow" if missed else ""),
            "" if target is None else f"{target:g}",
            f"{late:.1f}",
        )
    return table


def _count(number: int) -> Text:
    return Text(f"{number:,}", "bold red" if number else "bold green")


def try_next(cluster: Cluster) -> RenderableType:
    """Three commands that work as they stand."""
    shown = os.path.relpath(cluster.path, ROOT)
    given = "" if shown == "inventory/lab.yml" else f"INVENTORY={shown} "
    host = next(iter(cluster.hosts))
    # The host's login shell knows $KAFKA, the one that this is typed into does not.
    topics = "'kafka-topics.sh --bootstrap-server \\$KAFKA --describe --topic trades'"
    commands = {
        "every topic's leaders and in-sync replicas, asked on a host": (
            f'{given}.venv/bin/python -m lab ssh {host} "bash -lc {topics}"'
        ),
        "the lab's hosts, dead or alive": f"{given}make lab-status",
        "check everything, as on a production cluster": f"{given}make verify",
    }
    lines = [Text("\nThe lab is up. Three things to try next:", "bold")]
    for why, command in commands.items():
        lines += [
            Text(f"  {command}", "cyan", no_wrap=True, overflow="ignore"),
            Text(f"      {why}", "dim"),
        ]
    lines += [Text(f"`{given}make lab-down` takes the lab away.", "dim")]
    return Group(*lines)
