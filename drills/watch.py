"""Looks at a lab while a stream runs, from a thread of its own: what a person is shown."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cluster.model import Cluster
from drills.outside import outside
from drills.seen import Brokers, Seen
from lab.machine import Lab, LabError

EVERY = 1.0  # seconds between two looks


@dataclass(frozen=True)
class Sight:
    """What was seen last. What did not answer is as it was before."""

    machines: Mapping[str, str] = field(default_factory=dict)  # running, off …
    brokers: Brokers = field(default_factory=Brokers)
    positions: Mapping[str, Mapping[int, int]] = field(default_factory=dict)  # by collector


class Watch(threading.Thread):
    """`sight` is what was seen last; `stop()` ends it."""

    def __init__(self, cluster: Cluster, lab: Lab, seen: Seen, collectors: list[str], topic: str):
        super().__init__(name="watch", daemon=True)
        self.sight = Sight()
        self._cluster, self._lab, self._seen = cluster, lab, seen
        self._collectors, self._topic = collectors, topic
        self._end = threading.Event()

    def run(self) -> None:
        """Look, again and again."""
        while not self._end.is_set():
            self._look()
            self._end.wait(EVERY)

    def _look(self) -> None:
        try:
            with outside():
                machines = {status.host: status.state for status in self._lab.status()}
            self.sight = replace(self.sight, machines=machines)
        except (LabError, OSError):
            self.sight = replace(self.sight, machines={})
        try:
            self.sight = replace(self.sight, brokers=self._seen.brokers())
        except OSError:
            self.sight = replace(self.sight, brokers=Brokers())
        for name in self._collectors:
            if self._end.is_set():
                return
            try:
                positions = self._seen.positions(name, self._topic)
            except OSError:
                continue  # its coordinator is away: what was seen before stands
            self.sight = replace(self.sight, positions={**self.sight.positions, name: positions})

    def stop(self) -> None:
        """End it; a question that is under way is not waited for."""
        self._end.set()
