"""What the probe looks after besides the servers: units that die again and again, disks that fill.

Nothing gives up restarting, so nobody would hear of a process that never stays up.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from standfast.supervision import Sparing, alarm, say

EVERY = 10.0  # seconds between two rounds
PATIENCE = 5.0  # seconds for an answer of systemctl's
OFTEN, WITHIN = 3, 600.0  # so many restarts within so many seconds are an alarm
LEAST_FREE = 0.1  # of a disk, as the roll's gates have it
AGAIN = 3600.0  # seconds after which a disk that is still full is said again


@dataclass
class Restarts:
    """A unit's restarts by systemd, and when they were seen. Those before the first look are
    nobody's alarm.
    """

    _count: int | None = None
    _seen: deque[tuple[float, int]] = field(default_factory=deque)
    _said: float | None = None

    def look(self, count: int, now: float) -> int:
        """Take in systemd's count; how many restarts an alarm is due for, 0 for none.

        One alarm tells of all within the last ten minutes; the next is due ten minutes later.
        """
        before, self._count = self._count, count
        # Started by hand, systemd counts from 0 again.
        new = 0 if before is None else count - before if count >= before else count
        if new:
            self._seen.append((now, new))
        while self._seen and now - self._seen[0][0] > WITHIN:
            self._seen.popleft()
        often = sum(number for _, number in self._seen)
        if not new or often < OFTEN or (self._said is not None and now - self._said < WITHIN):
            return 0
        self._said = now
        return often


def full(free: int, size: int) -> str:
    """Why a disk of `size` bytes with `free` ones is an alarm; "" where it is none."""
    if size <= 0 or free >= LEAST_FREE * size:
        return ""
    return f"{100 * free / size:.1f} % free ({free / 1e9:.1f} of {size / 1e9:.1f} GB)"


def restarts_of(units: Sequence[str]) -> dict[str, int]:
    """How often systemd restarted each unit since it was started; {} where it does not say."""
    command = ["systemctl", "show", "--property=Id,NRestarts", *units]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"probe: systemctl show: {error}", 4)
        return {}
    found: dict[str, int] = {}
    for block in done.stdout.split("\n\n"):
        shown = dict(line.partition("=")[::2] for line in block.splitlines())
        if shown.get("NRestarts", "").isdecimal():
            found[shown.get("Id", "")] = int(shown["NRestarts"])
    return found


class Rounds(threading.Thread):
    """Looks every ten seconds, in a thread of its own: what hangs in it hangs no server's watch."""

    def __init__(
        self,
        units: Sequence[str],
        directories: Iterable[str],
        ask: Callable[[Sequence[str]], Mapping[str, int]] = restarts_of,
    ) -> None:
        super().__init__(name="the rounds", daemon=True)
        self._units = {unit: Restarts() for unit in units}
        self._directories = tuple(directories)
        self._ask = ask
        self._saying = Sparing(AGAIN)

    def run(self) -> None:
        while True:
            began = time.monotonic()
            self.turn(began)
            time.sleep(max(1.0, began + EVERY - time.monotonic()))

    def turn(self, now: float) -> None:
        """One round; `now` is monotonic."""
        for unit, count in self._ask(tuple(self._units)).items() if self._units else ():
            if unit in self._units and (often := self._units[unit].look(count, now)):
                what = f"{unit} was restarted {often} times within {WITHIN / 60:.0f} minutes"
                alarm(f"restarts-{unit.removesuffix('.service')}", f"{what}: journalctl -u {unit}")
        for directory in self._directories:
            try:
                size = os.statvfs(directory)
            except OSError:
                continue  # the write that is tried there says so
            why = full(size.f_bavail * size.f_frsize, size.f_blocks * size.f_frsize)
            if not why:
                self._saying.over(directory)
            elif self._saying.now(directory, "full"):
                alarm("disk", f"the disk under {directory} is nearly full: {why}")
