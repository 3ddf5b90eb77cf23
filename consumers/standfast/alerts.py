"""Which alarms to hand on now: one pure rule. No journal, no clock, no process.

An alarm is a line at priority crit or worse. `alarm CAUSE: sentence` names its cause; of any other
line the unit that wrote it is the cause. Each cause is handed on at once, and then at most once an
hour: what comes meanwhile is counted, and told with the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

HOUR = 3600.0
KEPT = 24 * HOUR  # so long a cause that is over is remembered
MOST = 100  # causes that are told apart; beyond them all are one
REST = "many-causes"
LONGEST = 1000  # characters of a sentence
RETRY_FIRST, RETRY_LONGEST = 5.0, 300.0  # seconds after an attempt that failed

LINE = re.compile(r"alarm ([A-Za-z0-9][\w.-]{0,299}): (.+)", re.DOTALL)
UNITS = re.compile(r"(kafka|zookeeper|standfast-[\w.-]+|consumer-[\w.-]+)\.service")
OWN = "standfast-alert.service"  # what it says itself must not come back to it
TAG = "standfast"  # a line of a person: logger -p crit -t standfast 'alarm test: …'


@dataclass(frozen=True)
class Line:
    """An alarm in the journal; `at` in Unix seconds."""

    cause: str
    sentence: str
    at: float
    unit: str = ""


@dataclass(frozen=True)
class Cause:
    """What is known of a cause: its last line, when it was last handed on (None: never), and how
    many lines were not yet.
    """

    sentence: str
    at: float
    unit: str = ""
    handed: float | None = None
    waiting: int = 0


@dataclass(frozen=True)
class Message:
    """What is handed on; `more` counts the lines beside this one since the last message."""

    cause: str
    sentence: str
    at: float
    more: int

    @property
    def text(self) -> str:
        """The sentence, and how much more there was."""
        return (
            f"{self.sentence} ({self.more} more in the last hour)" if self.more else self.sentence
        )


@dataclass(frozen=True)
class Book:
    """All causes by their keys. `cursor` is the journal's, of the last line that was taken in;
    `since` (Unix seconds) is from when to read where that is unknown.
    """

    since: float
    cursor: str = ""
    causes: Mapping[str, Cause] = field(default_factory=dict)

    def take(self, line: Line | None, cursor: str, receiver: bool) -> Book:
        """With one line more of the journal; None is a line that is no alarm. Where nobody is to
        be told (`receiver`), nothing waits.
        """
        if line is None:
            return replace(self, cursor=cursor)
        causes = {
            key: known
            for key, known in self.causes.items()
            if known.waiting or line.at - known.at < KEPT
        }
        key = line.cause if line.cause in causes or len(causes) < MOST else REST
        sentence = line.sentence if key == line.cause else f"{line.cause}: {line.sentence}"
        known = causes.get(key) or Cause(sentence, line.at)
        causes[key] = replace(
            known,
            sentence=sentence,
            at=line.at,
            unit=line.unit,
            waiting=known.waiting + 1 if receiver else 0,
        )
        return replace(self, cursor=cursor, since=max(self.since, line.at), causes=causes)

    def due(self, now: float, not_before: Mapping[str, float]) -> Message | None:
        """The message to hand on now, the one that waits longest first; None where there is none.

        `not_before` is when a cause that could not be handed on is tried again.
        """
        ready = [
            (known.handed or 0.0, known.at, key)
            for key, known in self.causes.items()
            if known.waiting and _due(known, now) and not_before.get(key, now) <= now
        ]
        if not ready:
            return None
        key = min(ready)[2]
        known = self.causes[key]
        return Message(key, known.sentence, known.at, known.waiting - 1)

    def done(self, message: Message, now: float) -> Book:
        """After `message` was handed on; what came meanwhile waits for the next."""
        known = self.causes.get(message.cause)
        if known is None:
            return self
        left = max(0, known.waiting - 1 - message.more)
        handed = replace(known, handed=now, waiting=left)
        return replace(self, causes={**self.causes, message.cause: handed})

    def as_json(self) -> dict[str, Any]:
        """As state.json has it; what `read` reads."""
        return asdict(self)


def _due(known: Cause, now: float) -> bool:
    # A clock that was set back must not silence a cause.
    return known.handed is None or not 0 <= now - known.handed < HOUR


def read(content: Mapping[str, Any]) -> Book:
    """A book out of state.json. Raises KeyError, TypeError, ValueError, AttributeError."""
    return Book(
        since=float(content["since"]),
        cursor=str(content["cursor"]),
        causes={
            str(key): Cause(
                sentence=str(known["sentence"]),
                at=float(known["at"]),
                unit=str(known["unit"]),
                handed=None if known["handed"] is None else float(known["handed"]),
                waiting=int(known["waiting"]),
            )
            for key, known in content["causes"].items()
        },
    )


def retry(tries: int) -> float:
    """Seconds to wait after so many attempts that failed."""
    return float(min(RETRY_LONGEST, RETRY_FIRST * 2 ** min(tries - 1, 10)))


def line_of(entry: Mapping[str, Any]) -> Line | None:
    """The alarm in an entry of the journal (journalctl -o json); None where it is none of ours."""
    unit = _text(entry.get("_SYSTEMD_UNIT"))
    if unit == OWN:
        return None
    if not UNITS.fullmatch(unit):
        # A person's shell, or systemd itself speaking of a unit.
        unit = _text(entry.get("UNIT"))
        if not UNITS.fullmatch(unit) and _text(entry.get("SYSLOG_IDENTIFIER")) != TAG:
            return None
    text = _text(entry.get("MESSAGE"))
    message = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not message:
        return None
    at = int(_text(entry.get("__REALTIME_TIMESTAMP")) or 0) / 1e6
    found = LINE.fullmatch(message)
    cause, sentence = found.groups() if found else (unit.removesuffix(".service") or TAG, message)
    return Line(cause, sentence[:LONGEST], at, unit)


def _text(value: object) -> str:
    """A field of an entry: text, or bytes as a list of numbers, or several of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable):
        items = list(value)
        if items and all(isinstance(item, int) for item in items):
            return bytes(items).decode("utf-8", "replace")
        return _text(items[0]) if items else ""
    return ""
