"""Watch this host's servers over their own protocols, and end one that hangs.

Every interval each server is asked (ZooKeeper: srvr; Kafka: Metadata) and a few bytes are
written and fsynced in its data directories. A server that is silent for 12 s, and that nothing
in standfast.health speaks for, gets SIGKILL (a hung process ignores SIGTERM); systemd restarts
it. Restarting is never done here. So does a broker whose copies stand still
(standfast.fetching). Units that die again and again, and disks that fill, are alarms
(standfast.rounds).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standfast import local, process, questions
from standfast.errors import UserError
from standfast.fetching import Fetching
from standfast.health import PATIENCE, Action, History, Process, Sight, decide
from standfast.rounds import Rounds
from standfast.supervision import Stop, Watchdog, alarm, notify, say

if TYPE_CHECKING:
    import argparse

    from standfast.local import Host, Server

# How long a server may take for one answer, in seconds, before it is asked anew: long, because a
# slow answer is an answer.
ANSWER = 10.0
PEER = 3.0  # for a peer's answer, which is only asked for before a server is ended

# As process.of_unit.
ProcessOf = Callable[[str], tuple[Process | None, bool] | None]
# Asks; True: the server serves, False: it answers only. OSError: no answer.
Ask = Callable[[], bool]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="probe.toml")
    parser.add_argument(
        "--state",
        type=Path,
        default=Path("/run/standfast/probe/state.json"),
        metavar="FILE",
        help="where to write what it sees (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Watch until SIGTERM."""
    host = local.read(args.config)
    threading.excepthook = _fatal
    try:
        args.state.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("--state", f"{args.state}: {error.strerror}") from error
    watch(host, args.state, Stop().install(), process.of_unit)
    return 0


class Asker(threading.Thread):
    """Asks one question again and again, in a thread: what hangs in it hangs nothing else."""

    def __init__(self, question: str, ask: Ask, interval: float, errors_count: bool) -> None:
        super().__init__(name=question, daemon=True)
        self.question = question
        self._ask = ask
        self._interval = interval
        # A disk that says "full" or "I/O error" does not hang: its server sees that as well.
        self._errors_count = errors_count
        self._lock = threading.Lock()
        self._pending: float | None = None  # when the question on its way was asked
        self._failing: float | None = None  # when the first one that failed was asked
        self._served: float | None = None  # when the last one that found it serving was asked
        self._complaint = ""

    def run(self) -> None:
        while True:
            asked = time.monotonic()
            with self._lock:
                self._pending = asked
            try:
                served, complaint = self._ask(), ""
            except OSError as error:
                served, complaint = False, error.strerror or str(error)
            if complaint != self._complaint and not self._errors_count:
                if complaint:
                    alarm("disk", f"{self.question}: {complaint}")
                else:
                    say(f"probe: {self.question}: well again")
            with self._lock:
                self._pending = None
                self._complaint = complaint
                if not complaint or not self._errors_count:
                    self._failing = None
                elif self._failing is None:
                    self._failing = asked
                if served:
                    self._served = asked
            time.sleep(max(0.0, asked + self._interval - time.monotonic()))

    def sight(self) -> Sight:
        """What it shows at this moment; a question on its way counts from when it was asked."""
        with self._lock:
            since = self._failing if self._failing is not None else self._pending
            return Sight(self.question, since, self._complaint if self._failing else "")

    def served(self) -> float | None:
        """When the last question that found the server serving was asked, monotonic."""
        with self._lock:
            return self._served


class Watch:
    """One server of this host: what was seen of it, and what follows from that."""

    def __init__(
        self,
        server: Server,
        interval: float,
        process_of: ProcessOf,
        patience: float,
        ready: Process | None,
    ) -> None:
        self.server = server
        self._process_of = process_of
        self._patience = patience
        self._hang = f"hang-{server.kind}"
        question = "srvr to" if server.kind == "zookeeper" else "Metadata from"
        self._asker = Asker(
            f"{question} {server.address}",
            lambda: _serves(server, server.address, ANSWER),
            interval,
            errors_count=True,
        )
        self._disks = [
            Asker(f"a write to {at}", _disk(at), interval, errors_count=False)
            for at in server.directories
        ]
        self._known_ready = ready  # the process that an earlier probe saw serving
        self.history = History(server.kind, None, False, False, time.monotonic())
        self.action = Action("wait", "down", "not looked at yet")

    def start(self) -> None:
        for asker in (self._asker, *self._disks):
            asker.start()

    def woke(self, now: float) -> None:
        """The probe itself stood still: silence from before says nothing about the server."""
        self.history = replace(self.history, since=now)

    def look(self, now: float) -> None:
        """Look, ask the peers if need be, and end the server if it hangs."""
        before = self.action
        self._observe(now)
        self.action = decide(self.history, None, now, self._patience)
        if self.action.do == "ask":
            peers = _peers(self.server)
            # That took a while: what is ended must still be silent, and the same process.
            self._observe(time.monotonic())
            self.action = decide(self.history, peers, time.monotonic(), self._patience)
        if self.action.do == "kill" and self.history.process is not None:
            done = process.end(self.history.process)
            alarm(self._hang, f"{self.server.unit} hangs ({self.action.reason}): {done}")
            self.history = replace(self.history, ended=True)
        elif self.action.verdict != before.verdict:
            if self.action.verdict == "held":
                alarm(self._hang, f"{self.server.unit}: {self.action.reason}")
            else:
                level = 4 if self.action.verdict in ("silent", "ended") else 6
                say(f"probe: {self.server.unit}: {self.action.reason}", level)

    def _observe(self, now: float) -> None:
        old = self.history
        sights = tuple(asker.sight() for asker in (self._asker, *self._disks))
        main, active = old.process, old.active
        silent = any(now - (sight.silent_since or now) > 1.0 for sight in sights)
        # While all is well systemd need not be asked.
        if silent or not active or main is None or process.start_of(main.pid) != main.start:
            # Where systemd does not say, nothing is known for now: so not active.
            main, active = self._process_of(self.server.unit) or (main, False)
        if main != old.process:
            ready = main is not None and main == self._known_ready
            old = History(old.kind, main, active, ready, now)
        served = self._asker.served()
        # An answer from before may be of the process before.
        ready = old.ready or (main is not None and served is not None and served > old.since)
        self.history = replace(old, active=active, ready=ready, sights=sights)

    def ready(self) -> Process | None:
        """The server's process, where it is active, has served, and is not silent."""
        seen, well = self.history, self.action.verdict == "answers"
        return seen.process if seen.active and seen.ready and well else None

    def state(self, now: float) -> dict[str, Any]:
        """For people and status tools, as JSON; times in seconds since 1970."""
        main, served = self.history.process, self._asker.served()
        return {
            "unit": self.server.unit,
            "address": self.server.address,
            "pid": main.pid if main else None,
            "start": main.start if main else None,
            "ready": self.history.ready,
            "served": None if served is None else round(time.time() - (now - served), 3),
            "verdict": self.action.verdict,
            "reason": self.action.reason,
        }


def watch(
    host: Host, path: Path, stop: Stop, process_of: ProcessOf, patience: float = PATIENCE
) -> None:
    """Look at the host's servers every interval until `stop`; what is seen goes to `path`."""
    known = _known_ready(path)
    watches = [
        Watch(server, host.interval, process_of, patience, known.get(server.kind))
        for server in host.servers.values()
    ]
    for one in watches:
        one.start()
    directories = [at for server in host.servers.values() for at in server.directories]
    Rounds(host.units, directories).start()
    for one in watches:
        if one.server.broker_id is not None:
            Fetching(one.server, one.ready).start()
    watchdog = Watchdog()
    last = time.monotonic()
    while not stop:
        now = time.monotonic()
        if now - last > 2 * host.interval:
            say(f"probe: stood still for {now - last:.0f} s itself, begins anew", 4)
            for one in watches:
                one.woke(now)
        for one in watches:
            one.look(time.monotonic())
        last = time.monotonic()
        _write(path, host, watches)
        watchdog.ready()
        status = "; ".join(f"{one.server.kind}: {one.action.reason}" for one in watches)
        notify(f"WATCHDOG=1\nSTATUS={status}")
        stop.wait(max(0.1, now + host.interval - time.monotonic()), watchdog, status)


def _serves(server: Server, address: str, timeout: float) -> bool:
    if server.kind == "zookeeper":
        return questions.zookeeper_mode(address, timeout) != ""
    questions.kafka_metadata(address, timeout)
    return True


def _disk(directory: str) -> Ask:
    def ask() -> bool:
        questions.disk_write(directory)
        return True

    return ask


def _peers(server: Server) -> dict[str, bool]:
    def serves(address: str) -> bool:
        try:
            return _serves(server, address, PEER)
        except OSError:
            return False

    if not server.peers:
        return {}
    with ThreadPoolExecutor(len(server.peers)) as pool:
        return dict(zip(server.peers, pool.map(serves, server.peers), strict=True))


def _known_ready(path: Path) -> dict[str, Process]:
    """Which processes a probe before this one saw serving: its restart must not forget it."""
    try:
        servers = json.loads(path.read_text(encoding="utf-8"))["servers"]
        return {
            kind: Process(int(state["pid"]), int(state["start"]))
            for kind, state in servers.items()
            if state["ready"]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # none, or not whole: then they must serve once more before they may be ended


def _write(path: Path, host: Host, watches: list[Watch]) -> None:
    now = time.monotonic()
    servers = {one.server.kind: one.state(now) for one in watches}
    state = {"host": host.name, "written": round(time.time(), 3), "servers": servers}
    partial = path.with_name(path.name + ".new")
    try:
        partial.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        say(f"probe: {path}: {error.strerror}", 4)


def _fatal(what: threading.ExceptHookArgs) -> None:
    # An asker that ends would look like a server that is silent: better no probe than that one.
    name = what.thread.name if what.thread else "?"
    alarm("probe", f"the probe ends, and begins anew: {name} failed: {what.exc_value!r}")
    os._exit(1)
