"""What a sink lost is named exactly, and brought back exactly."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import connect
from cluster.model import Cluster
from drills.stream import Stream
from drills.wait import wait_until

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


def planted(host: str, feed: str, *more: str) -> Any:
    """What the script says, run on a host as the collectors' user."""
    words = " ".join(map(shlex.quote, ["python3", "-c", PLANT, feed, str(HOLE), *more]))
    return json.loads(connect.run(host, f"runuser -u standfast -- {words}") or "null")


def fab(*words: str) -> subprocess.CompletedProcess[str]:
    """One of the tasks, as a person types it."""
    program = Path(sys.executable).with_name("fab")
    done = subprocess.run(
        [program, *words], cwd=connect.ROOT, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr
    return done


def audit(*words: str) -> tuple[int, dict[int, dict[str, Any]]]:
    """The exit code of `fab audit --json`, and what it says of the collector's partitions."""
    done = fab("audit", "--json", "--collector", "collector", *words)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["collectors"]["collector"]
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
