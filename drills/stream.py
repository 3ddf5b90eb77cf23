"""A load with its ledger, and what became of it.

    with Stream(cluster, folder) as stream:
        with stream.fault("kill -9 of kafka on kafka1"):
            hosts.signal("kafka1", "kafka.service")
            wait_until(lambda: stream.seen.brokers().whole, 60, "every replica to be in sync")
        stream.stop()
        assert stream.result().good

The feed is the product's own command, in a process of its own.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import connect
from cluster.model import Cluster, Collector
from cluster.settings import producer_settings
from drills import hosts
from drills.history import History, pause
from drills.result import Fault, InSink, Result, in_sink
from drills.seen import Seen
from drills.wait import NotYet, Overdue, wait_until
from standfast.ledger import Ledger, acknowledgements, read_head, read_ledger

CALM, CALM_MS = 0.5, 2_000  # seconds an acknowledgement takes in calm, for so many milliseconds
DRAIN = 60  # seconds in which a feed that was asked to stop has everything acknowledged


def now() -> int:
    """Unix milliseconds, as the ledger's and the sinks' times."""
    return time.time_ns() // 1_000_000


_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Stream:
    """Generated trades at a steady rate into one topic of a lab."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        *,
        topic: str = "trades",
        rate: float = 300.0,
        seed: int = 1,
        name: str = "drill",
    ) -> None:
        """Nothing is sent yet. `folder` is made, and keeps the ledger and the feed's log."""
        if not cluster.is_lab:
            connect.die(f"{cluster.name}: is no lab, and made-up trades go to no other", code=2)
        self.cluster, self.folder, self.topic = cluster, folder, topic
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger = folder / "ledger"
        settings = "".join(f"{s.name}={s.value}\n" for s in producer_settings(cluster))
        (folder / "producer.properties").write_text(settings)
        self._command = [
            *(sys.executable, "-m", "standfast", "feed", "--bootstrap", cluster.bootstrap),
            *("--topic", topic, "--generate", "0", "--seed", str(seed), "--rate", str(rate)),
            *("--name", name, "--ledger", str(self.ledger), "--drain", str(DRAIN)),
            *("--settings", str(folder / "producer.properties"), "--no-progress", "--summary"),
        ]
        self.collectors = {
            name: consumer
            for name, consumer in cluster.consumers.items()
            if isinstance(consumer, Collector) and topic in consumer.topics
        }
        self.history = History()
        self.faults: list[Fault] = []
        self.seen = Seen(cluster, folder / "clients.log")
        self.summary: dict[str, Any] = {}
        self._head: Ledger | None = None
        self._process: subprocess.Popen[str] | None = None
        self._began = now()
        self._reading = threading.Lock()

    # --- the feed ---

    def start(self, resume: bool = False, seconds: float = 30) -> None:
        """Begin, or go on after a kill; returns when the first record is acknowledged."""
        before = len(self.history)
        with (self.folder / "feed.log").open("a") as log:
            self._process = subprocess.Popen(
                [*self._command, *(["--resume"] if resume else [])],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C is for the drill to handle: it stops the feed in its own time.
                start_new_session=True,
                preexec_fn=_end_with_parent,  # no load outlives what started it
            )
        self._began = now()
        try:
            wait_until(
                lambda: self.acknowledged > before, seconds, "the first record to be acknowledged"
            )
        except Overdue as error:
            raise Overdue(f"{error}: {self._last_words()}") from None

    def ensure(self) -> None:
        """Start the feed again where it does not run. Raises Overdue."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._process.communicate()
            self._process = None
        self.start(resume=self.ledger.exists(), seconds=60)

    def kill(self) -> None:
        """End the feed with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()
        self._process = None

    def stop(self) -> bool:
        """Send no more, and wait for what is under way. Whether everything was acknowledged."""
        if self._process is None:
            return True
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            out, _ = self._process.communicate(timeout=DRAIN + 15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise Overdue(f"waited {DRAIN + 15} s in vain for the feed to end") from None
        code, self._process = self._process.returncode, None
        with suppress(ValueError):
            self.summary = json.loads(out or "{}")
        self.refresh()
        return code == 0

    def refresh(self) -> None:
        """Take in what the ledger says since the last time. Raises OSError if the feed died."""
        if self._process is not None and self._process.poll() not in (None, 0):
            raise OSError(f"the feed ended by itself: {self._last_words()}")
        with self._reading:
            if self._head is None:
                if not self.ledger.exists() or b"\n" not in self.ledger.read_bytes()[:4096]:
                    return
                self._head = read_head(self.ledger)
            for line in acknowledgements(self.ledger, self._head):
                self.history.add(line)

    @property
    def feed(self) -> str:
        """The feed's id, that every record carries; "" before the first line of the ledger."""
        return self._head.feed if self._head else ""

    @property
    def acknowledged(self) -> int:
        """How many records are acknowledged by now."""
        self.refresh()
        return len(self.history)

    def look(self) -> int:
        """How many are acknowledged by now, for who only looks on, from another thread too."""
        with suppress(OSError):  # the feed died: who waits for something is told so
            self.refresh()
        return len(self.history)

    def silence(self) -> float:
        """Seconds since the last acknowledgement that was taken in."""
        return max(0, now() - (self.history.last or self._began)) / 1000

    # --- what befalls it ---

    @contextmanager
    def fault(self, name: str, at: int | None = None, since: bool = False) -> Iterator[None]:
        """What is done inside is a fault of this name, until all is well again: that is inside too.

        It is noted when it ends, however it ends, with the pause of the acknowledgements: around
        `at` (Unix ms, when it struck; default: now), or where nothing had been acknowledged for
        long, `since` then.
        """
        at = at or now()
        try:
            yield
        finally:
            with suppress(OSError):
                self.refresh()
            until = now()
            slowest = self.history.slowest_between(at, until)
            pause = self.history.since(at) if since else self.history.pause(at, until)
            self.faults.append(Fault(name, at, until, pause, slowest))

    def flows(self, seconds: float = 30, since: int | None = None) -> None:
        """Wait until records of every partition were acknowledged after `since` (default: now)."""
        after = since or now()

        def all_partitions() -> bool:
            self.refresh()
            return all(times[-1] > after for times in self.history.at.values())

        wait_until(all_partitions, seconds, "an acknowledgement in every partition")

    def healthy(self, seconds: float = 90) -> None:
        """Wait until every replica is in sync, records flow everywhere and the sinks keep up."""
        deadline = time.monotonic() + seconds
        self.whole(seconds)
        self.flows(max(1.0, deadline - time.monotonic()))
        self.caught_up(max(1.0, deadline - time.monotonic()))

    def whole(self, seconds: float = 90) -> None:
        """Wait until every broker is there, every replica in sync, every leader the preferred."""

        def look() -> bool:
            brokers = self.seen.brokers()
            missing = set(self.cluster.hosts) - set(brokers.alive)
            if missing or not brokers.whole:
                behind = {name: n for name, n in brokers.lagging.items() if n}
                raise NotYet(
                    f"brokers missing: {sorted(missing)}, replicas not in sync: {behind}, "
                    f"partitions led by another than the preferred: {brokers.astray}"
                )
            return True

        what = "every replica to be in sync and every preferred one to lead"
        wait_until(look, seconds, what, every=0.5)

    def calm(self, seconds: float = 30) -> None:
        """Wait until, for a while, no acknowledgement took long: what befell it before is over, as
        far as this machine ever is calm: after `seconds` it goes on as it is.
        """
        begin = now()

        def quiet() -> bool:
            self.refresh()
            since = max(begin, now() - CALM_MS)
            if now() - begin < CALM_MS or self.history.slowest_between(since, now()) > CALM:
                raise NotYet("acknowledgements still take long")
            return True

        with suppress(Overdue):
            wait_until(quiet, seconds, "quick acknowledgements", every=0.3)

    def restored(self, seconds: float = 60) -> None:
        """Wait until min ISR is what it was before a last stand."""

        def over() -> bool:
            if self.seen.last_stand():
                raise NotYet("the guardians' record is still there")
            return True

        wait_until(over, seconds, "the last stand to be over", every=1)

    def stored(self, collector: str) -> int:
        """How many acknowledged records are in a collector's sink: at least so many."""
        positions = wait_until(
            lambda: self.seen.positions(collector, self.topic), 15, f"the positions of {collector}"
        )
        return self.history.below(positions)

    def caught_up(self, seconds: float = 60) -> None:
        """Wait until every sink holds what is acknowledged by now."""
        self.refresh()
        ends = self.history.ends()
        for collector in self.collectors:

            def there(collector: str = collector) -> bool:
                positions = self.seen.positions(collector, self.topic)
                behind = {p: end - positions.get(p, 0) for p, end in ends.items()}
                late = {p: records for p, records in behind.items() if records > 0}
                if late:
                    raise NotYet(f"records not stored yet, by partition: {late}")
                return True

            what = f"{collector} to store what was acknowledged"
            wait_until(there, seconds, what, every=0.3)

    # --- what became of it ---

    def result(self, seconds: float = 60, config: str = hosts.STORED) -> Result:
        """Ask every host what its sinks hold, and hold it against the ledger.

        Waits at most `seconds` until everything acknowledged is there; after that, what is not
        there is missing. `config` is where each collector's configuration lies, {} its name.
        """
        self.refresh()
        deadline = time.monotonic() + seconds
        with suppress(Overdue):  # it is said below, record by record
            self.caught_up(seconds)
        ledger = read_ledger(self.ledger)
        while True:
            sinks, unasked = self._ask(ledger, config)
            late = any(sink.verdict.missing for sink in sinks.values()) or unasked
            if not late or time.monotonic() >= deadline:
                break
            time.sleep(1)
        known = self.summary.get("sent", 0) + self.summary.get("acknowledged_before", 0)
        return Result(
            ledger.feed,
            max(known, len(ledger.acknowledged)),
            len(ledger.acknowledged),
            sinks,
            unasked,
            self.with_stored(*self.faults, config=config),
            self.history.longest,
            self.history.slowest,
        )

    def _ask(self, ledger: Ledger, config: str) -> tuple[dict[str, InSink], dict[str, str]]:
        sinks: dict[str, InSink] = {}
        unasked: dict[str, str] = {}
        for name in self.collectors:
            answers = self._everywhere(
                name,
                lambda host, name=name: hosts.tally(host, name, config),
            )
            good = [answer for answer in answers.values() if not isinstance(answer, OSError)]
            unasked |= {h: str(e) for h, e in answers.items() if isinstance(e, OSError)}
            sinks[name] = in_sink(name, good, ledger)
        return sinks, unasked

    def _everywhere(self, collector: str, ask: Any) -> Mapping[str, Any]:
        """Ask every host about its own SQLite file; of a PostgreSQL, the first that answers."""
        sink = self.cluster.sinks[self.collectors[collector].sink]
        if sink.kind == "sqlite":
            return connect.each(self.cluster.hosts, ask)
        answers: dict[str, Any] = {}
        for host in self.cluster.hosts:
            answers = {**connect.each([host], ask)}
            if not isinstance(answers[host], OSError):
                break
        return answers

    def with_stored(self, *faults: Fault, config: str = hosts.STORED) -> list[Fault]:
        """Faults, each with how long every sink stood still meanwhile: the hosts are asked."""
        if not faults:
            return []
        times: dict[str, dict[int, list[int]]] = {}
        for name in self.collectors:
            answers = self._everywhere(
                name, lambda host, name=name: hosts.stored_times(host, name, self.feed, config)
            )
            merged: dict[int, list[int]] = {}
            for answer in answers.values():
                if not isinstance(answer, OSError):
                    for partition, series in answer.items():
                        merged.setdefault(partition, []).extend(series)
            times[name] = {p: sorted(series) for p, series in merged.items()}
        return [
            replace(
                fault,
                stored={
                    name: pause(series, fault.at, fault.until) for name, series in times.items()
                },
            )
            for fault in faults
        ]

    def _last_words(self) -> str:
        lines = (self.folder / "feed.log").read_text().strip().splitlines()
        return lines[-1] if lines else f"it said nothing (see {self.folder / 'feed.log'})"

    def close(self) -> None:
        """End the feed if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.stop()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
