"""A long outage, in seconds for days: retention goes by the clock, which runs on meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.model import Cluster
from drills.judge.log import in_log
from drills.outside import outside
from drills.stream import now
from drills.wait import NotYet, wait_until
from lab.machine import Lab
from standfast.ledger import read_ledger
from tests.drills.own_topic import judged, send, topic, whole

PROMISED, OUTAGE = 120, 60  # seconds
SHORT = 30  # seconds: less than the outage alone

pytestmark = pytest.mark.usefixtures("deployed")


@pytest.mark.drill
def test_what_is_promised_is_still_there_after_an_outage_and_retention(
    cluster: Cluster, lab: Lab, tmp_path: Path
) -> None:
    """Beside it a topic whose retention has no room for the outage: it is caught losing all."""
    settings = {"segment_ms": "10000", "flush_messages": "1", "min_insync_replicas": "2"}
    with (
        topic("outage-kept", 3, retention_ms=f"{(PROMISED + OUTAGE) * 1000}", **settings) as kept,
        topic("outage-short", 3, retention_ms=f"{SHORT * 1000}", **settings) as short,
    ):
        streams = [send(cluster, tmp_path / name, name, 600) for name in (short, kept)]
        sent = now()
        try:
            with outside():
                lab.cut(*cluster.hosts)
            wait_until(lambda: now() > sent + OUTAGE * 1000, OUTAGE + 5, "the outage to last")
        finally:
            whole(cluster, lab, streams[0], tmp_path)

        def deleted() -> bool:
            ledger = read_ledger(streams[0].ledger)
            there = len(in_log(short, ledger.feed).sequences)
            if there:
                raise NotYet(f"{there} of its records are still there")
            return True

        # Kafka looks 30 s after its start; both topics in the same round.
        wait_until(deleted, 90, f"retention to delete from {short}", every=3)
        ledger = read_ledger(streams[1].ledger)
        verdict = judged(in_log(kept, ledger.feed), ledger)
        assert (now() - sent) / 1000 < PROMISED + OUTAGE, "too slow: retention may delete by now"
        assert verdict.good
        assert verdict.stored == verdict.acknowledged > 600
