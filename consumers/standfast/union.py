"""What several hosts' sinks hold together, and whether all that was acknowledged is there. Pure.

With SQLite each host keeps its own part, and after a takeover two hosts may hold the same
record: by its key (topic id, partition, offset) it counts once, and is shown apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from standfast.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from standfast.ledger import Ledger

Place = tuple[str, int]  # topic id, partition


@dataclass(slots=True)
class FeedTotal:
    """What all sinks together hold of one feed."""

    sequences: Ranges = field(default_factory=Ranges)  # stored, each once
    several: Ranges = field(default_factory=Ranges)  # sequences that two hosts hold as a first
    repeated: Ranges = field(default_factory=Ranges)  # sequences with a copy known as such
    dead: Ranges = field(default_factory=Ranges)  # sequences in the dead-letter topic
    places: dict[Place, Ranges] = field(default_factory=dict)  # offsets of the firsts
    repeats: int = 0
    clashes: int = 0

    @property
    def unmarked(self) -> int:
        """Copies at another offset that no host could know as such: each holds one of the two."""
        return sum(map(len, self.places.values())) - len(self.sequences)


@dataclass(slots=True)
class Total:
    """The union of tallies."""

    partitions: dict[Place, Ranges] = field(default_factory=dict)
    topics: dict[str, str] = field(default_factory=dict)  # topic id to name
    dead: dict[Place, Ranges] = field(default_factory=dict)
    feeds: dict[str, FeedTotal] = field(default_factory=dict)
    held_by_two: int = 0  # records that more than one host holds, by key
    conflicts: int = 0
    newest_stored_at: int | None = None

    @property
    def records(self) -> int:
        """Each record once."""
        return sum(map(len, self.partitions.values()))


def union(tallies: Iterable[Mapping[str, Any]]) -> Total:
    """Add up what `standfast tally` printed on each host (of one and the same consumer)."""
    total = Total()
    shared: dict[Place, Ranges] = {}
    for one in tallies:
        for p in one["partitions"]:
            place = p["topic_id"], p["partition"]
            total.topics[p["topic_id"]] = p["topic"]
            mine, theirs = _ranges(p["offsets"]), total.partitions.get(place, Ranges())
            shared[place] = shared.get(place, Ranges()) | (mine & theirs)
            total.partitions[place] = mine | theirs
            total.dead[place] = total.dead.get(place, Ranges()) | _ranges(p["dead_letters"])
            total.conflicts += len(_ranges(p["conflicts"]))
        for f in one["feeds"]:
            _add_feed(total.feeds.setdefault(f["feed"], FeedTotal()), f)
        newest = one["newest_stored_at"]
        if newest is not None:
            total.newest_stored_at = max(newest, total.newest_stored_at or newest)
    total.held_by_two = sum(map(len, shared.values()))
    return total


def _add_feed(feed: FeedTotal, part: Mapping[str, Any]) -> None:
    sequences = _ranges(part["sequences"])
    feed.several |= feed.sequences & sequences
    feed.sequences |= sequences
    feed.repeated |= _ranges(part["repeated_sequences"])
    feed.dead |= _ranges(part["dead_letter_sequences"])
    feed.repeats += part["repeats"]
    feed.clashes += part["clashes"]
    for p in part["places"]:
        place = p["topic_id"], p["partition"]
        feed.places[place] = feed.places.get(place, Ranges()) | _ranges(p["offsets"])


@dataclass(slots=True)
class Verdict:
    """A ledger held against the sinks. Counts are of sequence numbers."""

    acknowledged: int
    stored: int
    dead: int
    missing: Ranges  # acknowledged, and neither stored nor a dead letter
    twice: int  # stored under two offsets though the feed had no cause to send them again
    repeats: int  # sent again by a feed that resumed, and known as such
    held_by_two: int

    @property
    def good(self) -> bool:
        """Nothing missing, nothing twice."""
        return not self.missing and not self.twice


def judge(total: Total, ledger: Ledger) -> Verdict:
    """Whether all that the feed's ledger holds is in the sinks, once.

    A feed sends again only what it had no acknowledgement for, and its ledger says from where
    on. So a copy of a record that was acknowledged before that is one too many.
    """
    feed = total.feeds.get(ledger.feed, FeedTotal())
    acknowledged = ledger.acknowledged
    entitled = acknowledged - ledger.once
    known = len(feed.repeated - entitled)
    # Which of the unmarked are copies cannot be told where hosts also share records by key: of
    # those that may be, as many as the feed was entitled to send again are given the benefit.
    unknown = max(0, feed.unmarked - len(feed.several & entitled))
    return Verdict(
        acknowledged=len(acknowledged),
        stored=len(acknowledged & feed.sequences),
        dead=len(acknowledged & feed.dead - feed.sequences),
        missing=acknowledged - feed.sequences - feed.dead,
        twice=known + unknown,
        repeats=feed.repeats,
        held_by_two=total.held_by_two,
    )


def _ranges(pairs: Iterable[Iterable[int]]) -> Ranges:
    return Ranges((first, last) for first, last in pairs)
