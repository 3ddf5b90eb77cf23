"""The screen of `fab status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster.machine_health import demand
from cluster.notes import by_service
from cluster.overview import WRITTEN, HostView, Lag, Overview, Process
from cluster.sizes import show_size

if TYPE_CHECKING:
    from tasks.status import Status

COLOURS = {"full": "green", "degraded": "yellow", "last stand": "bold red", "down": "bold red"}
BAD, DOUBT, QUIET = "bold red", "yellow", "dim"
UNKNOWN = Text("?", DOUBT)


def screen(status: Status, width: int) -> RenderableType:
    """All of it, in lines of at most `width` columns."""
    parts: list[RenderableType] = [_verdict(status), Text()]
    parts += _hosts(status, width)
    parts += [Text(), _groups(status.overview), Text(), _footer(status)]
    return Group(*parts)


def _verdict(status: Status) -> RenderableType:
    """The verdict, then each cause with what to do about it."""
    found = status.verdict
    parts: list[RenderableType] = [Text(found.headline, f"bold {COLOURS[found.state]}")]
    causes = Table.grid(padding=(0, 1, 0, 0))
    causes.add_column(no_wrap=True)
    causes.add_column(overflow="fold")
    for number, cause in enumerate(found.causes):
        causes.add_row(
            "-", Text(cause.what, COLOURS.get(cause.state, "") if cause.state != "full" else "")
        )
        causes.add_row(
            "",
            Text(f"{'next' if number == 0 else 'do'}: {cause.do}", "bold" if number == 0 else ""),
        )
    if found.causes:
        parts.append(causes)
    return Group(*parts)


# --- the hosts ---


def _hosts(status: Status, width: int) -> list[RenderableType]:
    """A column for each machine; as many tables as the width asks for."""
    views = status.overview.hosts
    rows = _rows(status)
    label = max(len(name) for name, _ in rows) + 2
    wide = {
        name: max(len(name), *(cell(view).cell_len for _, cell in rows)) + 2
        for name, view in views.items()
    }
    blocks: list[list[str]] = [[]]
    for name in views:
        used = label + sum(wide[n] for n in blocks[-1])
        # The last column needs no space after it.
        if blocks[-1] and used + wide[name] - 2 > width:
            blocks.append([])
        blocks[-1].append(name)
    parts: list[RenderableType] = []
    for block in blocks:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        table.add_column(status.cluster.name, no_wrap=True, min_width=label - 2)
        for name in block:
            style = BAD if views[name].unasked else ""
            table.add_column(Text(name, style), no_wrap=True)
        for title, cell in rows:
            table.add_row(Text(title, QUIET), *(cell(views[name]) for name in block))
        parts += [table, Text()]
    return parts[:-1]


def _rows(status: Status) -> list[tuple[str, Callable[[HostView], Text]]]:
    services = dict.fromkeys(s for v in status.overview.hosts.values() for s in v.processes)
    names = [*services] or ["zookeeper", "kafka", "probe", *status.cluster.consumers]
    rows: list[tuple[str, Callable[[HostView], Text]]] = [
        ("ZooKeeper", lambda v: Text(v.zookeeper) if v.zookeeper else Text("none", BAD)),
        ("Kafka", _broker),
        ("leads", lambda v: Text("") if _no_broker(v) else _number(v.leads)),
        ("in sync", _in_sync),
        ("disk days left", _disk),
        ("up (restarts)", lambda _: Text("")),
    ]
    return rows + [(f"  {name}", lambda v, n=name: _process(v, n)) for name in names]  # type: ignore[misc]


def _no_broker(view: HostView) -> bool:
    """A witness."""
    return not view.broker


def _broker(view: HostView) -> Text:
    if _no_broker(view):
        return Text("")
    if view.registered is None:
        return UNKNOWN
    if not view.registered:
        return Text("gone", BAD)
    return Text("controller" if view.controller else "broker")


def _number(value: int | None) -> Text:
    return UNKNOWN if value is None else Text(str(value))


def _in_sync(view: HostView) -> Text:
    if _no_broker(view):
        return Text("")
    if view.in_sync is None:
        return UNKNOWN
    return Text(f"{view.in_sync}/{view.hosted}", "" if view.in_sync == view.hosted else BAD)


def _disk(view: HostView) -> Text:
    if _no_broker(view):
        return Text("")
    if view.disk is None:
        return UNKNOWN
    left = view.disk.days_left
    if left is None:
        return Text("enough")
    return Text(f"{left:.1f}", BAD if left < 1 else DOUBT)


def _process(view: HostView, service: str) -> Text:
    found = view.processes.get(service)
    if found is None:
        expected = view.broker or service in ("zookeeper", "probe")
        return UNKNOWN if view.unasked and expected else Text("")
    return process(found)


def process(found: Process) -> Text:
    """A process in a cell: how long it is up, and how often it was restarted."""
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
    table.add_column("oldest waits", justify="right", no_wrap=True)
    for name, lag in found.groups.items():
        table.add_row(name, *behind(lag))
    return table


def behind(lag: Lag) -> tuple[Text, Text]:
    """A lag in two cells: records, seconds."""
    if lag.records is None:
        return UNKNOWN, UNKNOWN
    more = f" + ? in {lag.partitions}" if lag.partitions else ""
    seconds = UNKNOWN if lag.seconds is None else Text(f"{lag.seconds:.0f} s")
    return Text(f"{lag.records:,}{more}", DOUBT if more else ""), seconds


def _footer(status: Status) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style=QUIET, no_wrap=True)
    table.add_column(overflow="fold")
    rows: Sequence[tuple[str, Text]] = [
        ("stale", _stale(status)),
        ("last roll", _last_roll(status)),
        ("disk", _disk_words(status)),
    ]
    for title, text in rows:
        table.add_row(title, text)
    return table


def _stale(status: Status) -> Text:
    if status.unrendered:
        return Text(f"not known: {status.unrendered}", DOUBT)
    asked = [v for v in status.overview.hosts.values() if not v.unasked]
    words = [by_service(status.steps)] if status.steps else []
    words += [f"not staged: {by_service(status.missing)}"] if status.missing else []
    if words:
        return Text("; ".join(words), DOUBT)
    unasked = len(status.overview.hosts) - len(asked)
    return Text("nothing" + (f" that could be asked ({unasked} could not)" if unasked else ""))


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
    enough = f"enough: the {wanted.days:g} days that are kept fit"
    return Text(f"days until full at {show_size(rate)} a day on a host ({why}); {enough}")
