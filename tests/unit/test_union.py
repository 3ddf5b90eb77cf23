"""The union of hosts' tallies against a ledger: each kind of loss and doubling is seen."""

import json
from pathlib import Path
from typing import Any

import pytest

from standfast.ledger import Ledger
from standfast.ranges import Ranges
from standfast.sqlitesink import SqliteSink
from standfast.tally import canary, tally
from standfast.union import Verdict, judge, union
from tests.unit.test_sinks import record


def ledger(last: int, runs: int = 1, once: int | None = None) -> Ledger:
    acknowledged = Ranges([(1, last)])
    early = acknowledged if once is None else Ranges([(1, once)])
    return Ledger("feed-1", "trades", "generator", runs, acknowledged, early)


def host(path: Path, records: list[Any], dead: list[Any] = ()) -> dict[str, Any]:  # type: ignore[assignment]
    sink = SqliteSink(path, "collector", path.stem)
    sink.write(records)
    if dead:
        sink.dead(dead)
    sink.close()
    reader = SqliteSink(path, "collector", path.stem, create=False)
    found = json.loads(json.dumps(tally(reader)))
    reader.close()
    return found


def verdict(tmp_path: Path, hosts: list[list[Any]], against: Ledger, dead: Any = ()) -> Verdict:
    found = [host(tmp_path / f"h{n}.db", records, dead) for n, records in enumerate(hosts)]
    return judge(union(found), against)


def sent(*pairs: tuple[int, int], partition: int = 0) -> list[Any]:
    return [
        record(offset, b"%d" % sequence, sequence, partition=partition)
        for offset, sequence in pairs
    ]


def test_all_stored_once_is_good(tmp_path: Path) -> None:
    found = verdict(tmp_path, [sent((0, 1), (1, 3)), sent((0, 2), partition=1)], ledger(3))
    assert (found.acknowledged, found.stored, found.held_by_two) == (3, 3, 0)
    assert found.good


def test_a_record_that_is_missing_is_named(tmp_path: Path) -> None:
    found = verdict(tmp_path, [sent((0, 1), (1, 3))], ledger(4))
    assert (found.stored, found.missing.text()) == (2, "2, 4")
    assert not found.good


def test_what_two_hosts_hold_counts_once_and_is_shown_apart(tmp_path: Path) -> None:
    found = verdict(tmp_path, [sent((0, 1), (1, 2)), sent((1, 2), (2, 3))], ledger(3))
    assert (found.stored, found.held_by_two, found.twice) == (3, 1, 0)
    assert found.good


def test_a_copy_at_another_offset_is_twice_where_the_feed_had_no_cause(tmp_path: Path) -> None:
    within = verdict(tmp_path, [sent((0, 1), (1, 2), (2, 2))], ledger(2))
    assert (within.twice, within.good) == (1, False)
    across = verdict(tmp_path, [sent((0, 1), (1, 2)), sent((0, 2), partition=1)], ledger(2))
    assert across.twice >= 1 and not across.good


def test_a_copy_is_no_fault_where_the_feed_resumed_and_had_not_heard(tmp_path: Path) -> None:
    found = verdict(tmp_path, [sent((0, 1), (1, 2), (2, 2))], ledger(2, runs=2, once=1))
    assert (found.twice, found.repeats, found.good) == (0, 1, True)


def test_the_same_across_two_hosts(tmp_path: Path) -> None:
    hosts = [sent((0, 1), (1, 2)), sent((0, 2), partition=1)]
    assert verdict(tmp_path, hosts, ledger(2, runs=2, once=1)).good


def test_a_copy_of_what_was_acknowledged_before_the_feed_resumed_is_twice(tmp_path: Path) -> None:
    found = verdict(tmp_path, [sent((0, 1), (1, 1), (2, 2))], ledger(2, runs=2, once=1))
    assert (found.twice, found.good) == (1, False)


def test_a_dead_letter_is_not_missing(tmp_path: Path) -> None:
    bad = sent((1, 2))[0]
    found = verdict(tmp_path, [sent((0, 1), (2, 3))], ledger(3), dead=[(bad, "not JSON")])
    assert (found.stored, found.dead, found.missing) == (2, 1, Ranges())


def test_nothing_stored_is_all_missing() -> None:
    found = judge(union([]), ledger(1000))
    assert (found.stored, len(found.missing)) == (0, 1000)


def test_the_tally_has_ranges_by_place_and_by_feed(tmp_path: Path) -> None:
    conflict = sent((1, 2))[0]
    conflict.value, conflict.sha256 = b"changed", b"x" * 32
    found = host(tmp_path / "h.db", [*sent((0, 1), (1, 2), (5, 3), (6, 3)), record(7), conflict])
    (place,) = found["partitions"]
    assert place["offsets"] == [[0, 1], [5, 7]]
    assert place["conflicts"] == [[1, 1]]
    (feed,) = found["feeds"]
    assert (feed["records"], feed["repeats"], feed["conflicts"]) == (3, 1, 1)
    assert (feed["sequences"], feed["repeated_sequences"]) == ([[1, 3]], [[3, 3]])
    assert feed["places"] == [{"topic_id": "id-1", "partition": 0, "offsets": [[0, 1], [5, 5]]}]
    total = union([found])
    assert (total.records, total.conflicts, total.feeds["feed-1"].unmarked) == (5, 1, 0)


def test_a_canary_is_found_by_its_token(tmp_path: Path) -> None:
    sink = SqliteSink(tmp_path / "s.db", "collector", "kafka1", "canary")
    sink.write([record(4, b"2", topic="canary", key=b"token-1")])
    (found,) = canary(sink, "token-1")["canary"]
    assert (found["partition"], found["offset"], found["broker"], found["host"]) == (
        0, 4, 2, "kafka1",
    )  # fmt: skip
    assert canary(sink, "other")["canary"] == []


@pytest.mark.parametrize("count", [20_000])
def test_memory_of_a_tally_does_not_grow_with_the_records(tmp_path: Path, count: int) -> None:
    found = host(tmp_path / "h.db", [record(n, b"v", n + 1) for n in range(count)])
    assert len(json.dumps(found)) < 2_000
