"""One step of a roll: a process is given its new set, and watched until it is well again.

One that does not come back well gets back the set that it was last healthy with.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

import connect
from cluster import commands, gates
from cluster.due import Due
from cluster.model import AIDES, Cluster
from cluster.observed import Finding, Snapshot
from cluster.render import FileSet
from cluster.snapshot import snapshot
from tasks import ask
from tasks.dynamic import Declined, alter, elect_preferred
from tasks.journal import Journal
from tasks.rollview import View

GONE = 30.0  # seconds without an answer over SSH, after which a host is taken for dead
EVERY = 1.0  # seconds between two looks
# Looks that must all be healthy.
IN_A_ROW = {"zookeeper": 3, "kafka": 3, **dict.fromkeys(AIDES, 1)}
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


class Stepper:
    """Takes the steps of one roll."""

    def __init__(
        self,
        cluster: Cluster,
        sets: Mapping[str, Sequence[FileSet]],
        wait: float,
        journal: Journal,
        view: View,
    ) -> None:
        """`wait`: how many seconds a process may take to be well again."""
        self.cluster, self.sets, self.wait = cluster, sets, wait
        self.journal, self.view = journal, view

    def take(self, step: Due, count: str) -> None:
        """Make one process's set live, and wait until all is well. Raises Stopped. `count` says
        which of how many it is.
        """
        began = time.monotonic()
        why = f" ({'; '.join(step.why)})" if step.why else ""
        self.view.say(f"{step.name}: {_doing(step)}, {count}")  # why stands in the table
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
        self.view.at(step, "waits until it is well", self.wait)
        wanted = IN_A_ROW.get(step.service, CONSUMER_IN_A_ROW)
        row, restarts, answered = 0, "", began
        fewest: int | None = None  # a process that is not restarted now may have crashed long ago
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
            if now.isdigit():
                fewest = min(int(now), int(now) if fewest is None else fewest)
            crashes = int(now) - fewest if now.isdigit() and fewest is not None else 0
            if row >= wanted:
                return
            if not own and rest and step.service == "kafka":
                elect_preferred(seen.topics)
            lacks = [*own, *rest]
            self.view.waits(str(lacks[0]) if lacks else f"{wanted - row} more healthy looks")
            passed = time.monotonic() - began
            if machine is None and looked - answered > GONE:
                raise Stopped(f"{step.host} does not answer any more", own)
            if own and crashes >= CRASHES:
                raise Unwell(f"{step.name} does not stay up: started again {crashes} times", own)
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
            if step.kind == "apply" and step.settings:
                alter(self.cluster.hosts[step.host].broker_id, dict.fromkeys(step.settings))
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


def _readable(seen: Snapshot) -> bool:
    return bool(seen.ends) and not any(group.complaint for group in seen.groups.values())


def _doing(step: Due) -> str:
    if step.kind == "restart":
        return "starting it" if step.down else "restarting it"
    return "applying it without a restart" if step.kind == "apply" else "looking whether it is well"
