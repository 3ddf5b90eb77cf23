"""The judgement over a stream is honest: each way of being wrong is seen and said."""

from dataclasses import replace
from typing import Any

import pytest

from drills.result import Result, in_sink
from drills.wait import NotYet, Overdue, wait_until
from standfast.ledger import Ledger
from standfast.ranges import Ranges

FEED = "drill-1"


def ledger(*pairs: tuple[int, int]) -> Ledger:
    whole = Ranges(pairs)
    return Ledger(FEED, "trades", "generator seed=1", 1, whole, whole)


def tally(
    sequences: list[list[int]],
    offsets: list[list[int]] | None = None,
    *,
    again: list[list[int]] = [],  # noqa: B006 never changed
    conflicts: int = 0,
    feed: str = FEED,
) -> dict[str, Any]:
    """What `standfast tally` prints of a sink with one partition of one feed."""
    offsets = sequences if offsets is None else offsets
    place = {"topic_id": "A", "partition": 0}
    return {
        "kind": "sqlite",
        "newest_stored_at": 1,
        "partitions": [
            {**place, "topic": "trades", "offsets": offsets, "dead_letters": [], "conflicts": []}
        ],
        "feeds": [
            {
                "feed": feed,
                "sequences": sequences,
                "repeats": sum(b - a + 1 for a, b in again),
                "clashes": 0,
                "repeated_sequences": again,
                "conflicts": conflicts,
                "dead_letter_sequences": [],
                "places": [{**place, "offsets": offsets}],
            }
        ],
    }


def result(*tallies: dict[str, Any], acknowledged: tuple[int, int] = (1, 100)) -> Result:
    book = ledger(acknowledged)
    sinks = {"collector": in_sink("collector", tallies, book)}
    count = len(book.acknowledged)
    return Result(FEED, count, count, sinks, {}, [], 0.0, 0.0)


def test_all_there_once_is_good():
    assert result(tally([[1, 100]])).problems() == []


def test_the_union_of_two_hosts_counts_what_both_hold_once():
    found = result(tally([[1, 60]]), tally([[50, 100]]))
    assert found.good
    assert found.sinks["collector"].shared == 11
    assert found.stored == 100


def test_a_record_that_is_nowhere_is_missing_and_named():
    found = result(tally([[1, 41], [43, 60]]), tally([[61, 100]]))
    assert found.problems() == ["collector: 1 missing: sequences 42"]
    assert (found.missing, found.stored) == (1, 99)


def test_a_record_stored_under_two_offsets_is_twice():
    assert result(tally([[1, 100]], again=[[7, 7]])).problems() == ["collector: 1 twice"]


def test_a_copy_that_no_host_could_know_as_such_is_twice():
    found = result(tally([[1, 100]]), tally([[7, 7]], offsets=[[500, 500]]))
    assert found.problems() == ["collector: 1 twice"]


def test_another_content_under_the_same_key_is_said():
    found = result(tally([[1, 100]], conflicts=2))
    assert found.problems() == ["collector: 2 with another content under the same key"]


def test_another_feeds_records_do_not_stand_in_for_missing_ones():
    found = result(tally([[1, 100]], feed="drill-2"))
    assert found.missing == 100


def test_a_host_that_could_not_be_asked_is_never_good():
    found = replace(result(tally([[1, 100]])), unasked={"kafka2": "no answer"})
    assert found.problems() == ["kafka2 could not be asked what it holds: no answer"]


def test_what_was_not_acknowledged_is_said():
    found = replace(result(tally([[1, 100]])), sent=103)
    assert found.problems() == ["3 of 103 were not acknowledged"]


def test_a_stream_of_nothing_proves_nothing():
    empty = in_sink("collector", [], ledger())
    found = Result(FEED, 0, 0, {"collector": empty}, {}, [], 0.0, 0.0)
    assert found.problems() == ["nothing was acknowledged"]


def test_what_one_of_two_sinks_lacks_is_missing():
    book = ledger((1, 10))
    sinks = {
        "collector": in_sink("collector", [tally([[1, 10]])], book),
        "archive": in_sink("archive", [tally([[1, 9]])], book),
    }
    found = Result(FEED, 10, 10, sinks, {}, [], 0.0, 0.0)
    assert (found.stored, found.missing, found.good) == (9, 1, False)


def test_a_wait_ends_with_what_was_waited_for_and_what_was_seen():
    def look() -> bool:
        raise NotYet("kafka2 is out of sync")

    with pytest.raises(Overdue, match=r"waited 0 s in vain for kafka2; last seen: kafka2 is out"):
        wait_until(look, 0, "kafka2")


def test_a_wait_returns_the_first_true_thing():
    answers = iter([0, None, "there"])
    assert wait_until(lambda: next(answers), 5, "it", every=0.001) == "there"
