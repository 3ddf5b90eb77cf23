"""How a process answers to systemd: ready, alive by progress, asked to stop, crash-looping.

Without systemd (no NOTIFY_SOCKET) the notices go nowhere and everything else works the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def notify(state: str) -> bool:
    """Send `state` ("READY=1", "WATCHDOG=1", "STATUS=…") to systemd; False where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    # A notice that cannot be delivered is no reason to stop the work: the watchdog will tell.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.sendall(state.encode())
        return True
    return False


class Watchdog:
    """Tells systemd of progress, at most once a second, with the status line of the moment."""

    def __init__(self) -> None:
        self._last = -1.0
        self._ready = False

    def ready(self) -> None:
        """Say READY=1, the first time."""
        if not self._ready:
            self._ready = True
            notify("READY=1")

    def progress(self, status: Callable[[], str] | None = None) -> None:
        """Something was completed: a poll, a batch, a bounded attempt."""
        now = time.monotonic()
        if now - self._last >= 1.0:
            self._last = now
            notify("WATCHDOG=1" + (f"\nSTATUS={status()}" if status else ""))


class Stop:
    """Becomes true at the first SIGTERM or SIGINT; the loop finishes what it has in hand."""

    def __init__(self) -> None:
        self.asked = False

    def install(self) -> Stop:
        """Take the two signals over; a second SIGINT interrupts as ever."""
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, _frame: object) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __bool__(self) -> bool:
        return self.asked

    def wait(self, seconds: float, watchdog: Watchdog, status: str = "") -> None:
        """Wait, feeding the watchdog, until the time is over or a stop is asked for."""
        deadline = time.monotonic() + seconds
        while not self.asked and (left := deadline - time.monotonic()) > 0:
            watchdog.progress(lambda: status)
            time.sleep(min(0.2, left))


class Starts:
    """Counts starts without progress, in a file: the crash-loop rule.

    A static member keeps its partitions through its restarts. One that crash-loops would keep
    them from the others for ever; after three starts without progress it stays away for
    longer than the group waits for it.
    """

    LIMIT = 3

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted = False

    def begin(self) -> int:
        """Note a start; the number of starts before it that ended without progress."""
        try:
            before = int(json.loads(self._path.read_text())["starts_without_progress"])
        except (OSError, ValueError, KeyError, TypeError):
            before = 0  # none yet, or unreadable: a count of crashes is no reason to crash
        self._write(before + 1)
        return before

    def progress(self) -> None:
        """Progress was made: forget the crashes. Cheap after the first call."""
        if not self._noted:
            self._write(0)
            self._noted = True

    def _write(self, count: int) -> None:
        text = json.dumps({"starts_without_progress": count})
        partial = self._path.with_name(self._path.name + ".new")
        try:
            partial.write_text(text)
            partial.replace(self._path)
        except OSError as error:  # a full disk must not stop what may still work
            say(f"{self._path}: cannot note a start: {error}")


class Sparing:
    """Decides whether a line that repeats is news: once per change, then now and then."""

    def __init__(self, again: float) -> None:
        """`again`: seconds after which the same is worth saying once more."""
        self._again = again
        self._said: dict[str, tuple[str, float]] = {}

    def now(self, subject: str, state: str) -> bool:
        """Whether to say now that `subject` is in `state`."""
        before, at = self._said.get(subject, ("", -self._again))
        now = time.monotonic()
        if state == before and now - at < self._again:
            return False
        self._said[subject] = (state, now)
        return True

    def over(self, subject: str) -> None:
        """The subject is well again: its next trouble is news."""
        self._said.pop(subject, None)


def alarm(cause: str, sentence: str) -> None:
    """An alarm: one line at priority crit, which the alert service hands on once an hour.

    `cause` is a short key of what is wrong ("last-stand", "gate-kafka"): the same one is the same
    alarm, whatever the sentence.
    """
    say(f"alarm {cause}: {sentence}", 2)


def say(line: str, priority: int = 6) -> None:
    """One line to the journal. `priority` as in syslog: 2 critical, 3 error, 4 warning, 6 info.

    The prefix is what journald reads off; on a terminal it is left out.
    """
    prefix = "" if sys.stderr.isatty() else f"<{priority}>"
    print(f"{prefix}{line}", file=sys.stderr, flush=True)
