"""Sets of whole numbers as sorted ranges: offsets, sequence numbers. Pure arithmetic.

A million consecutive numbers take 16 bytes; a million scattered ones 16 MB.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK = 65_536  # numbers that are sorted at a time: what bounds the memory of Gather


class Ranges:
    """An immutable set of integers. Ranges are closed: [3, 5] holds 3, 4 and 5."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        """From (first, last) pairs in any order; those that overlap or touch are joined.

        Raises ValueError where a first is greater than its last.
        """
        self._firsts = array("q")
        self._lasts = array("q")
        ordered = list(pairs)
        if any(first > last for first, last in ordered):
            raise ValueError("a range's first number is greater than its last")
        for first, last in sorted(ordered):
            self._append(first, last)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Ranges:
        """From single numbers in any order, repeated ones too; memory stays flat."""
        gather = Gather()
        for number in numbers:
            gather.add(number)
        return gather.ranges()

    @classmethod
    def of_sorted(cls, numbers: Iterable[int]) -> Ranges:
        """From single numbers in ascending order, as an ordered query streams them."""
        result = cls()
        for number in numbers:
            result._append(number, number)
        return result

    def add_next(self, number: int) -> None:
        """Append a number not below any before it: for building while streaming, then no more."""
        self._append(number, number)

    def _append(self, first: int, last: int) -> None:
        if self._lasts and first <= self._lasts[-1] + 1:
            if first < self._firsts[-1]:
                raise ValueError(f"{first} comes after {self._firsts[-1]}: not in ascending order")
            self._lasts[-1] = max(self._lasts[-1], last)
        else:
            self._firsts.append(first)
            self._lasts.append(last)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]

    def __len__(self) -> int:
        """How many numbers there are (not how many ranges)."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranges):
            return NotImplemented
        return self._firsts == other._firsts and self._lasts == other._lasts

    def __hash__(self) -> int:
        return hash((self._firsts.tobytes(), self._lasts.tobytes()))

    def __or__(self, other: Ranges) -> Ranges:
        """In either."""
        result = Ranges()
        left, right = iter(self), iter(other)
        a, b = next(left, None), next(right, None)
        while a or b:
            if b is None or (a is not None and a <= b):
                assert a is not None
                result._append(*a)
                a = next(left, None)
            else:
                result._append(*b)
                b = next(right, None)
        return result

    def __and__(self, other: Ranges) -> Ranges:
        """In both."""
        result = Ranges()
        left, right = iter(self), iter(other)
        a, b = next(left, None), next(right, None)
        while a and b:
            first, last = max(a[0], b[0]), min(a[1], b[1])
            if first <= last:
                result._append(first, last)
            if a[1] < b[1]:
                a = next(left, None)
            else:
                b = next(right, None)
        return result

    def __sub__(self, other: Ranges) -> Ranges:
        """In the first and not in the second."""
        result = Ranges()
        right = iter(other)
        hole = next(right, None)
        for first, last in self:
            start = first
            while hole and hole[1] < start:
                hole = next(right, None)
            while hole and hole[0] <= last:
                if hole[0] > start:
                    result._append(start, hole[0] - 1)
                start = hole[1] + 1
                if hole[1] > last:
                    break  # this hole reaches into the next range
                hole = next(right, None)
            if start <= last:
                result._append(start, last)
        return result

    def first(self) -> int | None:
        """The smallest number, None of an empty set."""
        return self._firsts[0] if self._firsts else None

    def last(self) -> int | None:
        """The greatest number, None of an empty set."""
        return self._lasts[-1] if self._lasts else None

    def pairs(self) -> list[list[int]]:
        """As JSON takes it: [[first, last], …]."""
        return [[first, last] for first, last in self]

    def text(self, limit: int = 20) -> str:
        """For people: "1-4, 7, 9-12", and how many more where there are over `limit` ranges."""
        shown = [str(a) if a == b else f"{a}-{b}" for a, b in islice(self, limit)]
        more = len(self._firsts) - len(shown)
        return ", ".join(shown) + (f" and {more} more ranges" if more else "")

    def __repr__(self) -> str:
        return f"Ranges({self.text()})"


class Gather:
    """Builds Ranges from single numbers in any order, some thousands at a time."""

    def __init__(self) -> None:
        self._chunk: list[int] = []
        self._ranges = Ranges()

    def add(self, number: int) -> None:
        """Take one number, which may have been there before."""
        self._chunk.append(number)
        if len(self._chunk) >= CHUNK:
            self.ranges()

    def ranges(self) -> Ranges:
        """All that was added so far."""
        if self._chunk:
            self._chunk.sort()
            self._ranges = self._ranges | Ranges.of_sorted(self._chunk)
            self._chunk.clear()
        return self._ranges
