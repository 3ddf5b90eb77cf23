"""Let the last broker alive take writes alone, and put back what was there when another is back.

Every half second ZooKeeper is asked, after a sync(), who is registered; while it is this host's
broker alone the others are asked directly as well. standfast.laststand decides. Three may run at
once: whatever they change they change by version, in transactions.
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
import time
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from standfast import clients, questions
from standfast.errors import UserError
from standfast.laststand import Action, Record, Sight, alone, believed, decide
from standfast.standing import PATIENCE, Registry, Unknown
from standfast.supervision import Sparing, Stop, Watchdog, alarm, notify, say

if TYPE_CHECKING:
    import argparse

    from kazoo.client import KazooClient

EVERY = 0.5  # seconds between two looks
ANSWER = 0.6  # seconds for another broker's answer: one that lives needs 0.01
SESSION = 3.0  # seconds; a server that died silently is left after two thirds of it
TOO_LATE = 2.0  # seconds after which what a look showed is no ground for an action
HOURLY = 3600.0
QUIET = 15.0  # seconds without ZooKeeper that are not worth a line: it boots, or elects


@dataclass(frozen=True)
class Config:
    """guardian.toml. `brokers` are all of the cluster, by id as "host:port"; `flush`: whether every
    broker flushes each record anyway; `shown` is a file that is there while a last stand lasts.
    """

    broker_id: int
    zookeeper: tuple[str, ...]
    brokers: Mapping[int, str]
    min_insync_replicas: int
    flush: bool
    data: Path
    journal: Path
    shown: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="guardian.toml")


def run(args: argparse.Namespace) -> int:
    """Guard until SIGTERM."""
    config = read(args.config)
    stop = Stop().install()
    # Its own ZooKeeper first: it lives as long as its broker does.
    client = clients.zookeeper(config.zookeeper, timeout=SESSION, steadfast=True)
    client.start_async()
    try:
        Guardian(config, client).watch(stop)
    finally:
        client.stop()
    return 0


def read(path: Path) -> Config:
    """The file's content; UserError names the file and the key that is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return Config(
            broker_id=int(content["broker_id"]),
            zookeeper=tuple(map(str, content["zookeeper"])),
            brokers={int(number): str(at) for number, at in content["brokers"].items()},
            min_insync_replicas=int(content["min_insync_replicas"]),
            flush=bool(content["flush"]),
            data=Path(content["data"]),
            journal=Path(content["journal"]),
            shown=Path(content["shown"]),
        )
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}") from error
    except KeyError as error:
        raise UserError(str(path), f"{error.args[0]}: missing") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(str(path), str(error)) from error


class Guardian:
    """The loop. What it remembers is since when its broker was alone, and what it has said; all
    else it looks at anew.
    """

    def __init__(self, config: Config, client: KazooClient) -> None:
        self.config = config
        self.registry = Registry(client)
        self._since: float | None = None  # monotonic, since when every look showed it alone
        self._looked = self._knew = time.monotonic()  # the last look, and the last whole turn
        self._saying = Sparing(HOURLY)
        self._shown: Record | None = None
        self._told: tuple[int, float] | None = None  # the last stand that was told of
        self._pool = ThreadPoolExecutor(max(1, len(config.brokers) - 1))

    def watch(self, stop: Stop) -> None:
        """Look again and again until `stop`."""
        watchdog = Watchdog()
        while not stop:
            began = time.monotonic()
            try:
                action = self.turn()
                status = action.why
            except Unknown as unknown:
                self._since = None
                status = f"ZooKeeper does not say who lives: {unknown}"
                if began - self._knew > QUIET and self._saying.now("zookeeper", "away"):
                    say(f"guardian: {status}", 4)
            else:
                self._knew = time.monotonic()
                self._saying.over("zookeeper")
            watchdog.ready()
            notify(f"WATCHDOG=1\nSTATUS={status}")
            stop.wait(max(0.05, began + EVERY - time.monotonic()), watchdog, status)

    def turn(self) -> Action:
        """One look, and what follows from it. Raises Unknown."""
        config = self.config
        me = config.broker_id
        began, seen, seconds = self._look()
        if seen.record is not None or believed(me, seen, seconds):
            topics = self.registry.topics()
            if time.monotonic() - began > TOO_LATE:
                # A large cluster's take long. They are changed by version; who lives is asked anew.
                began, seen, seconds = self._look()
            seen = replace(seen, topics=topics)
        action = decide(me, config.min_insync_replicas, seen, seconds, time.time())
        if action.do in ("lower", "restore"):
            if time.monotonic() - began > TOO_LATE:
                raise Unknown("the look took too long to act on it")
            self.registry.apply(action)
        if action.do == "restore":
            self._over(action)
        elif action.record is not None and believed(me, seen, seconds):
            self._stand(action, action.record)
        elif action.do == "hold":
            self._wait(action)
        return action

    def _look(self) -> tuple[float, Sight, float]:
        """When it began (monotonic), who lives, and for how many seconds it is this broker alone:
        0 unless every look since then, none of them late, has shown it.
        """
        began = time.monotonic()
        if began - self._looked > EVERY + 2 * PATIENCE:
            self._since = None  # it stood still itself: what was before proves nothing
        seen = self.registry.look(self.config.broker_id, self._ask_others)
        self._show(seen.record)
        now = time.monotonic()
        self._looked = now
        if not alone(self.config.broker_id, seen):
            self._since = None
        elif self._since is None:
            self._since = began
        seconds = 0.0 if self._since is None else now - self._since
        return began, seen, seconds

    def _ask_others(self) -> frozenset[int]:
        """Which of the other brokers answer when they are asked directly."""

        def answers(address: str) -> bool:
            try:
                questions.kafka_metadata(address, ANSWER)
            except OSError:
                return False
            return True

        others = {n: at for n, at in self.config.brokers.items() if n != self.config.broker_id}
        found = zip(others, self._pool.map(answers, others.values()), strict=True)
        return frozenset(number for number, answer in found if answer)

    def _stand(self, action: Action, record: Record) -> None:
        """Its broker takes writes alone. Told, and the disk synced, when that begins, and once by
        each process: whoever lowered may have died, or not have heard that it succeeded.
        """
        stand = (record.survivor, record.since)
        if action.do == "hold" and stand == self._told:
            self._remind(action)
            return
        self._told = stand
        count = len(action.topics or record.topics)
        alarm("last-stand", f"{action.why}, on {count} topics")
        self._saying.now("hold", "lower")
        if action.offline:
            alarm("offline", sentence(action))
            self._saying.now("offline", ", ".join(action.offline))
        if not self.config.flush:
            threading.Thread(target=sync, args=(self.config.data,), daemon=True).start()
        self._note(action)

    def _remind(self, action: Action) -> None:
        """It lasts: said every hour, and whenever there are other partitions that are offline."""
        if self._saying.now("hold", "lower"):
            alarm("last-stand", f"it lasts; {action.why}")
        if not action.offline:
            self._saying.over("offline")
        elif self._saying.now("offline", ", ".join(action.offline)):
            alarm("offline", sentence(action))

    def _wait(self, action: Action) -> None:
        """Copies are awaited: said whenever there are other partitions that lack some."""
        if action.offline and self._saying.now("waiting", ", ".join(action.offline)):
            say(f"guardian: {action.why}: {_some(action.offline)}", 4)

    def _over(self, action: Action) -> None:
        # A cause of its own: within the hour of the first alarm it would not be handed on.
        alarm("last-stand-over", action.why)
        self._saying.over("hold")
        self._note(action)

    def _show(self, record: Record | None) -> None:
        """The record as a file, for whoever looks at this host: a deploy must not begin now."""
        if record == self._shown:
            return
        path = self.config.shown
        try:
            if record is None:
                path.unlink(missing_ok=True)
            else:
                partial = path.with_name(path.name + ".new")
                partial.write_bytes(record.dump())
                partial.replace(path)
            self._shown = record
        except OSError as error:
            if self._saying.now("file", "unwritten"):
                say(f"guardian: {path}: {error.strerror}", 4)

    def _note(self, action: Action) -> None:
        """A line of its journal, on the disk before the next look; neither the change nor the alarm
        waits for a disk.
        """
        line = {
            "at": round(time.time(), 3),
            "broker": self.config.broker_id,
            "did": action.do,
            "why": action.why,
            "topics": {name: dict(change) for name, change in action.topics.items()},
            "offline": list(action.offline),
        }
        try:
            with self.config.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # a full disk must not keep the last broker from its work
            say(f"guardian: {self.config.journal}: {error.strerror}", 3)


def sync(data: Path) -> None:
    """Everything in the data's file system on the disk: what was acknowledged without a flush is
    now the only copy.
    """
    began = time.monotonic()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if libc.syncfs(folder) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(folder)
    except OSError as error:
        alarm("last-stand", f"{data} could not be synced: {error.strerror}")
        return
    say(f"guardian: {data} is on the disk ({time.monotonic() - began:.1f} s)", 4)


def sentence(action: Action) -> str:
    """Which partitions stay offline, and until when."""
    return (
        f"{len(action.offline)} partitions stay offline until a host of their in-sync set is back: "
        f"{_some(action.offline)}"
    )


def _some(names: tuple[str, ...], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
