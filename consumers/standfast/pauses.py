"""How long acknowledgements stood still, and how long single ones took. Memory is flat."""

from __future__ import annotations

import math
import time

STEP = 1.05  # the buckets of latencies grow by 5 %: that is how exact a percentile is


class Pauses:
    """Measures one feed as it runs. Times in seconds unless a name says ms."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._last: float | None = None
        self._by_partition: dict[int, float] = {}
        self._buckets: dict[int, int] = {}
        self._count = 0
        self.longest = 0.0
        self.longest_by_partition: dict[int, float] = {}
        self.slowest = 0.0

    def sent(self) -> None:
        """A record was sent. What connecting takes is in `slowest`, it is no pause."""
        if self._began is None:
            self._began = time.monotonic()

    def acknowledged(self, partition: int, latency_ms: float) -> None:
        """One record was acknowledged, `latency_ms` after it was sent."""
        now = time.monotonic()
        if self._last is not None and now - self._last > self.longest:
            self.longest = now - self._last
        self._last = now
        before = self._by_partition.get(partition)
        if before is not None and now - before > self.longest_by_partition.get(partition, 0.0):
            self.longest_by_partition[partition] = now - before
        self._by_partition[partition] = now
        self.slowest = max(self.slowest, latency_ms / 1000.0)
        bucket = math.ceil(math.log(max(latency_ms, 0.01), STEP))
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self._count += 1

    def end(self, outstanding: int) -> None:
        """The feed ended; a pause that lasts to the end, with records outstanding, counts."""
        since = self._last or self._began
        if outstanding and since is not None:
            self.longest = max(self.longest, time.monotonic() - since)

    def percentile(self, share: float) -> float:
        """The latency in ms that `share` (0 to 1) of the records stayed under, within 5 %."""
        wanted = share * self._count
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return float(STEP**bucket)
        return 0.0

    def summary(self) -> dict[str, object]:
        """For --json: seconds, and milliseconds where the name says so."""
        return {
            "longest_pause_s": round(self.longest, 3),
            "longest_pause_by_partition_s": {
                str(p): round(s, 3) for p, s in sorted(self.longest_by_partition.items())
            },
            "slowest_acknowledgement_s": round(self.slowest, 3),
            "latency_p50_ms": round(self.percentile(0.50), 1),
            "latency_p99_ms": round(self.percentile(0.99), 1),
        }
