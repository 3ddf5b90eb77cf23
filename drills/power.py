"""Machines that are switched on, and when they could be logged in to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from drills.outside import outside
from drills.stream import now
from lab import network
from lab.machine import Lab, LabError

PATIENCE = 60.0  # seconds for sshd
# A start gate may hold a service longer than a boot is waited for: it goes on by itself.
LATE = ("booted, but", "had not ended")


def boot(lab: Lab, names: Iterable[str], say: Callable[[str], object], wait: bool = True) -> int:
    """Switch hosts on, all at once; `wait` until their services are started, or for sshd alone.

    Returns when (Unix ms) sshd answered on the last one. Services that are late are told to `say`;
    whatever else keeps a host from booting raises LabError.
    """
    answered: dict[str, int] = {}
    names = list(names)

    def switch_on(name: str) -> None:
        try:
            with outside():
                lab.boot(name)
        except LabError as error:
            if not any(words in str(error) for words in LATE):
                raise
            say(str(error)[:300])

    def look(name: str) -> None:
        address = str(lab.plan.machine(name).address)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if network.answers(lab.plan.title, address, 22):
                answered[name] = now()
                return
            time.sleep(0.1)

    pool = ThreadPoolExecutor(2 * max(1, len(names)))
    booting = [pool.submit(switch_on, name) for name in names]
    looking = [pool.submit(look, name) for name in names]
    for future in looking + (booting if wait else []):
        future.result()
    pool.shutdown(wait=wait)
    return max(answered.values(), default=now())
