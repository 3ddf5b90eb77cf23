"""`fab audit`: is each record of the log in the sinks? Changes nothing.

Every host is asked that keeps a part of a sink (SQLite), or the first that answers (PostgreSQL).
With --json one object:

    {"cluster", "good", "collectors": {name: {
        "unasked": {host: why},
        "partitions": [{"topic", "partition", "first", "records", "complaint", "missing", "waiting",
                        "changed", "stray", "dead", "several": [[first, last]],
                        "times": [[first, last]]}]}},     of the missing ranges, Unix ms, or null
     "ledger": null or {"feed", "acknowledged", "missing": [[first, last]]}}

standfast.audited says what each of them is.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

import connect
import tasks
from cluster.model import Cluster, Collector
from standfast.audited import Audit, Partition, together
from standfast.errors import UserError
from standfast.ledger import read_ledger
from standfast.ranges import Ranges

SECONDS = 600.0  # for one host to read its part of the log and of the sink
CONFIG = "/etc/standfast/{}/current/collector.toml"
NAMED = 12  # ranges that are named one by one
LENGTHS = {"d": "days", "h": "hours", "m": "minutes"}


@dataclass(frozen=True)
class Asked:
    """What is audited: topics ("" for all) and times (Unix ms, None for no bound)."""

    topic: str = ""
    since: int | None = None
    until: int | None = None
    feed: str = ""

    def options(self) -> str:
        """As `standfast audit` takes them."""
        given = {"--topic": self.topic, "--since": self.since, "--until": self.until,
                 "--feed": self.feed}  # fmt: skip
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
        asked = Asked(topic, moment(since), moment(until), book.feed if book else "")
    except (UserError, ValueError) as error:
        connect.die(f"audit: {error}", code=2)
    audits = {name: ask(cluster, name, asked) for name in names}
    if book is None:
        return Found(cluster, audits)
    logged = Ranges()
    for one in audits.values():
        logged |= one.sequences
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
    if ago := re.fullmatch(r"(\d+)([dhm])", text):
        before = timedelta(**{LENGTHS[ago[2]]: int(ago[1])})
        return int((datetime.now() - before).timestamp() * 1000)
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
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


def command(name: str, what: str, options: str) -> str:
    """`standfast` on a host, as the collectors' own user: root would leave files beside the sink's
    that only root can open.
    """
    line = f"runuser -u standfast -- standfast {what} {CONFIG.format(name)} {options}".rstrip()
    return f"bash -lc {shlex.quote(line)}"


# --- what is printed ---


def as_object(found: Found) -> dict[str, Any]:
    """What --json prints."""
    names = ("missing", "waiting", "changed", "stray", "dead", "several")
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


def times(part: Partition) -> list[list[int | None]]:
    """When (Unix ms) the first and the last record of each missing range were stored in the log;
    of the first NAMED ranges.
    """
    ends = [pair for pair, _ in zip(part.missing, range(NAMED), strict=False)]
    known = stored_at(part.topic, part.number, sorted({n for pair in ends for n in pair}))
    return [[known.get(first), known.get(last)] for first, last in ends]


def stored_at(topic: str, number: int, offsets: Sequence[int]) -> dict[int, int]:
    """When (Unix ms) the log took in these records; what cannot be read is left out."""
    from confluent_kafka import KafkaException, TopicPartition

    if not offsets:
        return {}
    found: dict[int, int] = {}
    consumer = connect.consumer("standfast-audit")
    try:
        for offset in offsets:
            consumer.assign([TopicPartition(topic, number, offset)])
            for message in consumer.consume(1, 5.0):
                if message.error() is None and message.offset() == offset:
                    found[offset] = message.timestamp()[1]
    except KafkaException:
        return found
    finally:
        consumer.close()
    return found


def show(console: Console, found: Found) -> None:
    """A table for each collector, then what is wrong, each with its place; at last the verdict."""
    for name, audit in found.audits.items():
        console.print(_table(name, audit))
        for host, why in audit.unasked.items():
            console.print(Text(f"- {host} was not asked: {why}", "bold red"))
        for part in audit.partitions:
            for line in sentences(part):
                console.print(Text(f"- {line}", "yellow"))
    if found.ledger:
        lost = len(found.unlogged)
        words = f"{found.ledger}: {found.acknowledged:,} acknowledged, {lost:,} not in the log"
        more = f": sequences {found.unlogged.text(NAMED)}" if lost else ""
        console.print(Text(words + more, "bold red" if lost else ""))
    console.print(Text(verdict(found), "bold green" if found.good else "bold red"))


def _table(name: str, audit: Audit) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(name, no_wrap=True)
    for title in ("in the log", "missing", "changed", "stray", "waiting", "dead letters"):
        table.add_column(title, justify="right")
    for part in audit.partitions:
        bad = [len(part.missing), len(part.changed), len(part.stray)]
        table.add_row(
            f"{part.topic}/{part.number}",
            f"{len(part.log):,}",
            *(Text(f"{number:,}", "bold red" if number else "") for number in bad),
            f"{len(part.waiting):,}",
            f"{len(part.dead):,}",
        )
    return table


def sentences(part: Partition) -> list[str]:
    """What is wrong with a partition, each with its offsets."""
    place = f"{part.topic}/{part.number}"
    found = []
    if part.complaint:
        found.append(f"{place} could not be read to its end: {part.complaint}")
    for (first, last), (begin, end) in zip(part.missing, times(part), strict=False):
        span = f"offset {first}" if first == last else f"offsets {first}-{last}"
        stored = _clock(begin) if begin == end else f"{_clock(begin)} to {_clock(end)}"
        found.append(f"{place}: missing: {span}, stored in the log {stored}")
    more = len(part.missing.pairs()) - NAMED
    if more > 0:
        found.append(f"{place}: missing: {more} more ranges: fab audit --json")
    if part.changed:
        text = part.changed.text(NAMED)
        found.append(f"{place}: another content than in the log: offsets {text}")
    if part.stray:
        found.append(f"{place}: in a sink, and not in the log: offsets {part.stray.text(NAMED)}")
    return found


def _clock(at: int | None) -> str:
    return "at an unknown time" if at is None else f"{datetime.fromtimestamp(at / 1000):%F %T}"


def verdict(found: Found) -> str:
    """One line: how much, and what to do next."""
    parts = [p for audit in found.audits.values() for p in audit.partitions]
    missing = sum(len(p.missing) for p in parts)
    wrong = sum(len(p.changed) + len(p.stray) for p in parts)
    waiting = sum(len(p.waiting) for p in parts)
    records = sum(len(p.log) for p in parts)
    later = f"; {waiting:,} were not collected yet" if waiting else ""
    if any(audit.unasked for audit in found.audits.values()):
        return "not every host could be asked, so what is missing is not known"
    if found.good:
        return f"whole: {records:,} records of the log are in the sinks{later}"
    if missing:
        return f"{missing:,} records are missing{later}; next: fab refill"
    if found.unlogged:
        lost = len(found.unlogged)
        return f"{lost:,} acknowledged records are not in the log: keep every disk and the ledger"
    if wrong:
        return f"{wrong:,} records of the sinks are not as in the log{later}"
    return "not everything could be asked: see above"
