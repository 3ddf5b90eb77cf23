"""Make live what a deploy staged: one process at a time, a gate before it and a gate after it.

A plain loop. Each turn looks at the cluster anew and does what is due first, so a roll that was
interrupted goes on where it stopped: nothing is remembered but what the hosts show. Any doubt
stops it. What one step is stands in golive.py.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import connect
from cluster import gates, stand
from cluster.due import Due, due, following, not_staged
from cluster.model import UNITS, Cluster
from cluster.observed import Snapshot
from cluster.render import FileSet
from cluster.snapshot import snapshot
from tasks import ask, rendered
from tasks.golive import EVERY, Stepper, Stopped
from tasks.journal import Journal, durations
from tasks.lock import Held, Lock
from tasks.rollview import View

GATE = 30.0  # seconds for a gate to open


def main(only: str, yes: bool, wait: int) -> int:
    """Roll, and return the exit code: 0 all is live, 1 stopped, 2 asked nonsense, 130 Ctrl-C."""
    cluster = connect.begin("roll")
    chosen = _chosen(cluster, only)
    if wait < 1:
        connect.die(f"roll: --wait must be at least 1 second, is {wait}", code=2)
    sets = rendered(cluster)
    try:
        with Lock(cluster.voters) as lock:
            return Roll(cluster, sets, chosen, wait, lock).run(yes)
    except Held as error:
        connect.die(f"roll: {error}")
    except KeyboardInterrupt:
        print("standfast: roll: left at once; `fab roll` goes on from here", file=sys.stderr)
        return 130


def _chosen(cluster: Cluster, only: str) -> Callable[[Due], bool]:
    """Whether a step is among those that --only names. Ends with exit 2 for an unknown name."""
    words = {word.strip() for word in only.split(",") if word.strip()}
    hosts = words & set(cluster.voters)
    services = words & set(cluster.services)
    if "consumers" in words:
        services |= set(cluster.consumers)
    unknown = sorted(words - hosts - services - {"consumers"})
    if unknown:
        known = ", ".join([*cluster.voters, *UNITS, "consumers"])
        connect.die(f"roll: --only {unknown[0]}: no such host or service; there are {known}", 2)
    return lambda s: (not hosts or s.host in hosts) and (not services or s.service in services)


class Roll:
    """One roll over one cluster."""

    def __init__(
        self,
        cluster: Cluster,
        sets: Mapping[str, Sequence[FileSet]],
        chosen: Callable[[Due], bool],
        wait: float,
        lock: Lock,
    ) -> None:
        self.cluster, self.sets, self.chosen, self.wait = cluster, sets, chosen, wait
        self.lock = lock
        self.journal = Journal(cluster.name, cluster.voters)
        self.view = View(durations(cluster.name))
        self.stepper = Stepper(cluster, sets, wait, self.journal, self.view)
        self.done: list[Due] = []
        self.due = 0  # how many there are still to do
        self.interrupted = False

    # --- the loop ---

    def run(self, yes: bool) -> int:
        """As main."""
        seen = self.look()
        self.refuse(seen)
        steps = self.order(seen)
        holes = _holes(seen)
        for name, why in holes.items():
            self.view.say(f"{name} cannot be asked: {why}", "yellow")
        if not steps:
            print("nothing to roll: every process that could be asked runs what is staged")
            return 1 if holes else 0
        self.view.table(steps)
        if not yes and not self.cluster.is_lab and not _asked("Go on?"):
            return 1
        began = time.monotonic()
        self.journal.write("begin", f"a roll of {len(steps)} begins: {_names(steps)}")
        try:
            with self.view, self.finishing():
                while step := self.next():
                    self.take(step)
                    if self.interrupted:
                        raise KeyboardInterrupt
        except Stopped as stop:
            return self.stopped(stop, _seconds(began))
        except KeyboardInterrupt:
            left = self.left()
            self.journal.write("stopped", f"interrupted, {len(left)} left")
            words = f"{_names(left)} left; fab roll goes on from there" if left else "nothing left"
            print(f"standfast: roll: interrupted, {words}", file=sys.stderr)
            return 130
        self.journal.write("end", f"the roll is done: {len(self.done)} in {_seconds(began)}")
        self.view.say(f"done: {len(self.done)} in {_seconds(began)}", "green")
        holes = _holes(self.last)
        for name, why in holes.items():
            print(f"standfast: roll: {name} could not be asked ({why}); when it is back: fab roll")
        return 1 if holes else 0

    def look(self) -> Snapshot:
        """The whole cluster and every machine."""
        self.last = snapshot(ask.everything(self.cluster, self.sets))
        return self.last

    def refuse(self, seen: Snapshot) -> None:
        """End where the inventory asks for something else than a deploy staged, and while a last
        stand goes on.
        """
        if found := stand.refusals(self.cluster, seen):
            connect.die("\n".join(f"roll: refused: {one}" for one in found))
        missing = not_staged(self.sets, seen)
        if missing:
            shown = _names_of(missing)
            connect.die(
                f"roll: the inventory asks for other files than are staged ({shown}): "
                "make deploy, then fab roll"
            )

    def order(self, seen: Snapshot) -> list[Due]:
        """All that is due and chosen, in the order of now."""
        left = [step for step in due(self.cluster, self.sets, seen).values() if self.chosen(step)]
        ordered = []
        while step := following(self.cluster, left, seen):
            left.remove(step)
            ordered.append(step)
        return ordered

    def next(self) -> Due | None:
        """What is due first by a new look, with its gate open. Raises Stopped."""
        seconds = min(GATE, self.wait)
        end = time.monotonic() + seconds
        while True:
            seen = self.look()
            steps = self.order(seen)
            if not steps:
                return None
            step = steps[0]
            # What was set on a running broker is taken away again after its restart: another kind.
            if any(
                (d.host, d.service, d.kind) == (step.host, step.service, step.kind)
                for d in self.done
            ):
                raise Stopped(f"{step.name} is due again though it was made live: who changes it?")
            self.view.at(step, "waits for its gate", seconds, steps[1:])
            findings = gates.before(self.cluster, seen, step)
            if not findings:
                self.due = len(steps)
                return step
            self.view.waits(str(findings[0]))
            if self.interrupted:
                raise KeyboardInterrupt
            if time.monotonic() > end:
                raise Stopped(f"{step.name} is next, and its gate did not open", findings)
            time.sleep(EVERY)

    def left(self) -> list[Due]:
        """What was not done, by the last look."""
        return self.order(self.look())

    def take(self, step: Due) -> None:
        """One step, with the lock still this roll's. Raises Stopped."""
        try:
            self.lock.keep()
        except Held as error:
            raise Stopped(str(error)) from None
        done = len(self.done)
        self.stepper.take(step, f"{done + 1} of {done + self.due}")
        self.done.append(step)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """The first Ctrl-C (or SIGTERM) lets the step end; the second leaves at once."""

        def interrupted(number: int, frame: object) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            self.view.say("stops after this step; Ctrl-C again leaves at once", "yellow")

        signals = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, interrupted) for number in signals]
        try:
            yield
        finally:
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)

    def stopped(self, stop: Stopped, after: str) -> int:
        """Say where and why the roll stopped, and how to go on. Returns the exit code."""
        self.journal.write("stopped", str(stop))
        try:
            left = self.left()
        except OSError:
            left = []
        lines = [f"roll: stopped after {after}, {len(self.done)} done: {stop}"]
        lines += [f"  {finding}" for finding in stop.findings]
        lines.append(f"  not done: {_names(left)}" if left else "  nothing else was due")
        lines.append("  next: fab status; when that is mended, fab roll goes on from here")
        connect.die("\n".join(lines))


def _holes(seen: Snapshot) -> dict[str, str]:
    """Who could not be asked what it runs with, and why."""
    silent = {name: o.complaint for name, o in seen.overrides.items() if o.complaint}
    return {**silent, **seen.unasked}


def _names(steps: Iterable[Due]) -> str:
    return _names_of((step.host, step.service) for step in steps)


def _names_of(pairs: Iterable[tuple[str, str]]) -> str:
    """ "kafka on kafka1, kafka2; probe on kafka3"."""
    hosts: dict[str, list[str]] = {}
    for host, service in pairs:
        hosts.setdefault(service, []).append(host)
    return "; ".join(f"{service} on {', '.join(names)}" for service, names in hosts.items())


def _seconds(began: float) -> str:
    passed = time.monotonic() - began
    return f"{passed:.0f} s" if passed < 100 else f"{passed // 60:.0f} min {passed % 60:.0f} s"


def _asked(question: str) -> bool:
    if not sys.stdin.isatty():
        connect.die("roll: nobody is there to ask; say --yes", code=2)
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        return False
