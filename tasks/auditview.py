"""The screen of `fab audit`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

import connect
from standfast.audited import Audit, Partition

if TYPE_CHECKING:
    from tasks.audit import Found

NAMED = 12  # ranges that are named one by one


def show(console: Console, found: Found) -> None:
    """A table for each collector, then what is wrong, each with its place; at last the verdict."""
    for name, audit in found.audits.items():
        console.print(_table(name, audit))
        for host, why in audit.unasked.items():
            console.print(Text(f"- {host} was not asked: {why}", "bold red"))
        for part in audit.partitions:
            for line in sentences(part):
                console.print(Text(f"- {line}", "yellow"))
    if found.ledger and not any(audit.unasked for audit in found.audits.values()):
        lost = len(found.unlogged)
        words = f"{found.ledger}: {found.acknowledged:,} acknowledged, {lost:,} not in the log"
        more = f": sequences {found.unlogged.text(NAMED)}" if lost else ""
        console.print(Text(words + more, "bold red" if lost else ""))
    console.print(Text(verdict(found), "bold green" if found.good else "bold red"))


def _table(name: str, audit: Audit) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(name, no_wrap=True)
    titles = ("in the log", "missing", "changed", "stray", "gone", "waiting", "dead letters")
    for title in titles:
        table.add_column(title, justify="right")
    for part in audit.partitions:
        bad = [len(part.missing), len(part.changed), len(part.stray), len(part.gone)]
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
        stored = clock(begin) if begin == end else f"{clock(begin)} to {clock(end)}"
        found.append(f"{place}: missing: {span}, stored in the log {stored}")
    more = len(part.missing.pairs()) - NAMED
    if more > 0:
        found.append(f"{place}: missing: {more} more ranges: fab audit --json")
    if part.changed:
        text = part.changed.text(NAMED)
        found.append(f"{place}: another content than in the log: offsets {text}")
    if part.stray:
        found.append(f"{place}: in a sink, and not in the log: offsets {part.stray.text(NAMED)}")
    if part.gone:
        found.append(
            f"{place}: older than the log, and in no sink: offsets {part.gone.text(NAMED)}"
        )
    return found


def clock(at: int | None) -> str:
    """A time (Unix ms) for people, by this machine's clock."""
    return "at an unknown time" if at is None else f"{datetime.fromtimestamp(at / 1000):%F %T}"


def verdict(found: Found) -> str:
    """One line: how much, and what to do next."""
    parts = [p for audit in found.audits.values() for p in audit.partitions]
    missing = sum(len(p.missing) for p in parts)
    wrong = sum(len(p.changed) + len(p.stray) for p in parts)
    gone = sum(len(p.gone) for p in parts)
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
    if gone:
        return f"{gone:,} records are older than the log and in no sink: they are lost{later}"
    if wrong:
        return f"{wrong:,} records of the sinks are not as in the log{later}"
    return "not everything could be asked: see above"


# --- when what is missing was stored ---


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
