"""One run of drills: a load, faults in the order of a plan, healing, and the judgement."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

import connect
from cluster.model import Cluster
from drills import faults
from drills.faults import damage
from drills.ground import ILL, Entry, Ground
from drills.judge import checker, copies, evidence, ladder, readback, report
from drills.judge.recorder import Recorder
from drills.plan import Planned
from drills.schedule import Batch
from drills.stream import Stream, now
from lab.machine import Lab

FOLDER = connect.ROOT / "build" / "drills"
# Closed segments must exist for one of them to be damaged. A follower that begins anew appends what
# it fetches as one piece: a segment may not be smaller than replica.fetch.max.bytes.
SEGMENT = 1_200_000  # bytes
HEALTHY = 180.0  # seconds until all is well again, with nothing done to it any more


@dataclass
class Run:
    """One run, from its first record to its verdict."""

    cluster: Cluster
    seed: int
    rate: float
    command: str = ""  # what does the same again
    topic: str = "trades"
    console: Console = field(default_factory=Console)

    def __post_init__(self) -> None:
        self.folder = FOLDER / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{self.seed}"
        self.folder.mkdir(parents=True)
        self.lab = Lab.load(self.cluster.path)
        self.stream = Stream(
            self.cluster, self.folder, topic=self.topic, rate=self.rate, seed=self.seed
        )
        self.it = Ground(
            self.cluster, self.lab, self.stream, self.folder / "faults.jsonl", self._told
        )
        self.began = now()
        self.commit = evidence.commit()
        self.planned: list[Batch] = []
        self.problems: list[str] = []
        self.struck = 0

    def go(self, plan: list[Batch], seconds: float | None = None) -> int:
        """All of it; returns the exit code: 0 good, 1 not, 130 interrupted."""
        self._say(f"evidence: {self.folder}")
        interrupted = False
        self.planned = plan
        recorder = self._recorder()
        try:
            self._begin()
            self._faults(plan, seconds)
        except KeyboardInterrupt:
            interrupted = True
            self._say("interrupted: the lab is healed, and what there is, is judged")
        except Exception as error:  # noqa: BLE001 - whatever it is: heal, and judge what there is
            self._problem(f"it could not go on: {type(error).__name__} {error}")
        try:
            good = self._end(recorder)
        except KeyboardInterrupt:
            self._say("interrupted again: nothing more is done, and the lab may not be whole")
            return 130
        return 130 if interrupted else 0 if good else 1

    # --- its parts ---

    def _begin(self) -> None:
        self._run_json({})
        for problem in self.it.heal():
            self._problem(problem)
        self._small_segments(True)
        self.stream.start(seconds=60)
        self.it.in_sync(HEALTHY)
        self.it.flows(60)

    def _faults(self, plan: list[Batch], seconds: float | None) -> None:
        begin = time.monotonic()
        for number, batch in enumerate(plan, 1):
            if seconds and time.monotonic() - begin > seconds:
                self._say(f"the time is over: {number - 1} of {len(plan)} steps were done")
                return
            self._ready(batch)
            if len(batch) == 1:
                # In this thread: a feed that a fault starts again ends with the thread it is of.
                self._one(batch[0])
                continue
            with ThreadPoolExecutor(len(batch)) as pool:
                list(pool.map(self._one, batch))

    def _one(self, planned: Planned) -> None:
        try:
            faults.strike(self.it, planned)
        except ILL as error:
            self._problem(f"{planned}: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is: one fault must not end a run of hundreds
            self._problem(f"{planned}: {type(error).__name__}: {error}")

    def _ready(self, batch: Batch) -> None:
        """Whole before the next fault: what does not heal by itself is healed, and noted."""
        heavy = any(not faults.KINDS[planned.kind].light for planned in batch)
        for attempt in (1, 2, 3):
            try:
                self.stream.ensure()
                self.it.flows(60)
                self.it.in_sync(120)
                if heavy:
                    self.it.running(90)
                    self.stream.caught_up(90)
                return
            except ILL as error:
                self._problem(f"before {batch[0]}: {error}")
                self._healed(last=attempt > 1)

    def _healed(self, last: bool) -> None:
        for problem in self.it.heal():
            self._problem(problem)
        if last:
            try:
                for line in damage.last_resort(self.it):
                    self._problem(line)
            except ILL as error:
                self._problem(f"the last resort: {error}")

    def _end(self, recorder: Any) -> bool:
        """Heal, collect, judge, report. Each part is tried, whatever became of the one before."""
        self._say("healing: every host on, every replica in sync, every sink caught up")
        self._tried("healing", self._heal_all)
        if not self._tried("the feed's end", self.stream.stop):
            self._problem("the feed did not have everything acknowledged")
        result = self._tried("the sinks", lambda: self.stream.result(120))
        if result:
            evidence.write(self.folder / "sinks.json", evidence.sinks(result))
            for line in result.problems():
                self._problem(line)
        self._tried("the sinks' pauses", self._stored)
        if recorder:
            self._tried("the recorder", recorder.stop)
        self._tried("the segments' size", lambda: self._small_segments(False))
        self._say("reading the log, comparing the replicas' logs and ZooKeeper's trees")
        self._tried("the log", self._read_log)
        compared = self._tried("the copies", lambda: copies.compare(self.cluster))
        if compared is not None:
            evidence.write(self.folder / "copies.json", compared)
        missing = self._tried(
            "the logs", lambda: evidence.logs(self.it, self.folder / "logs", self.began)
        )
        for host, why in (missing or {}).items():
            self._problem(f"no log of {host}: {why}")
        self._run_json({"ended": now(), "problems": self.problems})
        verdict = self._tried("the judgement", lambda: checker.judge(self.folder))
        if verdict is not None:
            told = {**verdict, "problems": verdict.problems}
            evidence.write(self.folder / "verdict.json", told)
        page = self._tried("the report", lambda: report.write(self.folder))
        return self._summary(verdict, result, page)

    def _heal_all(self) -> None:
        for attempt in (1, 2):
            self._healed(last=attempt > 1)
            try:
                self.stream.ensure()
                self.it.in_sync(HEALTHY)
                self.it.min_isr(60)
                self.it.running(HEALTHY)
                self.it.flows(60)
                self.stream.caught_up(HEALTHY)
                return
            except ILL as error:
                self._problem(f"healing: {error}")

    def _stored(self) -> None:
        """How long each sink stood still at each fault: asked once, when every host lives."""
        from drills.result import Fault

        plain = [Fault(e.kind, e.at, e.until) for e in self.it.entries]
        for entry, fault in zip(self.it.entries, self.stream.with_stored(*plain), strict=True):
            entry.stored = {name: round(p.worst, 3) for name, p in fault.stored.items()}
        self.it.rewrite()

    def _read_log(self) -> None:
        readback.write(self.topic, self.stream.feed, self.folder)

    def _small_segments(self, small: bool) -> None:
        """Let the topic have closed segments soon, and as it was afterwards."""
        from confluent_kafka.admin import (
            AlterConfigOpType,
            ConfigEntry,
            ConfigResource,
            ResourceType,
        )

        what = AlterConfigOpType.SET if small else AlterConfigOpType.DELETE
        entry = ConfigEntry("segment.bytes", str(SEGMENT), incremental_operation=what)
        resource = ConfigResource(ResourceType.TOPIC, self.topic, incremental_configs=[entry])
        from confluent_kafka import KafkaException

        try:
            admin = connect.admin()  # it lives as long as its answers are waited for
            for future in admin.incremental_alter_configs([resource]).values():
                future.result(15)
        except (KafkaException, TimeoutError) as error:
            raise OSError(f"segment.bytes of {self.topic}: {error}") from None

    def _recorder(self) -> Any:
        try:
            recorder = Recorder(self.cluster, self.folder / "observed.jsonl")
            recorder.start()
        except ILL as error:
            self._problem(f"nothing is recorded of what the cluster says of itself: {error}")
            return None
        return recorder

    def _run_json(self, more: dict[str, Any]) -> None:
        content = {
            "seed": self.seed,
            "command": self.command,
            "plan": [[str(planned) for planned in batch] for batch in self.planned],
            "commit": self.commit,
            "inventory": self.cluster.path.read_text(),
            "versions": evidence.versions(self.cluster),
            "settings": evidence.settings(self.cluster),
            "began": self.began,
            "ended": now(),
            "rate": self.rate,
            "topic": self.topic,
            "not_here": faults.NOT_HERE,
        }
        evidence.write(self.folder / "run.json", {**content, **more})

    # --- what is said ---

    def _tried(self, what: str, work: Any) -> Any:
        """What `work` returns; None where it failed, which is noted."""
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - the rest of the evidence is wanted
            self._problem(f"{what}: {type(error).__name__}: {error}")
        return None

    def _told(self, entry: Entry) -> None:
        self.struck += 1
        unit = f" {entry.unit}" if entry.unit else ""
        aimed = f" ({', '.join(entry.aimed)})" if entry.aimed else ""
        sshd = "" if entry.since_sshd is None else f", {entry.since_sshd:.1f} s after sshd"
        error = f"  NOT WELL: {entry.error[:300]}" if entry.error else ""
        self._say(
            f"{self.struck:4} {entry.kind}{unit}: {' '.join(entry.targets)}{aimed}: "
            f"{entry.pause:.1f} s{sshd}{error}"
        )

    def _problem(self, what: str) -> None:
        self.problems.append(what)
        self._say(f"     {what[:600]}")

    def _say(self, line: str) -> None:
        stamp = time.strftime("%H:%M:%S", time.gmtime())
        print(f"{stamp} {line}", flush=True)
        with (self.folder / "run.log").open("a") as file:
            file.write(f"{stamp} {line}\n")

    def _summary(self, verdict: Any, result: Any, page: Path | None) -> bool:
        entries = self.it.entries
        self.console.print(ladder.table(ladder.figures(entries, list(self.stream.collectors))))
        real = [entry for entry in entries if entry.kind != "return"]
        kinds = {(entry.kind, entry.unit) for entry in real}
        minutes = (now() - self.began) / 60_000
        self._say(f"{len(real)} faults of {len(kinds)} kinds in {minutes:.0f} minutes")
        ill = sum(1 for entry in entries if entry.error)
        if ill:
            self._say(f"{ill} faults were not well again in time: their errors say why")
        if result:
            self._say(
                f"{result.acknowledged:,} records acknowledged, {result.missing} missing in a "
                f"sink, {result.twice} twice"
            )
        for line in getattr(verdict, "problems", None) or []:
            self._say(f"PROBLEM {line}")
        kept = verdict is not None and bool(verdict.good) and result is not None
        # What did not come back by itself breaks the promise as well, though nothing was lost.
        if self.problems or ill or not real:
            self._say(f"PROBLEM {len(self.problems)} remarks above, {len(real)} faults struck")
        good = kept and bool(real) and not (ill or self.problems)
        self._say(f"verdict: {'good' if good else 'NOT GOOD'}")
        self._say(f"report: {page or 'none'}; evidence: {self.folder}")
        return bool(good)
