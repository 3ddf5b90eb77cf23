"""What faults are done to: a cluster on its lab under a load, and the record of what befell it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import connect
from cluster.model import Cluster
from drills import hosts, power
from drills.outside import outside
from drills.seen import Brokers
from drills.stream import Stream, now
from drills.wait import NotYet, Overdue, wait_until
from lab import memory
from lab.machine import Lab, LabError

ILL = (Overdue, LabError, OSError)  # what a fault that does not heal in time ends with
BALLAST = "/var/lib/ballast"
DROPIN = "drill.conf"


@dataclass
class Entry:
    """One fault, as faults.jsonl has it: times in Unix ms, lengths of time in seconds."""

    kind: str
    rung: str
    targets: list[str]
    unit: str = ""
    aimed: list[str] = field(default_factory=list)
    at: int = 0
    until: int = 0
    pause: float = 0.0
    slowest: float = 0.0
    stored: dict[str, float] = field(default_factory=dict)
    note: str = ""
    error: str = ""
    since_sshd: float | None = None

    def say(self, words: str) -> None:
        """Add to the note."""
        self.note = f"{self.note}; {words}" if self.note else words


class Ground:
    """The lab, the load and the list of faults. Faults may be done from several threads."""

    def __init__(self, cluster: Cluster, lab: Lab, stream: Stream, file: Path, say: Any) -> None:
        """`say` is called with each Entry when it is over; it is a line of `file` by then."""
        self.cluster, self.lab, self.stream = cluster, lab, stream
        self.entries: list[Entry] = []
        self._units: dict[str, list[str]] = {}
        self._file, self._say, self._lock = file, say, threading.Lock()
        file.touch()

    # --- the record ---

    @contextmanager
    def fault(
        self, kind: str, rung: str, targets: Sequence[str], unit: str = ""
    ) -> Iterator[Entry]:
        """What is done inside is one fault, until it is well again: waiting for that is inside too.

        It is noted however it ends; one of ILL goes into its `error`, and on to the caller. The
        pause is taken from the ledger, where the fault did not measure it itself.
        """
        entry = Entry(kind, rung, list(targets), unit, at=now())
        try:
            yield entry
        except ILL as error:
            entry.error = str(error)[:2000]
            raise
        except KeyboardInterrupt:
            entry.say("interrupted")
            raise
        finally:
            entry.until = entry.until or now()
            self._measure(entry)
            with self._lock:
                self.entries.append(entry)
                with self._file.open("a") as file:
                    file.write(json.dumps(asdict(entry)) + "\n")
            self._say(entry)

    def _measure(self, entry: Entry) -> None:
        history = self.stream.history
        self.stream.look()
        entry.pause = entry.pause or history.pause(entry.at, entry.until).worst
        entry.slowest = history.slowest_between(entry.at, entry.until)
        entry.pause, entry.slowest = round(entry.pause, 3), round(entry.slowest, 3)

    def rewrite(self) -> None:
        """Write the whole list again: what was found out later is in it."""
        text = "".join(json.dumps(asdict(entry)) + "\n" for entry in self.entries)
        self._file.write_text(text)

    # --- what is known ---

    def aims(self) -> dict[str, str]:
        """The hosts that matter most just now, by what they are."""
        found: dict[str, str] = {}
        for name, ask in (
            ("controller", lambda: self.stream.seen.brokers().controller or ""),
            ("zookeeper leader", self.zookeeper_leader),
            ("coordinator", lambda: self.coordinator(next(iter(self.stream.collectors)))),
        ):
            try:
                found[name] = ask()
            except OSError:
                continue
        return {name: host for name, host in found.items() if host}

    def aimed(self, targets: Iterable[str]) -> list[str]:
        """What the targets are just now: controller, zookeeper leader, coordinator."""
        targets = set(targets)
        return [aim for aim, host in self.aims().items() if host in targets]

    def zookeeper_leader(self) -> str:
        """The voter that leads; "" where none says so."""
        for name, voter in self.cluster.voters.items():
            try:
                answer = connect.zookeeper_answer(
                    f"{voter.address}:{self.cluster.ports.zookeeper}", "srvr", 1.0
                )
            except OSError:
                continue
            if "Mode: leader" in answer:
                return name
        return ""

    def lead_on_a_host(self) -> None:
        """Where a witness leads ZooKeeper, let the witnesses rest until a host has taken it over.

        The voter with the highest number wins, so that it mostly is a witness.
        """
        resting = list(self.cluster.witnesses)
        if self.zookeeper_leader() not in resting:
            return

        def host_leads() -> bool:
            return self.zookeeper_leader() in self.cluster.hosts

        def all_serve() -> bool:
            ports = self.cluster.ports
            return all(
                "Mode: " in connect.zookeeper_answer(f"{voter.address}:{ports.zookeeper}", "srvr")
                for voter in self.cluster.voters.values()
            )

        try:
            connect.each(resting, lambda name: self.run(name, "systemctl stop zookeeper", 60))
            wait_until(host_leads, 30, "a host to lead ZooKeeper", every=0.5)
        finally:
            connect.each(resting, lambda name: self.run(name, "systemctl start zookeeper", 60))
        wait_until(all_serve, 60, "every voter to serve", every=0.5)
        self.flows(60)

    def coordinator(self, group: str) -> str:
        """The host that coordinates a group: the leader of its partition of the offsets' topic."""
        return self.stream.seen.coordinator(group)

    # --- waits: one sentence each, and a deadline ---

    def in_sync(self, seconds: float = 90) -> Brokers:
        """Wait until every broker is there and every replica in sync, whoever leads."""

        def look() -> Brokers:
            brokers = self.stream.seen.brokers()
            missing = set(self.cluster.hosts) - set(brokers.alive)
            behind = {name: n for name, n in brokers.lagging.items() if n}
            if missing or behind or brokers.offline:
                raise NotYet(
                    f"brokers missing: {sorted(missing)}, replicas not in sync: {behind}, "
                    f"partitions without a leader: {brokers.offline}"
                )
            return brokers

        return wait_until(look, seconds, "every replica to be in sync", every=0.5)

    def min_isr(self, seconds: float = 30) -> None:
        """Wait until no guardian's last stand is in force any more."""
        self.stream.restored(seconds)

    def flows(self, seconds: float = 60) -> None:
        """Wait until every partition acknowledges again."""
        self.stream.flows(seconds)

    def again(self, host: str, unit: str, before: int, seconds: float = 60) -> None:
        """Wait until systemd runs a service in another process than `before`."""

        def look() -> bool:
            found = hosts.unit(host, unit)
            if found.state != "active" or found.pid in (0, before):
                raise NotYet(f"it is {found.state}, process {found.pid}")
            return True

        wait_until(look, seconds, f"{unit} to run again on {host}", every=0.4)

    def running(self, seconds: float = 60) -> None:
        """Wait until every service of every machine is active."""

        def of(host: str) -> list[str]:
            wanted = self.services(host)
            return [n for n, unit in hosts.units(host, wanted).items() if unit.state != "active"]

        def look() -> bool:
            answers = connect.each(self.cluster.voters, of)
            ill = {host: found for host, found in answers.items() if found}
            if ill:
                raise NotYet("; ".join(f"{host}: {found}" for host, found in ill.items()))
            return True

        wait_until(look, seconds, "every service to be active", every=1)

    def services(self, host: str) -> list[str]:
        """The units of a machine that are installed there."""
        if host not in self._units:
            names = list(self.cluster.units(host).values())
            found = self.run(host, f"systemctl list-unit-files --no-legend {' '.join(names)}; true")
            installed = {line.split()[0] for line in found.splitlines() if line.split()}
            self._units[host] = [name for name in names if name in installed]
        return self._units[host]

    # --- what is done to machines ---

    def kill(self, *names: str) -> None:
        """Hosts die silently, at once."""
        with outside():
            self.lab.kill(*names)

    def cut(self, *names: str) -> None:
        """The power of hosts is cut, at once."""
        with outside():
            self.lab.cut(*names)

    def boot(self, names: Iterable[str], entry: Entry | None = None, wait: bool = True) -> int:
        """Switch hosts on; when (Unix ms) sshd answered on the last one (drills.power)."""
        return power.boot(self.lab, names, entry.say if entry else lambda _: None, wait)

    def run(self, host: str, script: str, seconds: float = 30) -> str:
        """A shell script on a host, as root."""
        import shlex

        return connect.run(host, f"sh -c {shlex.quote(script)}", seconds)

    # --- what is put back ---

    def heal(self) -> list[str]:
        """Everything back to what it should be, whatever the faults left; what did not go."""
        problems: list[str] = []

        def attempt(what: str, work: Any) -> None:
            try:
                work()
            except ILL as error:
                problems.append(f"{what}: {error}")

        attempt("boot", lambda: self.boot(self.cluster.machines))
        answers = connect.each(self.cluster.machines, self._sweep)
        problems += [f"sweep {h}: {a}" for h, a in answers.items() if isinstance(a, OSError)]
        return problems

    def _sweep(self, host: str) -> None:
        """Take a host's rules, ballast and drop-ins away, and let what stands still go on."""
        memory.unlimited(self.lab, host)
        units = self.services(host) if host in self.cluster.voters else []
        if host in self.cluster.databases:
            units = ["postgresql@*-main.service", "postgresql.service"]
        names = " ".join(f"'{unit}'" for unit in units)
        self.run(
            host,
            f"nft delete table inet drill 2>/dev/null; rm -f {BALLAST} {BALLAST}-2; "
            "systemctl stop drill-hungry 2>/dev/null; "
            f"found=$(ls -d /run/systemd/system/*.d/{DROPIN} 2>/dev/null); "
            '[ -z "$found" ] || { rm -f $found; systemctl daemon-reload; }; '
            f"systemctl kill --signal=CONT {names} 2>/dev/null; "
            f"systemctl start {names.replace('@*-', '@15-')}; true",
            120,
        )
