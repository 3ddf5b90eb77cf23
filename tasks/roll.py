"""Make live what a deploy staged: one process at a time, a gate before it and a gate after it.

A plain loop. Each turn looks at the cluster anew and does what is due first, so a roll that was
interrupted goes on where it stopped: nothing is remembered but what the hosts show. Any doubt
stops it. A process that does not come back well gets back the set that it was last healthy with.
"""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

import connect
from cluster import commands, gates
from cluster.due import Due, due, following, not_staged
from cluster.model import Cluster
from cluster.observed import Finding, Snapshot
from cluster.render import FileSet
from cluster.snapshot import snapshot
from tasks import ask, rendered
from tasks.dynamic import Declined, alter, elect_preferred
from tasks.journal import Journal, durations
from tasks.lock import Held, Lock
from tasks.rollview import View

GATE = 30.0  # seconds for a gate to open
GONE = 30.0  # seconds without an answer over SSH, after which a host is taken for dead
EVERY = 1.0  # seconds between two looks
IN_A_ROW = {"zookeeper": 3, "kafka": 3, "probe": 1}  # looks that must all be healthy
CONSUMER_IN_A_ROW = 2
CRASHES = 2  # restarts by systemd, after which a process will not come up by waiting
AROUND = ("voters", "registry", "brokers", "topics", "machines", "groups")


class Stopped(Exception):
    """The roll stops: why, in a sentence, with what was found."""

    def __init__(self, sentence: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(sentence)
        self.findings = list(findings)


class Unwell(Stopped):
    """A process did not come back well, by its own fault: what it had before is put back."""


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
    services = words & {"zookeeper", "kafka", "probe", *cluster.consumers}
    if "consumers" in words:
        services |= set(cluster.consumers)
    unknown = sorted(words - hosts - services - {"consumers"})
    if unknown:
        known = ", ".join([*cluster.voters, "zookeeper", "kafka", "probe", "consumers"])
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
        self.done: list[Due] = []
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
        """End where the inventory asks for something else than a deploy staged."""
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
                self._left = steps[1:]
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

    # --- one step ---

    def take(self, step: Due) -> None:
        """Make one process's set live, and wait until all is well. Raises Stopped."""
        began = time.monotonic()
        count = f"{len(self.done) + 1} of {len(self.done) + 1 + len(self._left)}"
        self.lock_again()
        why = f" ({'; '.join(step.why)})" if step.why else ""
        self.view.say(f"{step.name}: {_doing(step)}, {count}{why}")
        self.journal.write("step", f"{step.name}: {_doing(step)}{why}", step)
        try:
            if step.kind == "apply":
                step = self.apply(step)
            if step.kind == "restart":
                self.command(step, commands.restart(step.service, step.unit, step.fingerprint))
            self.settle(step)
        except Unwell as unwell:
            unwell.findings += self.last_words(step, began)
            self.put_back(step, unwell)
        self.forget(step)
        self.command(step, commands.good(step.service, step.fingerprint))
        seconds = time.monotonic() - began
        self.done.append(step)
        self.view.lasted(step.service, seconds)
        more = {"seconds": round(seconds, 1)} if step.kind == "restart" else {}
        self.journal.write("healthy", f"{step.name}: healthy after {seconds:.1f} s", step, **more)
        self.view.say(f"{step.name}: healthy after {seconds:.1f} s", "green")

    def apply(self, step: Due) -> Due:
        """Hand a running process what it takes without a restart. Where it declines, the step
        becomes a restart.
        """
        if step.settings:
            try:
                alter(self.cluster.hosts[step.host].broker_id, step.settings)
            except Declined as error:
                self.view.say(f"{step.name}: Kafka declined ({error}): a restart in its place")
                return replace(step, kind="restart")
        self.command(step, commands.applied(step.service, step.fingerprint))
        return step

    def forget(self, step: Due) -> None:
        """Take away what was set on a broker before its restart: Kafka keeps it, and it would hide
        what the file says. After the restart, so that no old value holds in between.
        """
        gone = {name: None for name, value in step.settings.items() if value is None}
        if step.kind == "restart" and gone:
            try:
                alter(self.cluster.hosts[step.host].broker_id, gone)
            except Declined as error:
                self.view.say(f"{step.name}: Kafka keeps {', '.join(gone)} ({error})", "yellow")

    def command(self, step: Due, command: str) -> None:
        """Run a command on the step's host. Raises Stopped: whether it was run is not known."""
        try:
            connect.run(step.host, command, seconds=30)
        except OSError as error:
            raise Stopped(f"{step.name}: {error}") from None

    def settle(self, step: Due) -> None:
        """Wait until the step's process, and all around it, is well for some looks in a row.

        Raises Unwell where the process itself is at fault to the end, Stopped for anything else.
        """
        began = time.monotonic()
        self.view.at(step, "waits until it is well", self.wait, self._left)
        wanted = IN_A_ROW.get(step.service, CONSUMER_IN_A_ROW)
        row, restarts, answered = 0, "", began
        first: Snapshot | None = None  # a look when its process was new, to see consumers go on
        while True:
            looked = time.monotonic()
            seen = self.look_at(step.host)
            machine = seen.machines.get(step.host)
            answered = looked if machine else answered
            own = gates.after(self.cluster, seen, step, first or seen)
            rest = gates.around(self.cluster, seen, step, first or seen)
            if first is None and machine and not gates.runs(machine, step) and _readable(seen):
                first = seen
            now = machine.units.get(step.unit, {}).get("NRestarts", "") if machine else ""
            row = row + 1 if not own and not rest and restarts in ("", now) else 0
            restarts = now
            if row >= wanted:
                return
            if not own and rest and step.service == "kafka":
                elect_preferred(seen.topics)
            lacks = [*own, *rest]
            self.view.waits(str(lacks[0]) if lacks else f"{wanted - row} more healthy looks")
            passed = time.monotonic() - began
            if machine is None and looked - answered > GONE:
                raise Stopped(f"{step.host} does not answer any more", own)
            if own and now.isdigit() and int(now) >= CRASHES:
                raise Unwell(f"{step.name} does not stay up: started again {now} times", own)
            if passed > self.wait:
                within = f"within {self.wait:.0f} s"
                if own:
                    raise Unwell(f"{step.name} was not well {within}", lacks)
                raise Stopped(f"{step.name} is well, the rest was not {within}", lacks)
            time.sleep(max(0.0, EVERY - (time.monotonic() - looked)))

    def look_at(self, host: str) -> Snapshot:
        """The cluster and one machine: quick enough for every second."""
        mine = {host: [s for s in self.sets[host] if s.unit]}
        return snapshot(ask.everything(self.cluster, mine, AROUND, disks=False))

    def last_words(self, step: Due, began: float) -> list[Finding]:
        """The first error that the process logged since its step began, for whoever mends it."""
        since = f"{time.monotonic() - began + 1:.0f} seconds ago"
        logged = f"journalctl -q --no-pager -o cat -u {step.unit} --since {shlex.quote(since)}"
        first = "grep -m 1 -E 'ERROR|FATAL|Exception|Error:' || true"
        try:
            line = connect.run(step.host, commands.sh(f"{logged} | {first}"), seconds=10).strip()
        except OSError:
            return []
        where = f"journalctl -u {step.unit} on {step.host}"
        return [Finding(step.unit, "no error in its log", line[:300], where)] if line else []

    def put_back(self, step: Due, unwell: Unwell) -> NoReturn:
        """Give a process back the set that it was last healthy with, and stop. Raises Stopped."""
        if step.good is None or step.good == step.fingerprint:
            raise Stopped(f"{unwell}; there is no other set to put back", unwell.findings)
        self.view.say(f"{unwell}: putting back what it ran before ({step.good})", "red")
        self.journal.write("put back", f"{unwell}: {step.good} put back", step)
        back = replace(step, fingerprint=step.good)
        began = time.monotonic()
        try:
            if step.kind == "apply":
                there = dict.fromkeys(step.settings)
                alter(self.cluster.hosts[step.host].broker_id, there) if there else None
            self.command(back, commands.restart(back.service, back.unit, back.fingerprint))
            self.settle(back)
        except (Stopped, Declined) as error:
            findings = [*unwell.findings, *getattr(error, "findings", [])]
            sentence = (
                f"{unwell}; what it ran before was put back, and it is not well either: {error}"
            )
            raise Stopped(sentence, findings) from None
        passed = time.monotonic() - began
        sentence = f"{unwell}; what it ran before was put back, and is healthy ({passed:.0f} s)"
        raise Stopped(sentence, unwell.findings)

    # --- what may come between ---

    def lock_again(self) -> None:
        """The lock still is this roll's, everywhere. Raises Stopped."""
        try:
            self.lock.keep()
        except Held as error:
            raise Stopped(str(error)) from None

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


def _readable(seen: Snapshot) -> bool:
    return bool(seen.ends) and not any(group.complaint for group in seen.groups.values())


def _doing(step: Due) -> str:
    if step.kind == "restart":
        return "starting it" if step.down else "restarting it"
    return "applying it without a restart" if step.kind == "apply" else "looking whether it is well"


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
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
