"""What became of a stream: every acknowledged record looked for in every sink."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drills.history import Pause
from standfast.ledger import Ledger
from standfast.ranges import Ranges
from standfast.union import FeedTotal, Verdict, judge, union


@dataclass(frozen=True)
class Fault:
    """Something that befell the cluster; times in Unix ms, `until` when all was well again."""

    name: str
    at: int
    until: int
    acknowledged: Pause = field(default_factory=Pause)  # how long acknowledgements stood still
    slowest: float = 0.0  # the slowest acknowledgement of those under way (seconds)
    stored: Mapping[str, Pause] = field(default_factory=dict)  # how long each sink stood still


@dataclass(frozen=True)
class InSink:
    """One collector's sink held against the ledger."""

    collector: str
    kind: str  # sqlite: the union of the hosts' files; postgresql
    verdict: Verdict
    conflicts: int  # the same key with another content
    beyond: Ranges  # stored, and not in the ledger: sent, and not acknowledged
    shared: int  # records of this feed that two hosts hold after a takeover; each counts once

    @property
    def good(self) -> bool:
        """Everything acknowledged is there, once."""
        return self.verdict.good and not self.conflicts


@dataclass(frozen=True)
class Result:
    """The whole stream. Lengths of time in seconds."""

    feed: str
    sent: int
    acknowledged: int
    sinks: Mapping[str, InSink]
    unasked: Mapping[str, str]  # hosts whose part of a sink could not be read, and why
    faults: Sequence[Fault]
    longest: float
    slowest: float

    @property
    def missing(self) -> int:
        """Acknowledged records that some sink does not hold."""
        return max((len(s.verdict.missing) for s in self.sinks.values()), default=0)

    @property
    def twice(self) -> int:
        """Records that some sink holds twice."""
        return max((s.verdict.twice for s in self.sinks.values()), default=0)

    @property
    def stored(self) -> int:
        """Acknowledged records that every sink holds, dead letters among them."""
        return min((s.verdict.stored + s.verdict.dead for s in self.sinks.values()), default=0)

    @property
    def good(self) -> bool:
        """All that was sent was acknowledged, and every sink holds all of it, once."""
        return not self.problems()

    def problems(self) -> list[str]:
        """A sentence for each thing that is wrong."""
        found = [
            f"{host} could not be asked what it holds: {why}" for host, why in self.unasked.items()
        ]
        if not self.acknowledged:
            found.append("nothing was acknowledged")
        if self.sent != self.acknowledged:
            found.append(f"{self.sent - self.acknowledged} of {self.sent} were not acknowledged")
        if not self.sinks:
            found.append("no collector keeps this topic")
        for name, sink in self.sinks.items():
            verdict = sink.verdict
            if verdict.missing:
                numbers = verdict.missing.text()
                found.append(f"{name}: {len(verdict.missing)} missing: sequences {numbers}")
            if verdict.twice:
                found.append(f"{name}: {verdict.twice} twice")
            if sink.conflicts:
                found.append(f"{name}: {sink.conflicts} with another content under the same key")
        return found


def in_sink(collector: str, tallies: Iterable[Mapping[str, Any]], ledger: Ledger) -> InSink:
    """What the tallies of one collector say together of the feed that wrote `ledger`."""
    tallies = list(tallies)
    total = union(tallies)
    mine = total.feeds.get(ledger.feed, FeedTotal())
    conflicts = sum(
        part["conflicts"]
        for tally in tallies
        for part in tally["feeds"]
        if part["feed"] == ledger.feed
    )
    return InSink(
        collector,
        tallies[0]["kind"] if tallies else "nowhere",
        judge(total, ledger),
        conflicts,
        mine.sequences - ledger.acknowledged,
        len(mine.several),
    )
