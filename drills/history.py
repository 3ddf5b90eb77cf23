"""What a ledger or a sink says over time: how long it stood still, and when. Pure.

Times are Unix milliseconds, lengths of time seconds.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standfast.ledger import Acknowledgement


@dataclass(frozen=True)
class Pause:
    """How long something stood still around a fault: as a whole, and in its worst partition."""

    longest: float = 0.0
    by_partition: Mapping[int, float] = field(default_factory=dict)

    @property
    def worst(self) -> float:
        """The longest of a single partition, which the whole hides."""
        return max(self.by_partition.values(), default=self.longest)


def longest_gap(times: Sequence[int], begin: int, end: int) -> float:
    """The longest gap, in seconds, of those that overlap `begin` to `end`.

    `times` ascend. After the last one the gap lasts until `end`: what never came back counts.
    """
    first = max(0, bisect_right(times, begin) - 1)
    last = bisect_left(times, end)
    seen = [*times[first : last + 1]]
    if not seen:
        return max(0, end - begin) / 1000
    if last >= len(times):
        seen.append(max(end, seen[-1]))
    return max((b - a for a, b in pairwise(seen)), default=0) / 1000


def pause(times: Mapping[int, Sequence[int]], begin: int, end: int) -> Pause:
    """The pauses between `begin` and `end` of what happened at `times`, ascending by partition."""
    near = (
        series[max(0, bisect_right(series, begin) - 1) : bisect_left(series, end) + 1]
        for series in times.values()
    )
    everything = sorted(at for series in near for at in series)
    by_partition = {p: longest_gap(series, begin, end) for p, series in sorted(times.items())}
    return Pause(longest_gap(everything, begin, end), by_partition)


class History:
    """The acknowledgements of a ledger, taken in as they are written."""

    def __init__(self) -> None:
        self.at: dict[int, array[int]] = {}
        self._offsets: dict[int, array[int]] = {}
        self._ended = array("q")
        self._latency = array("d")  # milliseconds
        self.runs: list[int] = []  # when the first acknowledgement of each run came
        self.longest = 0.0  # of the whole stream, within a run
        self._run = 0

    def __len__(self) -> int:
        return len(self._ended)

    @property
    def last(self) -> int | None:
        """When the last acknowledgement came."""
        return self._ended[-1] if self._ended else None

    @property
    def slowest(self) -> float:
        """What the slowest single acknowledgement took."""
        return max(self._latency, default=0.0) / 1000

    def add(self, line: Acknowledgement) -> None:
        """Take in the next line."""
        if line.run != self._run:
            self._run = line.run
            self.runs.append(line.at)
        elif self._ended:
            self.longest = max(self.longest, (line.at - self._ended[-1]) / 1000)
        # A clock that is set back for a moment must not break the order that is searched in.
        at = max(line.at, self.last or 0)
        self._ended.append(at)
        self._latency.append(line.latency)
        self.at.setdefault(line.partition, array("q")).append(at)
        offsets = self._offsets.setdefault(line.partition, array("q"))
        # Where the broker did not say the offset (-1), it is no lower than the one before.
        offsets.append(max(line.offset, offsets[-1] if offsets else 0))

    def pause(self, begin: int, end: int) -> Pause:
        """How long acknowledgements stood still between two times; ends of runs are no pause."""
        starts = [start for start in self.runs[1:] if begin < start < end]
        if starts:
            # Between two runs nobody sent: only what lies after the last start is the cluster's.
            begin = starts[-1]
        return pause(self.at, begin, end)

    def since(self, begin: int) -> Pause:
        """How long it took from `begin` to the first acknowledgement of each partition."""
        first = {
            p: (series[found] - begin) / 1000
            for p, series in sorted(self.at.items())
            if (found := bisect_right(series, begin)) < len(series)
        }
        return Pause(min(first.values(), default=0.0), first)

    def slowest_between(self, begin: int, end: int) -> float:
        """The slowest acknowledgement of those under way between two times."""
        first = bisect_left(self._ended, begin)
        return (
            max(
                (
                    latency
                    for at, latency in zip(self._ended[first:], self._latency[first:], strict=True)
                    if at - latency <= end
                ),
                default=0.0,
            )
            / 1000
        )

    def below(self, positions: Mapping[int, int]) -> int:
        """How many acknowledged records lie below a group's positions: they are in its sink."""
        return sum(
            bisect_left(offsets, positions.get(partition, 0))
            for partition, offsets in list(self._offsets.items())
        )

    def ends(self) -> dict[int, int]:
        """By partition, the position after the last acknowledged record."""
        return {partition: offsets[-1] + 1 for partition, offsets in self._offsets.items()}
