"""An audit names exactly what is missing, changed or too much, and calls nothing good unseen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from standfast import refill
from standfast.audit import Span, Topic, _partition, highest, merge
from standfast.audited import Audit, Partition, together
from standfast.collectconfig import Config, SinkConfig
from standfast.errors import UserError
from standfast.ranges import Ranges
from standfast.records import Record
from standfast.sqlitesink import SqliteSink
from tasks import audit as task
from tasks.auditview import sentences, verdict
from tasks.refill import PAIRS, PART, parts, say_gone
from tests.unit.verify_base import lab

NOTHING: dict[str, Any] = {
    "topic": "trades", "partition": 0, "topic_id": "id", "first": 0, "start": 0, "end": 10,
    "committed": 10, "log": [[0, 9]], "stored": [], "changed": [], "stray": [], "dead": [],
    "complaint": "",
}  # fmt: skip


def answer(**more: Any) -> dict[str, Any]:
    return {"partitions": [{**NOTHING, **more}]}


def only(*answers: dict[str, Any], unasked: dict[str, str] | None = None) -> Partition:
    (part,) = together(answers, unasked or {}).partitions
    return part


def log(*offsets: int) -> Iterator[tuple[int, Callable[[], bytes]]]:
    return ((offset, lambda offset=offset: b"%d" % offset) for offset in offsets)  # type: ignore[misc]


def rows(*offsets: int) -> list[tuple[int, bytes]]:
    return [(offset, b"%d" % offset) for offset in offsets]


def test_each_record_is_held_against_its_own_row() -> None:
    part = merge(log(1, 2, 3, 7, 8), [*rows(1, 2), (7, b"other"), *rows(8, 9)])
    assert part.log == Ranges.of([1, 2, 3, 7, 8])
    assert part.stored == Ranges.of([1, 2, 8])
    assert part.changed == Ranges.of([7])
    assert part.stray == Ranges.of([9])


def test_a_row_where_the_log_has_a_gap_is_stray() -> None:
    assert merge(log(1, 5), rows(0, 1, 3, 5)).stray == Ranges.of([0, 3])


def test_a_record_is_hashed_only_where_the_sink_has_it() -> None:
    def never() -> bytes:
        raise AssertionError("hashed for nothing")

    assert merge([(1, never)], rows()).log == Ranges.of([1])


def test_what_one_host_lacks_another_may_hold() -> None:
    part = only(answer(stored=[[0, 4]]), answer(stored=[[4, 9]]))
    assert part.good
    assert part.several == Ranges.of([4])


def test_a_hole_is_named_and_dead_letters_are_none() -> None:
    part = only(answer(stored=[[0, 2]], dead=[[3, 3]]), answer(stored=[[6, 9]]))
    assert part.missing == Ranges.of([4, 5])
    assert not part.good


def test_gaps_of_the_log_are_not_missing() -> None:
    """Control records, and what compaction took away."""
    assert only(answer(log=[[0, 3], [5, 8]], stored=[[0, 3], [5, 8]])).good


def test_what_the_group_has_not_committed_yet_waits() -> None:
    part = only(answer(stored=[[0, 6]], committed=7))
    assert (part.missing, part.waiting) == (Ranges(), Ranges.of([7, 8, 9]))
    assert part.good


def test_a_group_that_never_committed_misses_nothing_and_everything_waits() -> None:
    part = only(answer(committed=0))
    assert (part.missing, len(part.waiting)) == (Ranges(), 10)


@pytest.mark.parametrize("what", ["changed", "stray"])
def test_what_is_not_as_in_the_log_is_not_good(what: str) -> None:
    part = only(answer(stored=[[0, 9]], **{what: [[3, 3]]}))
    assert getattr(part, what) == Ranges.of([3])
    assert not part.good


def test_only_what_all_hosts_saw_is_judged() -> None:
    """One looked a moment later: what came meanwhile is nobody's hole."""
    late = answer(log=[[0, 12]], end=13, committed=13, stored=[[5, 12]])
    assert only(answer(stored=[[0, 4]]), late).good


def test_what_could_not_be_read_or_asked_is_never_good() -> None:
    assert not only(answer(stored=[[0, 9]], complaint="offset 3: bad")).good
    assert not together([answer(stored=[[0, 9]])], {"kafka2": "dead"}).good
    assert not Audit(()).good


# --- what is older than the log ---


@pytest.mark.parametrize("held", [[99], [49, 99], [None, 99, 3], [104], [None], [None, None]])
def test_what_retention_deleted_of_what_a_sink_has_is_not_gone(held: list[int | None]) -> None:
    part = only(*(old(highest=one) for one in held))
    assert (part.gone, part.good) == (Ranges(), True)


def test_what_the_log_deleted_and_no_sink_has_is_gone() -> None:
    part = only(old(highest=49), old(highest=None), old(highest=60))
    assert part.gone == Ranges([(61, 99)])
    assert not part.good
    assert part.missing == Ranges()


def test_what_retention_deletes_between_two_looks_is_not_gone() -> None:
    """Another host holds what is below its own log's first record, and was asked later."""
    later = old(highest=150, first=200, start=200)
    assert only(old(highest=99), later).gone == Ranges()
    assert only(old(highest=49), old(highest=42, first=200, start=200)).gone == Ranges([(50, 99)])


def test_a_host_with_an_older_version_says_nothing_of_it() -> None:
    assert only(answer(first=5, start=5, log=[[5, 9]], stored=[[5, 9]])).good


def old(**more: Any) -> dict[str, Any]:
    """Of a log that begins at 100, and is all in the sink."""
    whole: dict[str, Any] = {"log": [[100, 104]], "stored": [[100, 104]]}
    return answer(**{"first": 100, "start": 100, "end": 105, "committed": 105, **whole, **more})


def test_the_highest_offset_below_the_log_is_a_records_or_a_dead_letters(tmp_path: Path) -> None:
    sink = SqliteSink(tmp_path / "sink.db", "collector", "kafka1")
    try:
        sink.write([stored(offset) for offset in (3, 7, 100)])
        sink.write([stored(50, partition=1), stored(60, topic_id="of a topic made anew")])
        assert highest(sink, "id", 0, 100) == 7
        assert highest(sink, "id", 0, 7) == 3
        assert highest(sink, "id", 0, 3) is None
        assert highest(sink, "id", 2, 100) is None
        sink.dead([(stored(9), "bad"), (stored(200), "bad")])
        assert highest(sink, "id", 0, 100) == 9
    finally:
        sink.close()


@pytest.mark.parametrize(
    ("compacted", "start", "expected"),
    [
        pytest.param(False, 100, 49, id="from where the log begins"),
        pytest.param(False, 101, None, id="from later on: what is older was not asked for"),
        pytest.param(True, 100, None, id="compacted: nobody knows what there was"),
    ],
)
def test_a_host_says_what_its_sink_has_below_the_log(
    compacted: bool, start: int, expected: int | None, tmp_path: Path
) -> None:
    reader: Any = SimpleNamespace(get_watermark_offsets=lambda place, timeout: (100, start))
    sink = SqliteSink(tmp_path / "sink.db", "collector", "kafka1")
    try:
        sink.write([stored(49)])
        topic, span = Topic("trades", "id", compacted, False), Span(100, start, start, start)
        assert _partition(reader, sink, topic, 0, span)["highest"] == expected
    finally:
        sink.close()


def stored(offset: int, partition: int = 0, topic_id: str = "id") -> Record:
    place = (topic_id, "trades", partition, offset)
    return Record(*place, b"k", b"v", [], 1, None, None, None, b"sha")


def test_what_is_gone_is_shown_with_its_offsets_and_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rich.console import Console

    found = task.Found(lab(), {"collector": together([old(highest=49)], {})})
    (part,) = found.audits["collector"].partitions
    assert sentences(part) == ["trades/0: older than the log, and in no sink: offsets 50-99"]
    assert verdict(found).startswith("50 records are older than the log and in no sink")
    shown = task.as_object(found)["collectors"]["collector"]["partitions"][0]
    assert shown["gone"] == [[50, 99]]
    assert say_gone(Console(), found) == 50
    said = "50 can no longer be had: the log deleted them before any sink had them"
    assert said in capsys.readouterr().out


def test_a_missing_record_is_what_to_act_on_first() -> None:
    part = old(highest=49, stored=[[100, 103]])
    found = task.Found(lab(), {"collector": together([part], {})})
    assert verdict(found) == "1 records are missing; next: fab refill"


# --- times ---


@pytest.mark.parametrize("text", ["yesterday", "2h30", "2026-13-01", "h", "99999999999d"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="should be a time"):
        task.moment(text)


def test_a_time_is_a_moment_or_so_long_ago() -> None:
    assert task.moment("") is None
    day, hour = task.moment("1d"), task.moment("24h")
    assert day is not None and hour is not None
    assert abs(day - hour) < 2000
    assert task.moment("2026-11-24T02:00+00:00") == 1_795_485_600_000


# --- refill ---


def config(tmp_path: Path) -> Config:
    return Config(
        "collector", "collector", "kafka1", ["trades"], "dead", None, ["127.0.0.1:1"], tmp_path,
        {}, {}, SinkConfig("sqlite", tmp_path / "sink.db"),
    )  # fmt: skip


def test_the_offsets_are_read(tmp_path: Path) -> None:
    found = refill.read(json.dumps({"trades": {"0": [[1, 2], [5, 5]]}}), config(tmp_path))
    assert found == {"trades": {0: Ranges([(1, 2), (5, 5)])}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no list of offsets"),
        ('{"trades": {"0": [[5, 1]]}}', "no list of offsets"),
        ('{"trades": [1]}', "no list of offsets"),
        ('{"others": {"0": [[1, 5]]}}', "does not read it; it reads trades"),
    ],
)
def test_offsets_that_are_none_are_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        refill.read(text, config(tmp_path))


def test_ranges_that_lie_near_each_other_are_read_in_one_go() -> None:
    near = Ranges([(1, 5), (100, 110), (500_000, 500_001)])
    assert refill.stretches(near) == [(1, 110), (500_000, 500_001)]


def test_what_is_missing_comes_in_parts_that_hold_all_of_it_once() -> None:
    holes = Ranges([(0, 3 * PART), *((10**7 + 2 * n, 10**7 + 2 * n) for n in range(2 * PAIRS))])
    part = only(answer(log=holes.pairs(), end=10**8, committed=10**8))
    found = [ranges for _, ranges in parts(Audit((part,)))]
    assert all(len(ranges) <= PART and len(ranges.pairs()) <= PAIRS for ranges in found)
    assert sum(map(len, found)) == len(holes)
    whole = Ranges()
    for ranges in found:
        whole |= ranges
    assert whole == holes
