"""How long `fab audit` and `fab refill` take, and how much memory a host's part of an audit needs.

    python -m bench.missed [--records 1000000] [--hole 200000]

Sends so many records, audits each sink, takes a hole out of one host's SQLite file, and refills it.
Only on a lab.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import connect
from cluster.model import Cluster
from drills.fab import fab
from drills.stream import Stream

RATE = 4000.0  # records a second: as many as both sinks keep up with on two cores
SINK = "/var/lib/standfast/collector/sink.db"
HOLE = f"""
import json, sqlite3, sys
db = sqlite3.connect("{SINK}", timeout=30)
topic, partition, first, last, count = db.execute(
    'SELECT topic_id, partition, min("offset"), max("offset"), count(*) FROM records '
    "GROUP BY topic_id, partition ORDER BY count(*) DESC LIMIT 1").fetchone()
size = min(int(sys.argv[1]), count // 2)
where = 'WHERE topic_id = ? AND partition = ? AND "offset" BETWEEN ? AND ?'
db.execute(f"DELETE FROM records {{where}}", (topic, partition, last - size, last - 1))
print(db.execute("SELECT changes()").fetchone()[0])
db.commit()
"""


def main() -> int:
    """Measure and print; 0, or 1 where something was missing that should not be."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.missed", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--hole", type=int, default=200_000, help="records taken out, at most")
    args = parser.parse_args()
    cluster = connect.begin("measure on")
    if not cluster.is_lab:
        connect.die(f"{cluster.name} is no lab: a load is only put on one", code=2)
    with tempfile.TemporaryDirectory() as folder:
        ledger = _send(cluster, Path(folder), args.records)
        seconds = {}
        for name in cluster.consumers:
            if name in ("collector", "archive"):
                seconds[name] = _audit(cluster, f"audit of {name}", "--collector", name)
        whole = ("--collector", "collector", "--ledger", str(ledger))
        _audit(cluster, "audit of collector and the ledger", *whole)
    host = next(iter(cluster.hosts))
    line = f"runuser -u standfast -- python3 -c {shlex.quote(HOLE)} {args.hole}"
    planted = int(connect.run(host, line, 120))
    began = time.monotonic()
    done = fab(cluster.path, "refill", "--collector", "collector", seconds=900)
    took = time.monotonic() - began - seconds["collector"]
    if done.code or f"brought {planted:,} of {planted:,} records" not in done.text:
        connect.die(f"the refill did not bring what was taken out:\n{done.text}")
    print(f"{'refill, without its audit':40}{planted:12,} records {took:8.1f} s"
          f"{planted / took:12,.0f} records/s")  # fmt: skip
    return 0


def _send(cluster: Cluster, folder: Path, records: int) -> Path:
    """A feed of so many records that are all in the sinks; its ledger."""
    with Stream(cluster, folder, rate=RATE, name="bench") as stream:
        stream.start(seconds=60)
        deadline = time.monotonic() + 120 + 3 * records / RATE
        while stream.acknowledged < records:
            if time.monotonic() > deadline:
                connect.die(
                    f"only {stream.acknowledged:,} of {records:,} were acknowledged in time"
                )
            print(f"{stream.acknowledged:,} acknowledged", file=sys.stderr)
            time.sleep(10)
        if not stream.stop():
            connect.die("the feed did not have everything acknowledged")
        stream.caught_up(600)
    return stream.ledger


def _audit(cluster: Cluster, what: str, *words: str) -> float:
    """Seconds that an audit takes; its hosts' memory is looked at meanwhile."""
    over, peak = threading.Event(), [0]

    def watch() -> None:
        while not over.wait(0.3):
            peak[0] = max(peak[0], *_memory())

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.monotonic()
    try:
        done = fab(cluster.path, "audit", "--json", *words, seconds=900)
    finally:
        over.set()
        watching.join()
    took = time.monotonic() - began
    found = json.loads(done.text[done.text.index("{") :])
    if not found["good"]:
        connect.die(f"{what}: the audit is not good")
    records = sum(p["records"] for c in found["collectors"].values() for p in c["partitions"])
    print(f"{what:40}{records:12,} records {took:8.1f} s{peak[0] / 1024:9.0f} MB on a host at most")
    return took


def _memory() -> list[int]:
    """The resident memory of every `standfast audit` on the lab's hosts, in KiB: they are processes
    of this machine.
    """
    found = subprocess.run(["ps", "-eo", "rss=,args="], capture_output=True, text=True, check=True)
    lines = (
        re.match(r"\s*(\d+) .*standfast audit /etc", line) for line in found.stdout.splitlines()
    )
    return [0, *(int(line[1]) for line in lines if line)]


if __name__ == "__main__":
    sys.exit(main())
