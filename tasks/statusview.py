"""The screen of `fab status`."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster.machine_health import demand
from cluster.model import AIDES, WITNESSED
from cluster.overview import WRITTEN, HostView, Lag, Overview, Process
from cluster.sizes import show_size
from cluster.writes import listed

if TYPE_CHECKING:
    from tasks.status import Status

COLOURS = {"full": "green", "degraded": "yellow", "last stand": "bold red", "down": "bold red"}
BAD, DOUBT, QUIET = "bold red", "yellow", "dim"
UNKNOWN = Text("?", DOUBT)
UPTIME = "up (restarts)"
SHOWN = 8  # causes; one screen is to hold it


def screen(status: Status, width: int) -> RenderableType:
    """All of it, in lines of at most `width` columns."""
    parts: list[RenderableType] = [_verdict(status), Text()]
    parts += _hosts(status, width)
    parts += [_groups(status.overview), _footer(status)]
    return Group(*parts)


def _verdict(status: Status) -> RenderableType:
    """The verdict, then what was seen, each with what to do about it."""
    found = status.verdict
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for do, causes in groupby(found.causes[:SHOWN], key=lambda cause: cause.do):
        for cause in causes:
            table.add_row(
                "-", Text(cause.what, DOUBT if cause.state == "full" else COLOURS[cause.state])
            )
        first = do == found.next
        table.add_row("", Text(f"{'next' if first else 'do'}: {do}", "bold" if first else ""))
    if len(found.causes) > SHOWN:
        table.add_row("-", f"and {len(found.causes) - SHOWN} more: fab status --json")
    return Group(Text(found.headline, f"bold {COLOURS[found.state]}"), table)


# --- the hosts ---

Cell = Callable[[HostView], Text]


def _hosts(status: Status, width: int) -> list[RenderableType]:
    """A column for each machine; as many tables, one below the other, as the width asks for."""
    views, rows = status.overview.hosts, _rows(status)
    label = max(len(name) for name, _ in rows)
    wide = {
        name: max(len(name), *(cell(view).cell_len for _, cell in rows))
        for name, view in views.items()
    }
    gap = 2 if label + sum(wide.values()) + 2 * len(wide) <= width else 1
    blocks: list[list[str]] = [[]]
    for name in views:
        used = label + sum(gap + wide[n] for n in (*blocks[-1], name))
        if blocks[-1] and used > width:
            blocks.append([])
        blocks[-1].append(name)
    parts: list[RenderableType] = []
    for block in blocks:
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
        table.add_column(status.cluster.name[:label], no_wrap=True, min_width=label)
        for name in block:
            table.add_column(Text(name, BAD if views[name].unasked else ""), no_wrap=True)
        for title, cell in rows:
            cells = [cell(views[name]) for name in block]
            if title == UPTIME or any(cell.plain for cell in cells):
                table.add_row(Text(title, QUIET), *cells)
        parts += [table, Text()]
    return parts


def _rows(status: Status) -> list[tuple[str, Cell]]:
    rows: list[tuple[str, Cell]] = [
        ("ZooKeeper", lambda v: Text(v.zookeeper) if v.zookeeper else Text("none", BAD)),
        ("Kafka", _of_broker(_broker)),
        ("controller", _of_broker(lambda v: Text("yes" if v.controller else ""))),
        ("leads", _of_broker(lambda v: _number(v.leads))),
        ("in sync", _of_broker(_in_sync)),
        ("disk days left", _of_broker(_disk)),
        (UPTIME, lambda _: Text()),
    ]
    return rows + [(f"  {', '.join(names)}", _service(*names)) for names in _together(status)]


def _together(status: Status) -> list[tuple[str, ...]]:
    """The services, a row each; the aides share one where they say the same on each machine."""
    views = status.overview.hosts.values()
    said = [{_service(name)(view).plain for name in AIDES} - {""} for view in views]
    aides = {name: AIDES for name in AIDES if all(len(words) < 2 for words in said)}
    return list(dict.fromkeys(aides.get(name, (name,)) for name in status.cluster.services))


def _of_broker(cell: Cell) -> Cell:
    """Empty for a witness."""
    return lambda view: cell(view) if view.broker else Text()


def _service(*names: str) -> Cell:
    """Processes that say the same: how long they are up, and how often they were restarted."""

    def cell(view: HostView) -> Text:
        found = next((view.processes[name] for name in names if name in view.processes), None)
        if found is not None:
            return process(found)
        expected = view.broker or any(name in WITNESSED for name in names)
        return UNKNOWN if view.unasked and expected else Text()

    return cell


def _broker(view: HostView) -> Text:
    if view.registered is None:
        return UNKNOWN
    return Text("broker") if view.registered else Text("gone", BAD)


def _number(value: int | None) -> Text:
    return UNKNOWN if value is None else Text(str(value))


def _in_sync(view: HostView) -> Text:
    if view.in_sync is None:
        return UNKNOWN
    return Text(f"{view.in_sync}/{view.hosted}", "" if view.in_sync == view.hosted else BAD)


def _disk(view: HostView) -> Text:
    if view.disk is None:
        return UNKNOWN
    left = view.disk.days_left
    if left is None:
        return Text("enough")
    return Text(f"{left:.1f}", BAD if left < 1 else DOUBT)


def process(found: Process) -> Text:
    """In a cell: how long it is up, how often it was restarted, and whether it is stale."""
    if found.uptime is None:
        return Text(found.state or "none", BAD)
    often = f" ({found.restarts})" if found.restarts else ""
    return Text(
        f"{span(found.uptime)}{often}{' stale' if found.stale else ''}",
        DOUBT if found.stale else "",
    )


def span(seconds: float) -> str:
    """A length of time in a few characters: 95s, 12m, 30h, 5d."""
    for unit, size, most in (("s", 1, 120), ("m", 60, 120), ("h", 3600, 48)):
        if seconds < size * most:
            return f"{int(seconds / size)}{unit}"
    return f"{int(seconds / 86400)}d"


# --- what is below them ---


def _groups(found: Overview) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=QUIET)
    table.add_column("consumer group", no_wrap=True)
    table.add_column("records behind", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for name, lag in found.groups.items():
        table.add_row(name, *behind(lag))
    return table


def behind(lag: Lag) -> tuple[Text, Text]:
    """A lag in two cells: records, seconds."""
    if lag.records is None:
        return UNKNOWN, UNKNOWN
    more = f" + ? in {lag.partitions}" if lag.partitions else ""
    seconds = UNKNOWN if lag.seconds is None else Text(f"{lag.seconds:.0f}")
    return Text(f"{lag.records:,}{more}", DOUBT if more else ""), seconds


def _footer(status: Status) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style=QUIET, no_wrap=True)
    table.add_column(overflow="fold")
    if stale := _stale(status):
        table.add_row("stale", stale)
    table.add_row("last roll", _last_roll(status))
    table.add_row("disk", _disk_words(status))
    return table


def _stale(status: Status) -> Text | None:
    """What nobody could look at; what is stale is among the causes. None: all was."""
    if status.unrendered:
        return Text(f"not known: {status.unrendered}", DOUBT)
    unasked = [name for name, view in status.overview.hosts.items() if view.unasked]
    return Text(f"not known of {listed(unasked)}", DOUBT) if unasked else None


def _last_roll(status: Status) -> Text:
    roll = status.overview.last_roll
    if roll is None:
        return Text("none that the hosts know of")
    when = time.strftime("%F %T", time.localtime(roll.at))
    ago = span(max(0.0, status.at - roll.at))
    word = "" if roll.over else "not over; last: "
    by = f" ({roll.by.partition(',')[0]})" if roll.by else ""
    style = "" if roll.event == "end" else DOUBT
    return Text(f"{when}, {ago} ago: {word}{roll.sentence}{by}", style)


def _disk_words(status: Status) -> Text:
    disks = [v.disk for v in status.overview.hosts.values() if v.disk]
    wanted = demand(status.cluster)
    rate, why = wanted.per_day, "promised"
    if faster := [d for d in disks if d.rate == WRITTEN]:
        rate, why = max(d.bytes_per_day for d in faster), WRITTEN
    enough = f"enough: the {wanted.days:g} days kept fit"
    return Text(f"days at {show_size(rate)} a day each ({why}); {enough}")
