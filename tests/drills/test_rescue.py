"""A partition whose only in-sync host is destroyed: shown, and led by the copy that is left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import connect
from cluster.model import Cluster
from drills.fab import fab
from drills.judge.log import in_log
from drills.outside import outside
from drills.wait import NotYet, wait_until
from lab.machine import Lab
from standfast.ledger import read_ledger
from tests.drills.own_topic import send, topic, whole

pytestmark = [pytest.mark.usefixtures("deployed"), pytest.mark.drill]


def test_what_an_election_out_of_sync_costs_is_said_before_and_is_exactly_what_is_lost(
    cluster: Cluster, lab: Lab, tmp_path: Path
) -> None:
    destroyed, left, *_ = cluster.hosts
    replicas = [cluster.hosts[name].broker_id for name in (destroyed, left)]
    assert "nothing to rescue" in fab(cluster.path, "rescue").text
    with topic("rescued", replicas, min_insync_replicas="1") as name:
        stream = send(cluster, tmp_path, name, 300)
        before = len(in_log(name, stream.feed).sequences)
        try:
            connect.run(left, "systemctl stop kafka.service", seconds=90)
            stream.start(resume=True, seconds=60)
            wait_until(lambda: stream.acknowledged > before + 300, 60, "300 records more")
            assert stream.stop()
            after = len(in_log(name, stream.feed).sequences)
            with outside():
                lab.kill(destroyed)
            early = fab(cluster.path, "rescue", "--elect", f"{name}/0", "--yes")
            connect.run(left, "systemctl start kafka.service", seconds=90)

            def shown() -> str:
                done = fab(cluster.path, "rescue")
                if f"fab rescue --elect {name}/0" not in done.text:
                    raise NotYet(done.text)
                assert done.code == 1
                return done.text

            text = wait_until(shown, 90, "the rescue to say what can be done", every=3)
            ends = [line.split()[-2].replace(",", "") for line in text.splitlines()
                    if line.startswith(f"{name}/0") and f" {left} " in line]  # fmt: skip
            assert ends == [str(before)], text
            assert f"from offset {before} on is lost" in text
            wrong = fab(cluster.path, "rescue", "--elect", "trades/0", "--yes")
            assert wrong.code == 2, wrong.text
            asked = fab(cluster.path, "rescue", "--elect", f"{name}/0")
            assert asked.code == 2, "nobody can be asked, and it did it all the same"
            done = fab(cluster.path, "rescue", "--elect", f"{name}/0", "--yes")
            assert done.code == 0, done.text
            assert re.search(rf"{name}/0: {left} leads from offset {before} on", done.text)
            ledger = read_ledger(stream.ledger)
            missing = ledger.acknowledged - in_log(name, ledger.feed).sequences
            assert len(missing) == after - before, "another number than it had said"
            assert early.code in (0, 1), early.text
        finally:
            whole(cluster, lab, stream, tmp_path)
    assert "nothing to rescue" in fab(cluster.path, "rescue").text
