"""What the hosts' audits of one collector say together: what is missing, and what is wrong. Pure.

With SQLite each host keeps its own part: what one lacks another may hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from standfast.ranges import Ranges


@dataclass(frozen=True)
class Partition:
    """Offsets of one partition. `missing`: in the log, below what the group has committed, and in
    no sink and no dead letter; `waiting`: the same above it; `changed`: a sink holds another
    content; `stray`: a sink holds what the log does not; `several`: two hosts hold it, as after a
    takeover. `first`: where the log begins; `gone`: what it deleted and no sink had, all above the
    highest offset that one holds. Where no sink holds anything so old, none is known.
    """

    topic: str
    number: int
    first: int
    log: Ranges
    missing: Ranges
    waiting: Ranges
    changed: Ranges
    stray: Ranges
    dead: Ranges
    several: Ranges
    complaint: str = ""
    gone: Ranges = field(default_factory=Ranges)

    @property
    def good(self) -> bool:
        """Each record of the log is in the sink, or a dead letter, as it is in the log; and so was
        what the log has deleted.
        """
        return not (self.missing or self.changed or self.stray or self.gone or self.complaint)


@dataclass(frozen=True)
class Audit:
    """All partitions; `unasked`: hosts that could not be asked, and why."""

    partitions: tuple[Partition, ...]
    unasked: Mapping[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Everything was asked, and all is there."""
        return bool(self.partitions) and not self.unasked and all(p.good for p in self.partitions)


def together(answers: Iterable[Mapping[str, Any]], unasked: Mapping[str, str]) -> Audit:
    """What `standfast audit` printed on each host, of one collector."""
    rows: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for answer in answers:
        for row in answer["partitions"]:
            rows.setdefault((row["topic"], row["partition"]), []).append(row)
    parts = tuple(_partition(topic, n, of) for (topic, n), of in sorted(rows.items()))
    return Audit(parts, dict(unasked))


def _partition(topic: str, number: int, rows: list[Mapping[str, Any]]) -> Partition:
    log = stored = changed = stray = dead = several = Ranges()
    for row in rows:
        mine = _ranges(row["stored"])
        several |= stored & mine
        stored |= mine
        log |= _ranges(row["log"])
        changed |= _ranges(row["changed"])
        stray |= _ranges(row["stray"])
        dead |= _ranges(row["dead"])
    # The hosts looked one after the other: what all saw is judged, later records are not.
    start, end = max(row["start"] for row in rows), min(row["end"] for row in rows)
    if start < end:
        seen = Ranges([(start, end - 1)])
        log = log & seen
    else:
        log = Ranges()
    lacking = log - stored - changed - dead
    committed = min(row["committed"] for row in rows)
    below = Ranges([(0, committed - 1)]) if committed else Ranges()
    return Partition(
        topic=topic,
        number=number,
        first=max(row["first"] for row in rows),
        log=log,
        missing=lacking & below,
        waiting=lacking - below,
        changed=changed,
        stray=stray,
        dead=dead,
        several=several,
        complaint="; ".join(sorted({row["complaint"] for row in rows if row["complaint"]})),
        gone=_gone(rows),
    )


def _gone(rows: list[Mapping[str, Any]]) -> Ranges:
    # Retention may have deleted more between the looks of two hosts: what was there at the first
    # one is judged above.
    first = min(row["first"] for row in rows)
    held = [row["highest"] for row in rows if row.get("highest") is not None]
    if not held or max(held) + 1 >= first:
        return Ranges()
    return Ranges([(max(held) + 1, first - 1)])


def _ranges(pairs: Iterable[Iterable[int]]) -> Ranges:
    return Ranges((first, last) for first, last in pairs)
