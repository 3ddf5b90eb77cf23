"""What a person sees while a feed runs: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from standfast.feed import Feed

PLAIN_SECONDS = 5.0
BAR_SECONDS = 0.1


class Progress:
    """Call `show` as often as you like; it draws when it is time."""

    def __init__(self, feed: Feed, wanted: bool, total: int | None) -> None:
        """`total`: how many records there will be in all, None where nobody knows."""
        self._feed = feed
        self._wanted = wanted
        self._before = len(feed.done)
        self._next = time.monotonic() + PLAIN_SECONDS
        self._bar: Any = None
        if wanted and sys.stderr.isatty():
            self._bar = self._rich(total)

    def _rich(self, total: int | None) -> Any:
        try:  # rich is there on the controller, not on the hosts
            from rich import progress
            from rich.console import Console
        except ImportError:
            return None
        bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("{task.completed:,.0f} acknowledged, {task.fields[waiting]} to go"),
            progress.TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = bar.add_task(self._feed.topic, total=total, waiting=0)
        bar.start()
        self._next = 0.0
        return bar

    def show(self) -> None:
        """Draw, if it is time."""
        now = time.monotonic()
        if not self._wanted or now < self._next:
            return
        feed = self._feed
        if self._bar is not None:
            self._next = now + BAR_SECONDS
            done = self._before + feed.acknowledged
            self._bar.update(self._task, completed=done, waiting=feed.outstanding())
            return
        self._next = now + PLAIN_SECONDS
        print(
            f"{feed.topic}: {feed.sent} sent, {feed.acknowledged} acknowledged, "
            f"longest pause {feed.pauses.longest:.2f} s",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Draw the end and let go of the terminal."""
        if self._bar is not None:
            self._next = 0.0
            self.show()
            self._bar.stop()
            self._bar = None
