"""Range arithmetic against Python's own sets, on random numbers with a fixed seed."""

import itertools
import random

import pytest

from standfast.ranges import CHUNK, Gather, Ranges

DICE = random.Random(20240501)


def some_numbers() -> set[int]:
    spread = DICE.choice((8, 40, 400))
    return {DICE.randrange(spread) for _ in range(DICE.randrange(60))}


@pytest.mark.parametrize("_", range(300))
def test_operations_agree_with_sets(_: int) -> None:
    a, b = some_numbers(), some_numbers()
    left, right = Ranges.of(a), Ranges.of(b)
    assert left | right == Ranges.of(a | b)
    assert left & right == Ranges.of(a & b)
    assert left - right == Ranges.of(a - b)
    assert len(left) == len(a)
    assert bool(left) == bool(a)
    assert [n for n in range(-1, 401) if n in left] == sorted(a)
    assert [n for first, last in left for n in range(first, last + 1)] == sorted(a)
    assert (left.first(), left.last()) == ((min(a), max(a)) if a else (None, None))


@pytest.mark.parametrize("_", range(100))
def test_ranges_are_joined_where_they_touch(_: int) -> None:
    numbers = some_numbers()
    pairs = list(Ranges.of(numbers))
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(pairs))
    DICE.shuffle(pairs)
    assert Ranges(pairs) == Ranges.of(numbers)
    assert Ranges(tuple(p) for p in Ranges(pairs).pairs()) == Ranges.of(numbers)


def test_overlapping_pairs_are_joined() -> None:
    assert list(Ranges([(5, 9), (1, 2), (3, 4), (7, 12)])) == [(1, 12)]


def test_gather_takes_more_numbers_than_it_sorts_at_a_time() -> None:
    gather = Gather()
    for number in range(2 * CHUNK, -1, -1):
        gather.add(number)
        gather.add(number)
    assert list(gather.ranges()) == [(0, 2 * CHUNK)]


def test_a_reversed_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than its last"):
        Ranges([(2, 1)])


def test_streamed_numbers_must_ascend() -> None:
    with pytest.raises(ValueError, match="not in ascending order"):
        Ranges.of_sorted([1, 5, 3])


def test_text_is_short_and_says_how_much_it_leaves_out() -> None:
    assert Ranges([(1, 4), (7, 7)]).text() == "1-4, 7"
    assert Ranges((n, n) for n in range(0, 60, 2)).text(2) == "0, 2 and 28 more ranges"
