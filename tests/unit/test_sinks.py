"""What a sink promises, on a real SQLite file: once, whole batches, nothing ever dropped."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from standfast import schema
from standfast.errors import UserError
from standfast.records import Record, content_hash
from standfast.sinks import Refused, Unavailable, judge
from standfast.sqlitesink import SqliteSink


def record(offset: int, value: bytes = b"v", sequence: int | None = None, **more: object) -> Record:
    feed = None if sequence is None else "feed-1"
    made = Record("id-1", "trades", 0, offset, b"k", value, [], 1, None, feed, sequence, b"")
    made = replace(made, **more)  # type: ignore[arg-type]
    return replace(made, sha256=content_hash(made.key, made.value, made.headers))


@pytest.fixture
def sink(tmp_path: Path) -> SqliteSink:
    sink = SqliteSink(tmp_path / "sink.db", "collector", "kafka1", "canary")
    sink.open()
    return sink


def stored(sink: SqliteSink, table: str = "records") -> list[tuple[int, bytes]]:
    return list(sink.rows(f'SELECT "offset", value FROM {table} ORDER BY "offset", stored_at'))


def test_a_batch_is_stored_and_a_second_time_left_out(sink: SqliteSink) -> None:
    batch = [record(n, b"%d" % n, n) for n in range(100)]
    assert sink.write(batch).new == 100
    again = sink.write(batch)
    assert (again.new, again.seen, again.repeats) == (0, 100, 0)
    assert stored(sink) == [(n, b"%d" % n) for n in range(100)]


def test_the_same_offset_of_a_topic_made_anew_is_another_record(sink: SqliteSink) -> None:
    sink.write([record(0, b"old")])
    assert sink.write([record(0, b"new", topic_id="id-2")]).new == 1


def test_a_key_that_is_taken_by_another_content_is_kept_apart_and_reported(
    sink: SqliteSink,
) -> None:
    sink.write([record(0, b"first")])
    written = sink.write([record(0, b"second"), record(1)])
    assert (written.new, [r.value for r in written.conflicts]) == (1, [b"second"])
    assert stored(sink)[0] == (0, b"first")
    assert stored(sink, "conflicts") == [(0, b"second")]


def test_what_a_resumed_feed_sent_twice_is_stored_and_marked(sink: SqliteSink) -> None:
    sink.write([record(0, b"a", 1)])
    written = sink.write([record(1, b"a", 1), record(2, b"b", 2), record(3, b"b", 2)])
    assert (written.new, written.repeats) == (3, 2)
    assert stored(sink, "events") == [(0, b"a"), (2, b"b")]
    assert len(stored(sink)) == 4


def test_a_feeds_number_with_another_content_is_no_repeat_but_an_alarm(sink: SqliteSink) -> None:
    sink.write([record(0, b"a", 1)])
    written = sink.write([record(1, b"other", 1)])
    assert (written.repeats, [r.offset for r in written.clashes]) == (0, [1])
    assert stored(sink, "events") == [(0, b"a"), (1, b"other")]


def test_judging_knows_what_comes_twice_within_one_batch() -> None:
    judged = judge([record(0), record(0), record(0, b"x")], {}, {})
    assert ([r.offset for r, _ in judged.rows], judged.written.seen) == ([0], 1)
    assert len(judged.written.conflicts) == 1


def test_a_batch_that_fails_leaves_nothing_behind(sink: SqliteSink) -> None:
    assert sink._connection is not None
    sink._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000)
    with pytest.raises(Refused, match="too big"):
        sink.write([record(0), record(1, b"x" * 2000), record(2)])
    assert stored(sink) == []


def test_a_full_disk_is_waited_for_and_what_was_there_stays(sink: SqliteSink) -> None:
    sink.write([record(0)])
    assert sink._connection is not None
    sink._connection.execute("PRAGMA max_page_count = 20")
    with pytest.raises(Unavailable, match="full"):
        sink.write([record(n, b"x" * 4000) for n in range(1, 50)])
    assert sink.write([record(n, b"x" * 4000) for n in range(1, 50)]).new == 49  # there is room
    assert len(stored(sink)) == 50


def test_a_locked_sink_is_unavailable_and_the_attempt_is_bounded(sink: SqliteSink) -> None:
    other = sqlite3.connect(sink.name, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(Unavailable, match="locked"):
        sink.write([record(0)])
    assert time.monotonic() - began < 5
    other.close()
    assert sink.write([record(0)]).new == 1


def test_commits_are_flushed_to_the_disk(sink: SqliteSink) -> None:
    assert list(sink.rows("PRAGMA synchronous")) == [(2,)]  # FULL
    assert list(sink.rows("PRAGMA journal_mode")) == [("wal",)]


def test_another_schema_is_refused_and_not_touched(sink: SqliteSink, tmp_path: Path) -> None:
    sink.close()
    with sqlite3.connect(sink.name) as other:
        other.execute("UPDATE standfast_schema SET version = 99")
    other.close()
    with pytest.raises(UserError, match="its schema is version 99, this program's is 1"):
        sink.open()


def test_opening_twice_changes_nothing(sink: SqliteSink) -> None:
    sink.write([record(0)])
    sink.close()
    sink.open()
    assert list(sink.rows("SELECT version FROM standfast_schema")) == [(schema.VERSION,)]
    assert len(stored(sink)) == 1


def test_a_reader_makes_no_sink_and_writes_none(tmp_path: Path, sink: SqliteSink) -> None:
    with pytest.raises(UserError, match="there is no sink here"):
        SqliteSink(tmp_path / "none.db", "c", "h", create=False).open()
    assert not (tmp_path / "none.db").exists()
    reader = SqliteSink(Path(sink.name), "c", "h", create=False)
    with pytest.raises(Unavailable, match="readonly"):
        reader.dead([(record(0), "why")])


def test_a_reader_sees_one_moment_of_the_sink(sink: SqliteSink) -> None:
    sink.write([record(0)])
    reader = SqliteSink(Path(sink.name), "c", "h", create=False)
    assert len(stored(reader)) == 1
    sink.write([record(1)])
    assert len(stored(reader)) == 1


def test_canaries_have_a_table_of_their_own_and_are_pruned(sink: SqliteSink) -> None:
    canary = record(0, b"3", topic="canary", key=b"token-1")
    sink.write([canary, record(7)])
    sink.write([canary])
    assert list(sink.rows("SELECT token, partition, broker, consumer, host FROM canary")) == [
        ("token-1", 0, 3, "collector", "kafka1")
    ]
    assert [offset for offset, _ in stored(sink)] == [7]
    assert sink._connection is not None
    sink._connection.execute("UPDATE canary SET stored_at = 0")
    sink._pruned = -4000.0
    sink.write([replace(canary, offset=1, key=b"token-2")])
    assert list(sink.rows("SELECT token FROM canary")) == [("token-2",)]


def test_dead_letters_are_noted_once(sink: SqliteSink) -> None:
    assert sink.known_dead([record(0)]) == set()
    sink.dead([(record(0, sequence=5), "not\0JSON")])
    sink.dead([(record(0, sequence=5), "again")])
    assert sink.known_dead([record(0), record(1)]) == {("id-1", 0, 0)}
    assert list(sink.rows("SELECT reason, feed, sequence FROM dead_letters")) == [
        ("not?JSON", "feed-1", 5)
    ]


CHILD = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from test_sinks import record
from standfast.sqlitesink import SqliteSink
sink = SqliteSink(Path({path!r}), "c", "h")
for start in range(0, 10**9, 50):
    sink.write([record(n, b"x" * 500, n) for n in range(start, start + 50)])
    print(start + 50, flush=True)
"""


def test_a_kill_at_any_instant_leaves_whole_batches_and_all_that_was_promised(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sink.db"
    paths = [str(Path(__file__).parent), str(Path(schema.__file__).parents[1])]
    child = CHILD.format(paths=paths, path=str(path))
    for round_ in range(4):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.013 * round_)
        os.kill(process.pid, signal.SIGKILL)
        promised = [int(line) for line in process.stdout.read().split()]
        process.wait()
        reader = SqliteSink(path, "c", "h", create=False)
        held = [offset for offset, _ in stored(reader)]
        reader.close()
        assert len(held) >= max(promised, default=50)
        assert len(held) % 50 == 0 and held == list(range(len(held)))
