"""Controls: clusters and clients that must lose data, and must be caught by the same judgement."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import connect
from cluster.model import Cluster
from drills.judge.log import in_log
from drills.outside import outside
from drills.stream import Stream
from drills.wait import wait_until
from lab.machine import Lab
from standfast.ledger import read_ledger
from standfast.ranges import Ranges
from standfast.union import FeedTotal, Verdict
from tests.drills.own_topic import RATE, judged, lost, send, topic, whole

NEVER = str(2**63 - 1)

pytestmark = pytest.mark.usefixtures("deployed")


def test_a_power_cut_on_all_three_without_flushing_is_caught_losing_records(
    cluster: Cluster, lab: Lab, tmp_path: Path
) -> None:
    with topic("control-unflushed", 3, flush_messages=NEVER, min_insync_replicas="2") as name:
        stream = send(cluster, tmp_path, name, 600)
        try:
            with outside():
                lab.cut(*cluster.hosts)
        finally:
            whole(cluster, lab, stream, tmp_path)
        ledger = read_ledger(stream.ledger)
        verdict = judged(in_log(name, ledger.feed), ledger)
        assert verdict.missing, "nothing was lost: this power cut cuts nothing"
        assert lost(name, stream), "the drills' own judge does not see it"


def test_the_same_power_cut_with_flushing_loses_nothing(
    cluster: Cluster, lab: Lab, tmp_path: Path
) -> None:
    with topic("control-flushed", 3, flush_messages="1", min_insync_replicas="2") as name:
        stream = send(cluster, tmp_path, name, 600)
        try:
            with outside():
                lab.cut(*cluster.hosts)
        finally:
            whole(cluster, lab, stream, tmp_path)
        ledger = read_ledger(stream.ledger)
        verdict = judged(in_log(name, ledger.feed), ledger)
        assert verdict.good
        assert verdict.stored == verdict.acknowledged > 600
        assert not lost(name, stream)


@pytest.mark.drill
def test_a_machines_death_with_one_replica_is_caught_losing_records(
    cluster: Cluster, lab: Lab, tmp_path: Path
) -> None:
    host = list(cluster.hosts)[1]
    with topic("control-single", 1, min_insync_replicas="1") as name:
        stream = send(cluster, tmp_path, name, 600)
        ledger = read_ledger(stream.ledger)
        assert judged(in_log(name, ledger.feed), ledger).good, "lost before anything happened"
        try:
            with outside():
                lab.kill(host)
            verdict = judged(in_log(name, ledger.feed, seconds=40, dead=True), ledger)
        finally:
            whole(cluster, lab, stream, tmp_path)
        assert verdict.missing, f"{host} died with the only copy, and nothing is missing"


@contextmanager
def careless(cluster: Cluster, name: str, sink: Path, mistake: str) -> Iterator[Callable[[], None]]:
    """A consumer with a mistake; what it yields kills it and starts it again."""
    sink.touch()
    words = [sys.executable, "-m", "drills.careless", cluster.bootstrap, name, f"control-{mistake}"]

    def run() -> subprocess.Popen[bytes]:
        return subprocess.Popen([*words, str(sink), mistake], cwd=connect.ROOT)

    running = [run()]

    def again() -> None:
        running[0].kill()
        running[0].wait(10)
        running[0] = run()

    try:
        yield again
    finally:
        running[0].kill()
        running[0].wait(10)


def in_file(sink: Path, stream: Stream) -> Verdict:
    """What a careless consumer stored, held against the ledger."""
    ledger = read_ledger(stream.ledger)
    assert judged(in_log(stream.topic, ledger.feed), ledger).good, "the log itself lost something"
    rows = [line.split() for line in sink.read_text().splitlines()]
    numbers = [int(number) for feed, number in rows if feed == ledger.feed]
    return judged(FeedTotal(sequences=Ranges.of(numbers)), ledger)


def test_a_consumer_that_begins_at_the_latest_is_caught_missing_what_was_there(
    cluster: Cluster, tmp_path: Path
) -> None:
    sink = tmp_path / "sink"
    with topic("control-latest", 3, min_insync_replicas="2") as name:
        stream = send(cluster, tmp_path, name, 600)
        before = read_ledger(stream.ledger).acknowledged
        with careless(cluster, name, sink, "latest"):
            stream.start(resume=True, seconds=60)
            wait_until(lambda: sink.stat().st_size, 60, "the consumer to store something")
            assert stream.stop()
        missing = in_file(sink, stream).missing
        assert not before - missing, "it stored what was there before it came"


def test_a_consumer_with_automatic_commits_is_caught_missing_what_it_held(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Killed while it holds a batch whose offsets are committed, and started again."""
    sink = tmp_path / "sink"
    with topic("control-auto-commit", 3, min_insync_replicas="2") as name:
        stream = Stream(cluster, tmp_path, topic=name, rate=RATE, name="control")
        with stream, careless(cluster, name, sink, "auto-commit") as again:
            stream.start(seconds=60)
            wait_until(lambda: sink.stat().st_size, 60, "the consumer to store something")
            holds = sink.with_suffix(".holds")
            wait_until(lambda: _age(holds) > 0.5, 30, "it to hold a batch for a while", every=0.02)
            again()
            stored = sink.stat().st_size
            wait_until(lambda: sink.stat().st_size > stored, 90, "it to store something again")
            assert stream.stop()
            # It has read all that it will where it wrote nothing for several of its own batches.
            wait_until(lambda: _age(sink) > 6, 60, "it to store all that it still reads")
        assert in_file(sink, stream).missing


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
