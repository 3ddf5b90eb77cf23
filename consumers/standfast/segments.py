"""Kafka's log on the disk: the batches of a segment, and whether they are whole.

Read as Kafka 3.9 writes them (record batch, magic 2). A batch's checksum covers its records, and
not its base offset, its length and its leader's epoch: those are held against their neighbours.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Base offset, length of the rest, leader's epoch, magic, CRC-32C, attributes, last offset's delta.
HEADER = struct.Struct(">qiibIhi")
LEAST = 61  # bytes of a batch without records
LENGTH_AT = 12  # what the length counts begins here
CHECKED_FROM = 21  # what the checksum covers begins here
MAGIC, MAGIC_AT = 2, 16
ZEROS = 64  # so many zeros at the end of a batch were never written


class Damaged(Exception):
    """A segment is not what Kafka wrote: `position` (bytes) of the first batch that is bad."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__(why)
        self.position = position


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch: its first and last offset, its leader's epoch, its checksum, where it lies."""

    base: int
    last: int
    epoch: int
    crc: int
    position: int
    size: int


def segments(partition: Path) -> list[Path]:
    """A partition's segments, in the order of their offsets."""
    return sorted(path for path in partition.glob("*.log") if path.stem.isdigit())


def batches(path: Path, check: bool = True, position: int = 0) -> Iterator[Batch]:
    """The batches of a segment, from `position` on; without `check` their checksums are not read.

    Ends at the torn end that a power cut leaves (the last batch is shorter than it says, or what
    was never written reads as zeros): Kafka mends that itself. Raises Damaged for anything else,
    and OSError where it cannot be read.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        if size == 0:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from _batches(data, size, int(path.stem), check, position)


def _batches(data: mmap.mmap, end: int, first: int, check: bool, position: int) -> Iterator[Batch]:
    least, epoch = first, -1
    while position < end:
        left = end - position
        if left < LEAST:
            return
        base, length, leader, magic, crc, _, delta = HEADER.unpack_from(data, position)
        size = length + LENGTH_AT
        if not (base or length or crc) and _blank(data, position, end):
            return
        if magic != MAGIC or size < LEAST or base < least or delta < 0 or leader < epoch:
            raise Damaged(position, f"the batch at byte {position} makes no sense")
        if size > left:
            if _goes_on(data, position, end, base):
                raise Damaged(position, f"the batch at byte {position} has a length that is wrong")
            return
        after = position + size
        if check and _checksum(data, position, after) != crc:
            if after == end and not any(data[max(position, after - ZEROS) : after]):
                return
            raise Damaged(position, f"the batch at byte {position} fails its checksum")
        yield Batch(base, base + delta, leader, crc, position, size)
        least, epoch, position = base + delta + 1, leader, after


def _checksum(data: mmap.mmap, begin: int, end: int) -> int:
    import google_crc32c

    return int(google_crc32c.value(data[begin + CHECKED_FROM : end]))


def _blank(data: mmap.mmap, begin: int, end: int, step: int = 1 << 20) -> bool:
    return not any(any(data[at : min(at + step, end)]) for at in range(begin, end, step))


def _goes_on(data: mmap.mmap, position: int, end: int, base: int) -> bool:
    """Whether a whole batch of a later offset lies somewhere behind: then this is no torn end."""
    at = data.find(bytes([MAGIC]), position + LEAST + MAGIC_AT)
    while at >= 0:
        begin = at - MAGIC_AT
        if end - begin < LEAST:
            return False
        later, length, _, _, crc, _, _ = HEADER.unpack_from(data, begin)
        after = begin + length + LENGTH_AT
        plausible = base < later < base + (1 << 32) and begin + LEAST <= after <= end
        if plausible and _checksum(data, begin, after) == crc:
            return True
        at = data.find(bytes([MAGIC]), at + 1)
    return False


def end_of(path: Path) -> int:
    """The offset after the last batch of a closed segment, found by way of its index: cheaply."""
    position, first = 0, int(path.stem)
    index = path.with_suffix(".index")
    if index.exists():
        with index.open("rb") as file:
            content = file.read()
        for at in range(len(content) - len(content) % 8 - 8, -1, -8):
            _, there = struct.unpack_from(">ii", content, at)
            if 0 < there < path.stat().st_size:
                position = there
                break
    last = first - 1
    try:
        for batch in batches(path, check=False, position=position):
            last = batch.last
    except Damaged:
        if position:  # the index is bad as well, perhaps: read all of it
            for batch in batches(path, check=False):
                last = batch.last
        else:
            raise
    return last + 1


def checkpoint(path: Path) -> dict[str, int]:
    """One of Kafka's checkpoint files: an offset by partition ("trades-0"); none where it is
    missing or torn (Kafka writes them anew).
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[2:]
        return {f"{t}-{n}": int(offset) for t, n, offset in (line.split() for line in lines)}
    except (OSError, ValueError):
        return {}
