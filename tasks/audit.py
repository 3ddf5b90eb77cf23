"""`fab audit`: is each record of the log in the sinks? Changes nothing.

Every host is asked that keeps a part of a sink (SQLite), or the first that answers (PostgreSQL).
With --json one object:

    {"cluster", "good", "collectors": {name: {
        "unasked": {host: why},
        "partitions": [{"topic", "partition", "first", "records", "complaint", "missing", "waiting",
                        "changed", "stray", "gone", "dead", "several": [[first, last]],
                        "times": [[first, last]]}]}},     of the missing ranges, Unix ms, or null
     "ledger": null or {"feed", "acknowledged", "missing": [[first, last]]}}

standfast.audited says what each of them is.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import connect
import tasks
from cluster.model import Cluster, Collector
from standfast.audited import Audit, together
from standfast.errors import UserError
from standfast.ledger import read_ledger
from standfast.ranges import Gather, Ranges
from tasks.auditview import show, times

SECONDS = 600.0  # for one host to read its part of the log and of the sink
CONFIG = "/etc/standfast/{}/current/collector.toml"
LENGTHS = {"d": "days", "h": "hours", "m": "minutes"}


@dataclass(frozen=True)
class Asked:
    """What is audited: topics ("" for all) and times (Unix ms, None for no bound)."""

    topic: str = ""
    since: int | None = None
    until: int | None = None

    def options(self) -> str:
        """As `standfast audit` takes them."""
        given = {"--topic": self.topic, "--since": self.since, "--until": self.until}
        return " ".join(f"{name} {shlex.quote(str(v))}" for name, v in given.items() if v)


@dataclass(frozen=True)
class Found:
    """All collectors' audits; `unlogged`: acknowledged by the ledger, and not in the log."""

    cluster: Cluster
    audits: Mapping[str, Audit]
    ledger: str = ""
    acknowledged: int = 0
    unlogged: Ranges = field(default_factory=Ranges)

    @property
    def good(self) -> bool:
        """All is where it should be, and everything could be asked."""
        return all(audit.good for audit in self.audits.values()) and not self.unlogged


def main(collector: str, topic: str, since: str, until: str, ledger: str, as_json: bool) -> int:
    """Audit, print it, and return the exit code: 0 all there, 1 not, or not all could be asked."""
    found = audit(connect.begin("audit of"), collector, topic, since, until, ledger)
    if as_json:
        print(json.dumps(as_object(found), indent=1))
    else:
        show(tasks.console(), found)
    return 0 if found.good else 1


def audit(
    cluster: Cluster, collector: str = "", topic: str = "", since: str = "", until: str = "",
    ledger: str = "",
) -> Found:  # fmt: skip
    """Ask, and put the answers together. What was asked wrongly ends it with 2."""
    names = chosen(cluster, collector, topic)
    book = None
    try:
        if ledger:
            if since or until:
                raise ValueError(
                    "--ledger: is held against the whole log: without --since, --until"
                )
            book = read_ledger(Path(ledger))
            if topic not in ("", book.topic):
                raise ValueError(f"--ledger: is of {book.topic}, not of {topic}")
            topic = book.topic
            names = chosen(cluster, collector, topic)
        asked = Asked(topic, moment(since), moment(until))
    except (UserError, ValueError) as error:
        connect.die(f"audit: {error}", code=2)
    audits = {name: ask(cluster, name, asked) for name in names}
    if book is None:
        return Found(cluster, audits)
    try:
        logged = sequences(topic, book.feed)
    except OSError as error:
        connect.die(f"audit: {error}")
    unlogged = book.acknowledged - logged
    return Found(cluster, audits, book.feed, len(book.acknowledged), unlogged)


def chosen(cluster: Cluster, collector: str, topic: str) -> list[str]:
    """The collectors that are asked for. What there is none of ends it with 2."""
    every = {n: c for n, c in cluster.consumers.items() if isinstance(c, Collector)}
    if collector and collector not in every:
        there = ", ".join(every) or "none"
        connect.die(f"audit: {collector}: no such collector; there are {there}", code=2)
    found = [
        name
        for name, one in every.items()
        if collector in ("", name) and (not topic or topic in one.topics)
    ]
    if not found:
        connect.die(f"audit: no collector keeps {topic or 'anything'}", code=2)
    return found


def moment(text: str) -> int | None:
    """A time in Unix ms: "2026-11-24T02:00" (this machine's clock), or "2h", "3d" ago; None for
    none. Raises ValueError.
    """
    if not text:
        return None
    try:
        if ago := re.fullmatch(r"(\d+)([dhm])", text):
            at = datetime.now() - timedelta(**{LENGTHS[ago[2]]: int(ago[1])})
        else:
            at = datetime.fromisoformat(text)
        return max(0, int(at.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise ValueError(f"{text}: should be a time as 2026-11-24T02:00, or 2h, 3d ago") from None


def ask(cluster: Cluster, name: str, asked: Asked) -> Audit:
    """One collector's audit, by all hosts that keep a part of its sink."""
    consumer = cluster.consumers[name]
    assert isinstance(consumer, Collector)

    def on(host: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            connect.run(host, command(name, "audit", asked.options()), SECONDS)
        )
        return answer

    answers: dict[str, Any] = {}
    if cluster.sinks[consumer.sink].kind == "sqlite":
        answers = dict(connect.each(cluster.hosts, on))
    else:
        for host in cluster.hosts:
            answers = dict(connect.each([host], on))
            if not isinstance(answers[host], OSError):
                break
    unasked = {h: str(a) for h, a in answers.items() if isinstance(a, OSError)}
    return together((a for a in answers.values() if not isinstance(a, OSError)), unasked)


def sequences(topic: str, feed: str, seconds: float = SECONDS) -> Ranges:
    """The sequences of a feed that the log holds. Raises OSError where not all could be read."""
    from standfast.feed import FEED_HEADER, SEQUENCE_HEADER

    log, gather, mine = connect.topic_log(topic, seconds), Gather(), feed.encode()
    for message in log:
        headers = dict(message.headers() or ())
        if headers.get(FEED_HEADER) == mine:
            gather.add(int(headers[SEQUENCE_HEADER] or b"-1"))
    log.whole()
    return gather.ranges()


def command(name: str, what: str, options: str) -> str:
    """`standfast` on a host, as the collectors' own user: root would leave files beside the sink's
    that only root can open.
    """
    # In one arena the C library gives back what the client library's threads took: 110 MB in place
    # of 180 after a million records.
    program = "runuser -u standfast -- env MALLOC_ARENA_MAX=1 standfast"
    line = f"{program} {what} {CONFIG.format(name)} {options}".rstrip()
    return f"bash -lc {shlex.quote(line)}"


# --- what is printed ---


def as_object(found: Found) -> dict[str, Any]:
    """What --json prints."""
    names = ("missing", "waiting", "changed", "stray", "gone", "dead", "several")
    ledger = {"feed": found.ledger, "acknowledged": found.acknowledged,
              "missing": found.unlogged.pairs()}  # fmt: skip
    return {
        "cluster": found.cluster.name,
        "good": found.good,
        "collectors": {
            name: {
                "unasked": dict(audit.unasked),
                "partitions": [
                    {
                        "topic": p.topic,
                        "partition": p.number,
                        "first": p.first,
                        "records": len(p.log),
                        "complaint": p.complaint,
                        **{what: getattr(p, what).pairs() for what in names},
                        "times": times(p),
                    }
                    for p in audit.partitions
                ],
            }
            for name, audit in found.audits.items()
        },
        "ledger": ledger if found.ledger else None,
    }
