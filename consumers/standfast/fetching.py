"""A broker that answers, and whose copies stand still: a thread of it that fetches has died.

On a full disk a write to a memory-mapped index kills the fetching thread (InternalError), and the
broker lives on without it: its copies never come back into the in-sync sets. So one whose copies
are out of sync and do not move for a minute, while all other brokers live and are whole, is ended
once; systemd restarts it, and it fetches again. Where that does not help, it is an alarm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from standfast import process, questions
from standfast.questions import Partition
from standfast.supervision import Sparing, alarm

if TYPE_CHECKING:
    from standfast.health import Process
    from standfast.local import Server

EVERY = 5.0  # seconds between two looks
STILL = 60.0  # seconds without a byte, after which a copy stands still
ONCE = 3600.0  # seconds in which a broker is ended for this no more than once
PEER = 3.0  # seconds for a broker's answer

Sizes = Mapping[str, int]  # bytes of a copy's segments, by partition


def behind(me: int, partitions: Mapping[str, Partition]) -> set[str]:
    """The partitions that broker `me` alone keeps from being whole. Pure.

    None where another copy is behind as well, or a leader is not there: a restart would cost more
    than it mends.
    """
    mine = {name: p for name, p in partitions.items() if me in p.replicas}
    if any(p.leader < 0 or set(p.replicas) - set(p.isr) - {me} for p in mine.values()):
        return set()
    return {name for name, p in mine.items() if me not in p.isr and p.leader != me}


@dataclass
class Copies:
    """Since when each copy that is behind stands still."""

    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)  # bytes, monotonic seconds

    def still(self, names: set[str], sizes: Sizes, now: float) -> list[str]:
        """Those of `names` that have stood still for STILL seconds; others are forgotten."""
        seen = {}
        for name in names:
            size = sizes.get(name, 0)
            before = self._seen.get(name)
            seen[name] = before if before is not None and before[0] == size else (size, now)
        self._seen = seen
        return sorted(name for name, (_, since) in seen.items() if now - since >= STILL)


def sizes(directories: Sequence[str], names: set[str]) -> Sizes:
    """How many bytes the segments of each copy have."""
    found = {}
    for name in names:
        for directory in directories:
            try:
                logs = list((Path(directory) / name).glob("*.log"))
                found[name] = sum(path.stat().st_size for path in logs)
            except OSError:
                continue  # a segment was deleted just now: the next look sees the others
    return found


class Fetching(threading.Thread):
    """Looks every few seconds, in a thread of its own."""

    def __init__(
        self,
        server: Server,
        ready: Callable[[], Process | None],
        ask: Callable[[str, float], Mapping[str, Partition]] = questions.kafka_partitions,
        end: Callable[[Process], str] = process.end,
    ) -> None:
        """`ready`: the broker's process, where it is active and has served."""
        super().__init__(name="fetching", daemon=True)
        self._server, self._ready, self._ask, self._end = server, ready, ask, end
        self._copies = Copies()
        self._of: Process | None = None
        self._saying = Sparing(ONCE)

    def run(self) -> None:
        while True:
            began = time.monotonic()
            self.turn(began)
            time.sleep(max(1.0, began + EVERY - time.monotonic()))

    def turn(self, now: float) -> None:
        """One look; `now` is monotonic."""
        main = self._ready()
        if main is None or main != self._of:
            self._of, self._copies = main, Copies()
            return
        names = self._behind()
        still = self._copies.still(names, sizes(self._server.directories, names), now)
        if not still:
            return
        what = f"{len(still)} copies of {self._server.unit} stand still ({', '.join(still[:3])})"
        if self._saying.now("end", "ended"):
            alarm("hang-kafka", f"{what}, the thread that fetches them has died: {self._end(main)}")
        elif self._saying.now("still", "still"):
            alarm("hang-kafka", f"{what}, though it was restarted for that: journalctl -u kafka")

    def _behind(self) -> set[str]:
        """As the other brokers say, all of them: one that is silent ends the matter."""
        told = []
        for peer in self._server.peers:
            try:
                told.append(self._ask(peer, PEER))
            except OSError:
                return set()
        me = self._server.broker_id
        if me is None or not told:
            return set()
        return set.intersection(*(behind(me, one) for one in told))
