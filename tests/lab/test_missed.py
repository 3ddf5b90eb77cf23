"""What a sink lost is named exactly, and brought back exactly; what the log has can be replayed."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import connect
from cluster.model import Cluster, PostgresqlSink
from drills.stream import Stream
from drills.wait import wait_until
from standfast.feed import FEED_HEADER, SEQUENCE_HEADER
from standfast.ledger import read_ledger
from standfast.ranges import Gather, Ranges

pytestmark = pytest.mark.usefixtures("deployed")
HOLE = 40  # records
# Of a host's file: takes rows out, changes one, and puts in one that the log does not have; prints
# which. With "mend" it takes the latter two out.
PLANT = """
import json, sqlite3, sys
feed, hole, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
db = sqlite3.connect("/var/lib/standfast/collector/sink.db", timeout=10)
PLACE = 'WHERE topic_id = ? AND partition = ? AND "offset"'
if what == "mend":
    topic, partition, *offsets = json.loads(sys.argv[4])
    for offset in offsets:
        db.execute(f"DELETE FROM records {PLACE} = ?", (topic, partition, offset))
    db.commit()
    sys.exit()
topic, partition, first, last, count = db.execute(
    'SELECT topic_id, partition, min("offset"), max("offset"), count(*) FROM records '
    "WHERE feed = ? GROUP BY topic_id, partition ORDER BY count(*) DESC LIMIT 1", (feed,)
).fetchone() or (None, 0, 0, 0, 0)
if count < 3 * hole or last - first + 1 != count:
    print("null")
    sys.exit()
at, stray = first + hole, last + 10**6
db.execute(f"DELETE FROM records {PLACE} BETWEEN ? AND ?", (topic, partition, at, at + hole - 1))
db.execute(f"UPDATE records SET sha256 = ? {PLACE} = ?", (b"another", topic, partition, last))
names = [row[1] for row in db.execute("PRAGMA table_info(records)")]
found = db.execute(f"SELECT * FROM records {PLACE} = ?", (topic, partition, first)).fetchone()
row = {**dict(zip(names, found)), "offset": stray, "repeat": 1}
columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" for _ in names)
db.execute(f"INSERT INTO records ({columns}) VALUES ({marks})", [row[name] for name in names])
db.commit()
print(json.dumps({"topic_id": topic, "partition": partition, "hole": [at, at + hole - 1],
                  "changed": last, "stray": stray}))
"""
# Of the warehouse: takes rows out of the partition that holds most of a feed; prints which.
HOLE_IN_WAREHOUSE = """
WITH place AS (
    SELECT topic_id, partition, min("offset") + {hole} AS first FROM records WHERE feed = '{feed}'
    GROUP BY topic_id, partition
    HAVING count(*) >= 3 * {hole} AND max("offset") - min("offset") + 1 = count(*)
    ORDER BY count(*) DESC LIMIT 1
), hole AS (
    DELETE FROM records r USING place p WHERE r.topic_id = p.topic_id
    AND r.partition = p.partition AND r."offset" BETWEEN p.first AND p.first + {hole} - 1
    RETURNING r.partition, r."offset"
)
SELECT json_build_array(partition, min("offset"), max("offset")) FROM hole GROUP BY partition
"""
# Of a host's file: "read" prints a row of a feed, "put" puts such a row in, "take" takes it out.
COPY = """
import json, sqlite3, sys
what, given = sys.argv[1], json.loads(sys.argv[2])
db = sqlite3.connect("/var/lib/standfast/collector/sink.db", timeout=10)
db.row_factory = sqlite3.Row
if what == "read":
    row = db.execute("SELECT * FROM records WHERE feed = ? LIMIT 1", (given,)).fetchone()
    there = {k: [v.hex()] if isinstance(v, bytes) else v for k, v in dict(row or {}).items()}
    print(json.dumps(there))
    sys.exit()
if what == "put":
    row = {k: bytes.fromhex(v[0]) if isinstance(v, list) else v for k, v in given.items()}
    columns, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" for _ in row)
    db.execute(f"INSERT INTO records ({columns}) VALUES ({marks})", list(row.values()))
if what == "take":
    place = [given[name] for name in ("topic_id", "partition", "offset")]
    db.execute('DELETE FROM records WHERE topic_id = ? AND partition = ? AND "offset" = ?', place)
db.commit()
"""


def planted(host: str, feed: str, *more: str) -> Any:
    """What the script says, run on a host as the collectors' user."""
    words = " ".join(map(shlex.quote, ["python3", "-c", PLANT, feed, str(HOLE), *more]))
    return json.loads(connect.run(host, f"runuser -u standfast -- {words}") or "null")


def copied(host: str, what: str, given: object) -> Any:
    """What the other script says, run in the same way."""
    words = " ".join(map(shlex.quote, ["python3", "-c", COPY, what, json.dumps(given)]))
    return json.loads(connect.run(host, f"runuser -u standfast -- {words}") or "null")


def fab(*words: str) -> subprocess.CompletedProcess[str]:
    """One of the tasks, as a person types it."""
    program = Path(sys.executable).with_name("fab")
    done = subprocess.run(
        [program, *words], cwd=connect.ROOT, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr
    return done


def audit(*words: str, collector: str = "collector") -> tuple[int, dict[int, dict[str, Any]]]:
    """The exit code of `fab audit --json`, and what it says of a collector's partitions."""
    done = fab("audit", "--json", "--collector", collector, *words)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["collectors"][collector]
    assert not found["unasked"]
    return done.returncode, {p["partition"]: p for p in found["partitions"]}


def sent(cluster: Cluster, folder: Path, records: int) -> Stream:
    """A feed whose records are all in the sinks, and which has ended."""
    with Stream(cluster, folder, rate=400, name="missed") as stream:
        stream.start(seconds=60)
        wait_until(lambda: stream.acknowledged > records, 60, f"{records} acknowledgements")
        assert stream.stop()
        stream.caught_up(60)
    return stream


def test_a_hole_a_changed_and_a_stray_record_are_named_and_the_hole_alone_is_refilled(
    cluster: Cluster, tmp_path: Path
) -> None:
    stream = sent(cluster, tmp_path, 2500)
    code, before = audit("--ledger", str(stream.ledger))
    assert code == 0, before
    found, host = None, ""
    for host in cluster.hosts:
        if found := planted(host, stream.feed, "plant"):
            break
    assert found, "no host holds enough of one partition"
    number = found["partition"]
    try:
        code, after = audit()
        named = after.pop(number)
        assert code == 1
        assert named["missing"] == [found["hole"]]
        assert named["changed"] == [[found["changed"]] * 2]
        assert named["stray"] == [[found["stray"]] * 2]
        assert all(isinstance(at, int) for span in named["times"] for at in span)
        assert not [p for p in after.values() if p["missing"] or p["changed"] or p["stray"]]

        done = fab("refill", "--collector", "collector")
        assert f"brought {HOLE} of {HOLE} records" in done.stdout, done.stdout + done.stderr
        assert done.returncode == 0
        again = fab("refill", "--collector", "collector")
        assert "nothing to bring" in again.stdout
        assert again.returncode == 1, "a changed and a stray record are still there"
    finally:
        places = [found["topic_id"], number, found["changed"], found["stray"]]
        planted(host, stream.feed, "mend", json.dumps(places))
        fab("refill", "--collector", "collector")  # what was changed is a hole now
    code, mended = audit()
    assert code == 0, mended


def test_a_hole_in_the_warehouse_is_named_and_refilled(cluster: Cluster, tmp_path: Path) -> None:
    """PostgreSQL: one database for all hosts."""
    stream = sent(cluster, tmp_path, 2500)
    sink = cluster.sinks["warehouse"]
    assert isinstance(sink, PostgresqlSink)
    (database,) = (n for n, d in cluster.databases.items() if d.address == sink.host)
    query = HOLE_IN_WAREHOUSE.format(feed=stream.feed, hole=HOLE)
    words = " ".join(map(shlex.quote, ["psql", "-qtA", "-d", sink.database, "-c", query]))
    try:
        answer = connect.run(database, f"sudo -u postgres {words}")
        assert answer.strip(), "the warehouse holds not enough of one partition"
        number, first, last = json.loads(answer)
        assert last - first + 1 == HOLE

        code, found = audit(collector="archive")
        assert code == 1
        assert found.pop(number)["missing"] == [[first, last]]
        assert not [p for p in found.values() if p["missing"] or p["changed"] or p["stray"]]

        done = fab("refill", "--collector", "archive")
        assert f"brought {HOLE} of {HOLE} records" in done.stdout, done.stdout + done.stderr
        assert done.returncode == 0
    finally:
        fab("refill", "--collector", "archive")
    code, found = audit("--ledger", str(stream.ledger), collector="archive")
    assert code == 0, found


def test_a_record_that_two_hosts_hold_is_named(cluster: Cluster, tmp_path: Path) -> None:
    """As after a takeover: it is in the sink, and once is enough."""
    stream = sent(cluster, tmp_path, 200)
    for owner in cluster.hosts:
        if row := copied(owner, "read", stream.feed):
            break
    else:
        raise AssertionError("no host holds a record of the feed")
    _, before = audit()
    number, offset = row["partition"], row["offset"]
    other = next(host for host in cluster.hosts if host != owner)
    copied(other, "put", row)
    try:
        code, after = audit()
    finally:
        copied(other, "take", row)
    known = Ranges(before[number]["several"])
    assert offset not in known
    assert Ranges(after[number]["several"]) - known == Ranges.of([offset])
    assert code == 0, after


def test_the_last_minutes_of_the_log_are_replayed_into_a_file(
    cluster: Cluster, tmp_path: Path
) -> None:
    stream = sent(cluster, tmp_path, 500)
    file = tmp_path / "trades.jsonl"
    words = ("refill", "--topic", "trades", "--since", "10m", "--into", str(file))
    done = fab(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"are in {file}" in done.stdout
    sequences = Gather()
    with file.open() as lines:
        for record in map(json.loads, lines):
            headers = dict(record["headers"])
            if headers.get(FEED_HEADER) == stream.feed:
                sequences.add(int(headers[SEQUENCE_HEADER]))
    acknowledged = read_ledger(stream.ledger).acknowledged
    assert acknowledged
    assert not acknowledged - sequences.ranges()
    assert not list(tmp_path.glob("*.partial"))

    size = file.stat().st_size
    again = fab(*words)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert file.stat().st_size == size


def test_a_record_that_only_the_ledger_knows_is_caught(cluster: Cluster, tmp_path: Path) -> None:
    """One line more in the ledger than was ever acknowledged."""
    stream = sent(cluster, tmp_path, 200)
    with stream.ledger.open("a") as file:
        file.write("999999 0 999999 1795485600000 1.0\n")
    done = fab("audit", "--collector", "collector", "--ledger", str(stream.ledger))
    assert done.returncode == 1
    assert "1 not in the log: sequences 999999" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--collector", "nobody"), "no such collector; there are collector, archive"),
        (("--topic", "nothing"), "no collector keeps nothing"),
        (("--since", "yesterday"), "should be a time as 2026-11-24T02:00"),
        (("--ledger", "/nowhere"), "/nowhere: cannot be read"),
        (("--ledger", "/nowhere", "--since", "2h"), "is held against the whole log"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(words: tuple[str, ...], says: str) -> None:
    done = fab("audit", *words)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--into", "out"), "--into: needs --topic, and --since or --until"),
        (("--into", ""), "--into: should be a file, or topic:NAME"),
        (("--into", "topic:trades"), "would write trades into itself"),
        (("--into", "topic:nothing"), "no such topic; there are"),
        (("--into", "out", "--collector", "archive"), "--collector: makes no sense with --into"),
    ],
)
def test_a_replay_that_makes_no_sense_is_said_in_a_sentence(
    words: tuple[str, ...], says: str
) -> None:
    more = () if "needs" in says else ("--topic", "trades", "--since", "1h")
    done = fab("refill", *words, *more)
    assert done.returncode == 2
    assert says in done.stderr
