"""The disk's arithmetic, and sizes as people write them."""

from __future__ import annotations

import math

import pytest

from cluster.disk import Demand, days_left, too_small
from cluster.sizes import parse_heap, parse_size, show_size

GB = 10**9


def test_a_disk_must_hold_the_days_kept_and_one_roll_with_a_fifth_left_free() -> None:
    demand = Demand(GB, retention_days=14, roll_days=1, replication=3, hosts=3)
    assert demand.needed == 15 * GB / 0.8
    assert too_small(demand, math.ceil(demand.needed)) is None
    assert too_small(demand, math.ceil(demand.needed) - 1) is not None


def test_more_hosts_than_copies_share_the_records() -> None:
    assert Demand(GB, 14, 1, replication=3, hosts=6).per_day == GB / 2


def test_days_left_follow_from_the_rate() -> None:
    assert days_left(10 * GB, 2 * GB) == 5
    assert days_left(-1, GB) == 0
    assert days_left(GB, 0) == math.inf


@pytest.mark.parametrize(
    ("text", "size"),
    [("20MB", 20_000_000), ("500 GiB", 500 * 2**30), ("1.5tb", 1_500_000_000_000), (1024, 1024)],
)
def test_sizes_are_read(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1 PiBB", "0", True, None, "1e9", "1.GB"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_size(text)


def test_heaps_are_powers_of_two() -> None:
    assert parse_heap("384M") == 384 * 2**20
    assert parse_heap("6g") == 6 * 2**30
    for text in ("384", "384MB", "0M", "1.5G", "M"):
        with pytest.raises(ValueError, match="must be a whole number of M or G"):
            parse_heap(text)


def test_sizes_are_shown_short() -> None:
    assert [show_size(size) for size in (999, 375e6, 2e9, 18.75e9, 3e15)] == [
        "999 B", "375 MB", "2 GB", "18.8 GB", "3 PB",
    ]  # fmt: skip
