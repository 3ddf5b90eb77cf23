"""What flushing each record to disk costs: Kafka's own producer test, with and without, in turn.

    python -m bench.flush [--records 50000] [--rounds 3]

Two topics that differ in `flush.messages` alone are written by kafka-producer-perf-test.sh on the
first host, A B A B …, and deleted. Only on a lab.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys

import connect

TOPICS = {"flushed": "1", "not flushed": "9223372036854775807"}
RESULT = re.compile(
    r"records sent, ([\d.]+) records/sec .*?([\d.]+) ms avg.*?([\d.]+) ms 99th", re.S
)


def main() -> int:
    """Measure and print; 0, or 1 where a round gave no figure."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.flush", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--records", type=int, default=50_000, help="records a round, 200 bytes each"
    )
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    cluster = connect.begin("measure on")
    if not cluster.is_lab:
        connect.die(f"{cluster.name} is no lab: a load is only put on one", code=2)
    host = next(iter(cluster.hosts))
    figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in TOPICS}
    try:
        for name, flush in TOPICS.items():
            _tool(host, f"kafka-topics.sh --create --topic {_topic(name)} --partitions 6 "
                        f"--replication-factor 3 --config flush.messages={flush}")  # fmt: skip
        for _ in range(args.rounds):
            for name in TOPICS:
                figures[name].append(_round(host, _topic(name), args.records))
    finally:
        for name in TOPICS:
            _tool(host, f"kafka-topics.sh --delete --if-exists --topic {_topic(name)}")
    print(f"\n{args.rounds} rounds of {args.records:,} records of 200 bytes, acks=all, median:")
    print(f"{'':14}{'records/s':>12}{'average ms':>12}{'99 % ms':>10}")
    for name, rounds in figures.items():
        rate, average, high = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:14}{rate:12,.0f}{average:12.1f}{high:10.0f}")
    return 0


def _topic(name: str) -> str:
    return f"standfast.bench.{name.replace(' ', '-')}"


def _round(host: str, topic: str, records: int) -> tuple[float, float, float]:
    """Records a second, average and 99th percentile of the acknowledgement in ms."""
    out = _tool(
        host,
        f"kafka-producer-perf-test.sh --topic {topic} --num-records {records} --record-size 200 "
        "--throughput -1 --producer-props acks=all "
        f"bootstrap.servers={connect.cluster().bootstrap}",
        bootstrap=False,
        seconds=120,
    )
    found = RESULT.search(out.strip().splitlines()[-1])
    if not found:
        connect.die(f"{host}: kafka-producer-perf-test.sh printed no figure: {out[-200:]}")
    rate, average, high = (float(n) for n in found.groups())
    print(f"{topic}: {rate:,.0f} records/s, {average:.1f} ms", file=sys.stderr)
    return rate, average, high


def _tool(host: str, command: str, bootstrap: bool = True, seconds: int = 60) -> str:
    server = f" --bootstrap-server {connect.cluster().bootstrap}" if bootstrap else ""
    try:
        return connect.run(host, f"bash -lc '{command}{server}'", seconds)
    except OSError as error:
        connect.die(str(error))


if __name__ == "__main__":
    sys.exit(main())
