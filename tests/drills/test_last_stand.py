"""The last stand by hand, and the way back, wrong turns and all: two hosts and both witnesses die.

The tests go on from each other, in the order of this file, under one load.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

import connect
from cluster.model import Cluster
from drills import hosts
from drills.fab import Done, Running, fab
from drills.ground import Ground
from drills.judge import copies
from drills.outside import outside
from drills.power import boot
from drills.stream import Stream, now
from drills.wait import wait_until
from lab.machine import Lab
from standfast import questions
from tests.lab.conftest import Figure

FIRST = 30.0  # seconds from the command to the first acknowledgement: the target
ALONE = 60.0  # what the test holds it to
WATCHED = 12.0  # seconds in which the old majority could have elected a leader
pytestmark = pytest.mark.usefixtures("deployed")


@pytest.fixture(scope="module")
def stream(
    cluster: Cluster, lab: Lab, deployed: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stream]:
    """A load; afterwards the lab is whole, whatever a test left."""
    folder = tmp_path_factory.mktemp("last-stand")
    with Stream(cluster, folder, rate=100, name="last-stand") as running:
        running.start(seconds=60)
        running.healthy()
        try:
            yield running
        finally:
            it = Ground(cluster, lab, running, folder / "faults.jsonl", print)
            it.heal()
            for host in (name for _ in cluster.voters for name in cluster.voters):
                if "no last stand" in rejoin(cluster, host, "--discard").text:
                    break
            it.in_sync(180)


@pytest.fixture(scope="module")
def survivor(cluster: Cluster) -> str:
    return list(cluster.hosts)[1]


@pytest.fixture(scope="module")
def dead(cluster: Cluster, survivor: str) -> list[str]:
    return [name for name in cluster.voters if name != survivor]


def last_stand(cluster: Cluster, host: str, *words: str) -> Done:
    return fab(cluster.path, "last-stand", host, *words)


def rejoin(cluster: Cluster, host: str, *words: str) -> Done:
    return fab(cluster.path, "rejoin", host, *words)


def refused(done: Done, why: str, code: int = 1) -> None:
    assert done.code == code, done.text
    assert why in done.text, done.text
    assert code == 2 or "next: " in done.text, "what to do next is not said"


def test_while_zookeeper_serves_there_is_nothing_to_do(
    cluster: Cluster, stream: Stream, survivor: str
) -> None:
    refused(last_stand(cluster, survivor, "--off", "kafka3"), "ZooKeeper serves, with a quorum")
    refused(rejoin(cluster, survivor), "no last stand is under way")


def test_the_wrong_turns_are_refused(
    cluster: Cluster, lab: Lab, stream: Stream, survivor: str, dead: list[str]
) -> None:
    with outside():
        lab.kill(*dead)
    address = f"{cluster.voters[survivor].address}:{cluster.ports.zookeeper}"

    def alone() -> bool:
        return not questions.zookeeper_mode(address, 2.0)

    wait_until(alone, 30, f"{survivor} to notice that it is alone")
    refused(last_stand(cluster, "kafka9"), "no such host; there are kafka1, kafka2, kafka3", 2)
    everybody = ",".join(dead)
    refused(last_stand(cluster, dead[0], "--off", everybody), f"{dead[0]} cannot be looked at")
    refused(last_stand(cluster, survivor, "--off", survivor), f"--off names {survivor}")
    refused(last_stand(cluster, survivor, "--off", dead[0]), "--off does not name")
    refused(last_stand(cluster, survivor), "nobody can be asked here", 2)


def test_the_survivor_takes_writes_alone(
    cluster: Cluster, stream: Stream, survivor: str, dead: list[str], figure: Figure
) -> None:
    at = now()
    done = last_stand(cluster, survivor, "--off", ",".join(dead))
    assert done.code == 0, done.text
    assert f"{survivor} takes writes" in done.text
    assert f"fab rejoin {dead[0]}" in done.text, "it does not say how it goes on"
    stream.flows(60)
    first = (min(t for times in stream.history.at.values() for t in times if t > at) - at) / 1000
    figure("last stand by hand: from the command to the first acknowledgement", first, FIRST)
    assert first < ALONE
    again = last_stand(cluster, survivor, "--off", ",".join(dead))
    assert again.code == 0, again.text
    planned = fab(cluster.path, "plan")
    assert planned.code == 1, "a deploy and a roll are refused meanwhile"
    assert "ZooKeeper's ensemble is narrowed" in " ".join(planned.text.split())
    alarms = connect.run(survivor, f"journalctl -q -o cat --since @{at // 1000} -p crit")
    assert "alarm last-stand: " in alarms
    assert "alarm ensemble: " in alarms


def test_the_old_majority_that_is_switched_on_too_early_stays_out(
    cluster: Cluster, lab: Lab, stream: Stream, survivor: str, dead: list[str]
) -> None:
    """Three of the five voters, with data from before: enough to elect a leader of their own."""
    early = dead[:3]
    with outside():
        boot(lab, early, print, wait=False)
    addresses = {n: f"{cluster.voters[n].address}:{cluster.ports.zookeeper}" for n in early}
    until = time.monotonic() + WATCHED
    while time.monotonic() < until:
        for name, address in addresses.items():
            mode = ""
            with suppress(OSError):
                mode = questions.zookeeper_mode(address, 1.0)
            assert not mode, f"{name} serves ({mode}): there are two ensembles"
        time.sleep(0.5)

    def said() -> bool:
        """That it must not start, and who brings it back."""
        return "fab rejoin" in hosts.journal(early[0], "zookeeper", now() - 90_000)

    wait_until(said, 60, "the gate to say why", every=1)
    stream.flows(60)


def test_a_return_that_is_interrupted_goes_on(
    cluster: Cluster, stream: Stream, dead: list[str], figure: Figure
) -> None:
    with Running(cluster.path, "rejoin", dead[0]) as running:
        running.says("its ZooKeeper data are put aside", 60)
        running.kill()
    done = rejoin(cluster, dead[0])
    assert done.code == 0, done.text
    figure(f"rejoin of {dead[0]}, the first", done.seconds)
    stream.flows(60)


def test_the_others_come_back_one_at_a_time_and_the_last_ends_it(
    cluster: Cluster, lab: Lab, stream: Stream, dead: list[str], figure: Figure
) -> None:
    with outside():
        boot(lab, dead[3:], print, wait=False)
    for name in dead[1:]:
        done = rejoin(cluster, name)
        assert done.code == 0, done.text
        figure(f"rejoin of {name}", done.seconds)
    assert "the last stand is over" in done.text
    refused(rejoin(cluster, dead[0]), "no last stand is under way")
    left = connect.each(
        cluster.voters, lambda n: connect.run(n, "ls -A /etc/standfast/ensemble || true")
    )
    assert not any(str(files).strip() for files in left.values()), left


def test_nothing_is_lost_and_all_copies_are_equal(cluster: Cluster, stream: Stream) -> None:
    stream.restored()
    stream.healthy(120)
    assert stream.stop(), "the feed did not have everything acknowledged"
    result = stream.result()
    assert result.problems() == []
    found = copies.compare(cluster)
    assert found["differences"] == []
    assert found["tree_differences"] == []
    assert len(set(found["trees"].values())) == 1
