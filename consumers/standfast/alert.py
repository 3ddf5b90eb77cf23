"""Hand each alarm of this host on: to a command, or a webhook, at most once an hour and cause.

The journal is followed; standfast.alerts decides what is due. Each message is handed on by a
process of its own, so that one that hangs holds up nothing. What was read and handed on is noted in
a file, so that no restart loses or repeats an alarm. It is handed on once at least: where the power
fails between the two, again.

The command gets one line as its last argument (cluster, host, cause, sentence), the parts of it in
its environment (STANDFAST_CLUSTER, _HOST, _CAUSE, _SENTENCE, _AT, _MORE), and all of it as JSON on
its standard input, as a webhook gets it. An exit code other than 0 is a failure.
"""

from __future__ import annotations

import json
import os
import sys
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standfast import alerts
from standfast.alertjournal import FOLLOW, Journal
from standfast.alerts import Book, Message, line_of
from standfast.alertsend import Attempt, Receiver, post
from standfast.errors import UserError
from standfast.supervision import Sparing, Stop, Watchdog, say

if TYPE_CHECKING:
    import argparse

TURN = 0.5  # seconds between two looks at what is due, while nothing happens
SOON = 0.1  # and while something is under way
AGAIN = 2.0  # seconds until a journalctl that ended is started again


@dataclass(frozen=True)
class Config:
    """alert.toml; neither `command` nor `webhook`: what happened is noted, and nobody is told."""

    cluster: str
    host: str
    state: Path
    command: tuple[str, ...] = ()
    webhook: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="alert.toml")
    parser.add_argument(
        "--post", action="store_true", help="send the JSON on standard input to the webhook, once"
    )


def run(args: argparse.Namespace) -> int:
    """Follow until SIGTERM."""
    config = read(args.config)
    if args.post:
        post(config.webhook, sys.stdin.buffer.read())
        return 0
    poster = (sys.executable, "-IS", sys.argv[0], "alert", str(args.config), "--post")
    Alert(config, poster).watch(Stop().install())
    return 0


def read(path: Path) -> Config:
    """The file's content; UserError names the file and the key that is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        command = content.get("command", [])
        if not isinstance(command, list):
            raise ValueError("command: should be a list")
        return Config(
            cluster=str(content["cluster"]),
            host=str(content["host"]),
            state=Path(content["state"]),
            command=tuple(map(str, command)),
            webhook=str(content.get("webhook", "")),
        )
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}") from error
    except KeyError as error:
        raise UserError(str(path), f"{error.args[0]}: missing") from error
    except (ValueError, TypeError) as error:
        raise UserError(str(path), str(error)) from error


class Alert:
    """The loop: one thread, which waits for the journal and looks after one attempt at a time."""

    def __init__(
        self, config: Config, poster: tuple[str, ...] = (), follow: tuple[str, ...] = FOLLOW
    ) -> None:
        self._path = config.state
        self._to = Receiver(config.cluster, config.host, config.command, poster)
        self._tells = bool(config.command or config.webhook)
        self._follow = follow
        self._saying = Sparing(alerts.HOUR)
        self.book = self._read()
        self._not_before: dict[str, float] = {}  # Unix seconds, by cause that could not be told
        self._tries: dict[str, int] = {}
        self._attempt: Attempt | None = None

    def watch(self, stop: Stop) -> None:
        """Follow the journal until `stop`; an attempt at hand is waited for."""
        watchdog = Watchdog()
        self._save()
        journal: Journal | None = Journal(self._follow, self.book)
        watchdog.ready()
        began_again = 0.0
        try:
            while not stop:
                if journal is not None:
                    self.take(journal.entries(TURN if self._attempt is None else SOON))
                    if journal.ended:
                        self._lost(journal)
                        journal, began_again = None, time.monotonic() + AGAIN
                elif time.monotonic() >= began_again:
                    journal = Journal(self._follow, self.book)
                else:
                    time.sleep(SOON)
                self._settle()
                self._begin()
                watchdog.progress(self._status)
        finally:
            if journal is not None:
                journal.close()
            while self._attempt is not None:
                self._settle(wait=SOON)
                watchdog.progress()

    def take(self, entries: list[dict[str, Any]]) -> None:
        """Take entries of the journal in, and note that in the file."""
        before = self.book
        for entry in entries:
            cursor = str(entry.get("__CURSOR", ""))
            if cursor != self.book.cursor:  # it is read from the last line that is known
                self.book = self.book.take(line_of(entry), cursor, self._tells)
        if self.book != before:
            self._save()

    def _lost(self, journal: Journal) -> None:
        why = journal.close()
        say(f"alert: journalctl ended: {why}; started again in {AGAIN:.0f} s", 4)
        if self.book.cursor and not journal.answered:
            # A journal of another time, or none: by the clock, rather than not at all.
            self.book = replace(self.book, cursor="")

    def _settle(self, wait: float = 0.0) -> None:
        """Note what became of the attempt at hand."""
        if self._attempt is None or (error := self._attempt.ended(wait)) is None:
            return
        message, self._attempt = self._attempt.message, None
        if error:
            self._failed(message, error)
            return
        self._tries.pop(message.cause, None)
        self._not_before.pop(message.cause, None)
        self._saying.over(message.cause)
        now = time.time()
        self.book = self.book.done(message, now)
        self._save()
        say(f"alert: {message.cause} was handed on, {now - message.at:.1f} s after its line")

    def _begin(self) -> None:
        """Begin with the message that is due."""
        if self._attempt is not None or not self._tells:
            return
        now = time.time()
        for cause, at in self._not_before.items():
            # A clock that was set back must not make it wait for hours.
            self._not_before[cause] = min(at, now + alerts.RETRY_LONGEST)
        if (message := self.book.due(now, self._not_before)) is None:
            return
        try:
            self._attempt = Attempt(self._to, message)
        except OSError as error:
            self._failed(message, f"{self._to.program[0]}: {error.strerror}")

    def _failed(self, message: Message, error: str) -> None:
        tries = self._tries[message.cause] = self._tries.get(message.cause, 0) + 1
        wait = alerts.retry(tries)
        self._not_before[message.cause] = time.time() + wait
        if self._saying.now(message.cause, error):
            what = f"alert: {message.cause} could not be handed on: {error}"
            say(f"{what}; tried again in {wait:.0f} s, and on", 3)

    def _status(self) -> str:
        waiting = sum(known.waiting > 0 for known in self.book.causes.values())
        nobody = "" if self._tells else "; nobody is to be told (the inventory's alert:)"
        return f"{len(self.book.causes)} causes known, {waiting} to be handed on{nobody}"

    def _read(self) -> Book:
        try:
            return alerts.read(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Book(since=time.time())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"alert: {self._path} is not whole ({error})"
            say(f"{what}: alarms of the last hour are handed on again", 4)
            return Book(since=time.time() - alerts.HOUR)

    def _save(self) -> None:
        partial = self._path.with_name(self._path.name + ".new")
        try:
            with partial.open("w", encoding="utf-8") as file:
                json.dump(self.book.as_json(), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
            self._saying.over("state.json")
        except OSError as error:  # a full disk must not keep an alarm from being handed on
            if self._saying.now("state.json", str(error.strerror)):
                what = f"alert: {self._path}: {error.strerror}"
                say(f"{what}: after a restart alarms would come again", 3)
