"""The arithmetic of the disk: what must be kept against what fits, before a host is touched.

    a host's share = bytes a day x days kept x replication / hosts
    days kept      = the longest retention of any topic + one roll of a segment
    a disk's size >= a host's share / 0.8

Retention deletes whole segments, so a record may stay one roll (log.roll.ms) longer. A fifth of the
disk stays free: for what a broker that was away fetches anew before it deletes, for indexes,
ZooKeeper and the internal topics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cluster.sizes import show_size

USABLE = 0.8
# Half of what stays free: with less, what a replica fetches anew no longer fits.
LEAST_FREE = 0.1
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Demand:
    """What is to be kept: `bytes_per_day` of all topics together, one copy; days as they are."""

    bytes_per_day: int
    retention_days: float
    roll_days: float
    replication: int
    hosts: int

    @property
    def days(self) -> float:
        """How long a record may stay on the disk."""
        return self.retention_days + self.roll_days

    @property
    def per_day(self) -> float:
        """Bytes a day that arrive on each host."""
        return self.bytes_per_day * self.replication / self.hosts

    @property
    def needed(self) -> float:
        """The size in bytes that each host's disk must have at least."""
        return self.per_day * self.days / USABLE

    def held(self, disk: int) -> float:
        """How many days a disk of that size holds."""
        return disk * USABLE / self.per_day


def too_small(demand: Demand, disk: int) -> str | None:
    """Why a disk of `disk` bytes cannot hold `demand`, with the numbers; None where it can."""
    if demand.needed <= disk:
        return None
    return (
        f"{show_size(disk)} holds {demand.held(disk):.1f} days of"
        f" {show_size(demand.bytes_per_day)} a day x replication {demand.replication}"
        f" / {demand.hosts} hosts with a fifth left free, but {demand.retention_days:g} days are"
        f" kept and a segment goes up to {demand.roll_days:g} later;"
        f" needs at least {show_size(math.ceil(demand.needed))}"
    )


def days_left(free: float, bytes_per_day: float) -> float:
    """Days until `free` bytes are full at that rate; infinite where nothing comes in."""
    return math.inf if bytes_per_day <= 0 else max(0.0, free) / bytes_per_day
