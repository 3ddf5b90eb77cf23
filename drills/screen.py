"""What a person sees of a running drill: live on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.model import Cluster
from drills.stream import Stream
from drills.watch import Watch

PLAIN_SECONDS = 5.0
DRAW_SECONDS = 0.25
WIDE = 160  # columns, where there is no terminal
LONG = 1.0  # a pause of so many seconds is worth a colour


class Screen:
    """Events go above and stay; below them the live view, where there is a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        # Where nobody looks there is no width to keep to: a log's line is not broken.
        self.console = console or Console(
            highlight=False, width=None if sys.stdout.isatty() else WIDE
        )
        self.began = time.monotonic()
        # What is written from two threads at once ends up in the middle of the live view.
        self._writing = threading.RLock()

    @property
    def live(self) -> bool:
        """Whether somebody looks at a terminal."""
        return self.console.is_terminal

    def clock(self) -> str:
        """Minutes and seconds since the beginning."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        return f"{minutes:02d}:{seconds:02d}"

    def say(self, text: str, style: str = "") -> None:
        """An event: a line that stays. A longer one goes on under its own beginning."""
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(style="dim", no_wrap=True)
        line.add_column(style=style, overflow="fold")
        line.add_row(self.clock(), text)
        with self._writing:
            self.console.print(line)

    @contextmanager
    def doing(self, what: str) -> Iterator[Callable[[str], None]]:
        """A step and how long it took; what it yields is called with what it is at."""
        began = time.monotonic()
        if not self.live:
            self.say(f"{what} …")
        with self.console.status(f"{what} …") if self.live else _nothing() as status:

            def at(detail: str) -> None:
                if self.live and status is not None:
                    status.update(f"{what}: {detail[: self.console.width - len(what) - 8]}")
                else:
                    self.say(f"  {detail}")

            yield at
        self.say(f"{what}: done in {time.monotonic() - began:.1f} s", "green")

    @contextmanager
    def showing(self, cluster: Cluster, stream: Stream, watch: Watch) -> Iterator[None]:
        """Draw the stream until the block ends."""
        end = threading.Event()
        view = _View(cluster, stream, watch)
        if not self.live:
            with _thread(self._draw_plain, view, end):
                yield
            return
        with (
            Live(view.table(), console=self.console, auto_refresh=False, transient=True) as live,
            _thread(self._draw_live, live, view, end),
        ):
            yield

    def _draw_live(self, live: Live, view: _View, end: threading.Event) -> None:
        while not end.wait(DRAW_SECONDS):
            table = view.table()
            with self._writing:
                live.update(table, refresh=True)

    def _draw_plain(self, view: _View, end: threading.Event) -> None:
        while not end.wait(PLAIN_SECONDS):
            self.say(view.line())


@contextmanager
def _thread(draw: Callable[..., None], *arguments: Any) -> Iterator[None]:
    """Draw in a thread of its own, until the block ends; the last argument is told of it."""
    thread = threading.Thread(target=draw, args=arguments, name="screen", daemon=True)
    thread.start()
    try:
        yield
    finally:
        arguments[-1].set()
        thread.join()


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


class _View:
    """The stream and its cluster as a table, or as one line."""

    def __init__(self, cluster: Cluster, stream: Stream, watch: Watch) -> None:
        self.cluster, self.stream, self.watch = cluster, stream, watch

    def stored(self) -> dict[str, int]:
        positions = self.watch.sight.positions
        return {
            name: self.stream.history.below(positions.get(name, {}))
            for name in self.stream.collectors
        }

    def line(self) -> str:
        acknowledged = self.stream.look()
        stored = ", ".join(f"{count:,} in {name}" for name, count in self.stored().items())
        return (
            f"{acknowledged:,} acknowledged; stored: {stored}; "
            f"pause {self.stream.silence():.1f} s, longest {self.stream.history.longest:.1f} s"
        )

    def table(self) -> RenderableType:
        acknowledged = self.stream.look()
        hosts = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for title in ("host", "machine", "broker"):
            hosts.add_column(title, no_wrap=True)
        sight = self.watch.sight
        for name in self.cluster.machines:
            machine = sight.machines.get(name, "?")
            colour = "green" if machine == "running" else "bold red"
            hosts.add_row(name, Text(machine, colour), self._broker(name))
        pause, longest = self.stream.silence(), self.stream.history.longest
        counts = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        counts.add_column(style="dim")
        counts.add_column(justify="right")
        counts.add_column(style="dim")
        counts.add_column(justify="right")
        rows = [("acknowledged", f"{acknowledged:,}")]
        rows += [(f"stored in {name}", f"{count:,}") for name, count in self.stored().items()]
        pauses = [
            ("pause now", Text(f"{pause:.1f} s", "bold red" if pause > LONG else "green")),
            ("longest pause", Text(f"{longest:.1f} s", "yellow" if longest > LONG else "green")),
        ]
        for number, row in enumerate(rows):
            counts.add_row(*row, *(pauses[number] if number < len(pauses) else ("", "")))
        return Group(Text(), hosts, Text(), counts)

    def _broker(self, name: str) -> Text:
        brokers = self.watch.sight.brokers
        if name not in self.cluster.hosts:
            return Text("")
        if name not in brokers.alive:
            return Text("gone", "bold red")
        words = f"leads {brokers.leads.get(name, 0)} partitions"
        if brokers.controller == name:
            words += ", controller"
        behind = brokers.lagging.get(name, 0)
        return (
            Text(f"{words}, {behind} replicas not in sync", "yellow")
            if behind
            else Text(words, "green")
        )
