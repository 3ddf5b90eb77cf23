"""What a person sees of a roll: what it will do, a line for each thing done, and what it waits for.

On a terminal the last lines live; elsewhere there is a line when what is waited for changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.due import Due, Kind
from cluster.model import AIDES
from tasks import console

WORDS = {"restart": "restart", "apply": "without a restart", "confirm": "look whether it is well"}
# Seconds of a step where no earlier roll says so: three hosts on two cores.
USUAL = {"zookeeper": 9.0, "kafka": 16.0, **dict.fromkeys(AIDES, 3.0)}
CONSUMER, APPLY = 6.0, 5.0
QUIET = 5.0  # seconds between two lines about one wait, where nobody looks at a terminal


class View:
    """The screen of one roll."""

    def __init__(self, lasted: dict[str, float]) -> None:
        """`lasted`: how many seconds a step of each service took the last time."""
        self.console: Console = console()
        self._lasted = lasted
        self._live: Live | None = None
        self._lock = threading.RLock()
        self._left: list[Due] = []
        self._step: tuple[str, float, float] | None = None  # what, since when, until when
        self._waits = ""
        self._said = ("", time.monotonic())

    def __enter__(self) -> View:
        if self.console.is_terminal:
            self._live = Live(
                console=self.console, get_renderable=self._state, transient=True, screen=False
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def table(self, steps: list[Due]) -> None:
        """What the roll will do, in its order, and how long it may take."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in ("service", "hosts", "how", "because"):
            table.add_column(title, overflow="fold", header_style="dim")
        hosts: dict[tuple[str, Kind, bool, tuple[str, ...]], list[str]] = {}
        for step in steps:
            hosts.setdefault((step.service, step.kind, step.down, step.why), []).append(step.host)
        for (service, kind, down, why), names in hosts.items():
            how = WORDS[kind] + (" (it is down)" if down else "")
            table.add_row(service, "\n".join(names), how, "\n".join(why))
        self.console.print(table)
        self.console.print(f"\n{len(steps)} to do, {self._about(steps)}")

    def say(self, text: str, style: str = "") -> None:
        """A line that stays, with the time of day."""
        with self._lock:
            line = Table.grid(padding=(0, 2, 0, 0))
            line.add_column(style="dim", no_wrap=True)
            line.add_column(style=style, overflow="fold")
            line.add_row(time.strftime("%H:%M:%S"), Text(text))
            self._print(line)
            self._waits = ""

    def at(self, step: Due, what: str, seconds: float, left: Iterable[Due] | None = None) -> None:
        """What is being done now, for how long at most, and what comes after (None: as before)."""
        now = time.monotonic()
        with self._lock:
            self._step, self._waits = (f"{step.name}: {what}", now, now + seconds), ""
            self._left = self._left if left is None else [*left]

    def waits(self, why: str) -> None:
        """What is still lacking."""
        with self._lock:
            self._waits = why
            said, at = self._said
            new = why != said and time.monotonic() - at > QUIET
            if self._live is None and why and new:
                self._print(f"          waits for: {why}", soft_wrap=True)
                self._said = (why, time.monotonic())

    def _print(self, what: RenderableType, soft_wrap: bool = False) -> None:
        # Who reads may go away (`fab roll | head`); a roll is not left half-way for that.
        with suppress(BrokenPipeError):
            self.console.print(what, soft_wrap=soft_wrap)
            self.console.file.flush()

    def lasted(self, service: str, seconds: float) -> None:
        """A step went well in so many seconds: the next of its kind will take as long."""
        self._lasted[service] = seconds

    def _state(self) -> Text:
        with self._lock:
            if self._step is None:
                return Text("")
            what, since, until = self._step
            now = time.monotonic()
            text = f"{what} ({now - since:.0f} of {until - since:.0f} s at most)"
            if self._waits:
                text += f"\n  waits for: {self._waits}"
            if self._left:
                text += f"\n  after it: {len(self._left)} more, {self._about(self._left)}"
            return Text(text, style="cyan")

    def _about(self, steps: list[Due]) -> str:
        seconds = sum(self._estimate(step) for step in steps)
        minutes, rest = divmod(round(seconds), 60)
        return f"about {minutes} min {rest} s" if minutes else f"about {rest} s"

    def _estimate(self, step: Due) -> float:
        if step.kind != "restart":
            return APPLY
        return self._lasted.get(step.service, USUAL.get(step.service, CONSUMER))
