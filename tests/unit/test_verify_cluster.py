"""The verification's questions about the cluster: each sees what it is there to see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster import health, snapshot
from cluster.observed import (
    BrokerSeen,
    Finding,
    Partition,
    Registry,
    TopicSeen,
    TopicsSeen,
    VoterSeen,
)
from tests.unit.verify_base import lab, registry, topics, voters
from tests.verify.canary import Arrival, Flight, landed

MIN_ISR = {"min.insync.replicas": "2"}


def said(findings: list[Finding]) -> str:
    return " | ".join(str(finding) for finding in findings)


def topic(*partitions: Partition, name: str = "odd", **settings: str) -> TopicSeen:
    return TopicSeen(name, partitions, {**MIN_ISR, **settings})


def test_a_healthy_cluster_has_no_finding() -> None:
    cluster = lab()
    assert health.ensemble(cluster, voters()) == []
    assert all(health.membership(cluster, name, seen) == [] for name, seen in voters().items())
    assert health.registered(cluster, registry()) == []
    meta = {"cluster.id": "abc", "broker.id": "1"}
    assert health.one_cluster("kafka1", registry(), meta, 1) == []
    assert health.knows_all(cluster, "kafka1", BrokerSeen(registry().brokers)) == []
    for predicate in (health.whole, health.writable, health.preferred):
        assert predicate(topics()) == []
    assert health.on_three(cluster, topics()) == []


@pytest.mark.parametrize(
    ("name", "seen", "expected"),
    [
        ("kafka2", VoterSeen("follower"), "leaders: none"),
        ("kafka1", VoterSeen("leader", (), 4), "leaders: kafka1, kafka2"),
        (
            "kafka2",
            VoterSeen("leader", (), 3),
            "expected 4 followers in sync with it, found 3 in sync",
        ),
        ("kafka2", VoterSeen("leader", (), None), "found unknown in sync"),
        ("witness1", VoterSeen(), "witness1: expected leader or follower, found serves nobody"),
        ("witness2", VoterSeen(complaint="silent"), "witness2: expected a voter that answers"),
    ],
)
def test_an_ensemble_without_one_leader_and_all_in_sync_is_seen(
    name: str, seen: VoterSeen, expected: str
) -> None:
    assert expected in said(health.ensemble(lab(), {**voters(), name: seen}))


def test_a_voter_that_was_not_asked_counts_as_unhealthy() -> None:
    asked = voters()
    del asked["witness2"]
    assert "was not asked" in said(health.ensemble(lab(), asked))


def test_a_voter_that_runs_with_another_ensemble_is_seen() -> None:
    short = replace(voters()["kafka1"], members=voters()["kafka1"].members[:-1])
    assert "server.5=198.18.0.15:2888:3888" in said(health.membership(lab(), "kafka1", short))
    silent = health.membership(lab(), "kafka1", VoterSeen(complaint="no answer"))
    assert "found no answer" in said(silent)


@pytest.mark.parametrize(
    ("brokers", "expected"),
    [
        ({1: "198.18.0.11:9092", 2: "198.18.0.12:9092"}, "broker 3: expected registered at"),
        ({**registry().brokers, 9: "10.9.9.9:9092"}, "broker 9: expected no such broker"),
        ({**registry().brokers, 2: "10.0.0.2:9092"}, "found 10.0.0.2:9092"),
    ],
)
def test_brokers_that_are_not_exactly_the_inventorys_are_seen(
    brokers: dict[int, str], expected: str
) -> None:
    assert expected in said(health.registered(lab(), Registry(brokers, "abc", 1)))


def test_a_cluster_without_a_controller_is_seen() -> None:
    assert "controller" in said(health.registered(lab(), replace(registry(), controller=None)))


def test_a_zookeeper_that_does_not_say_its_brokers_is_no_healthy_one() -> None:
    assert "silent" in said(health.registered(lab(), Registry(complaint="silent")))


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"cluster.id": "other", "broker.id": "1"}, "cluster id: expected abc"),
        ({"cluster.id": "abc", "broker.id": "2"}, "broker id: expected 1, found 2"),
        ({}, "found none"),
    ],
)
def test_a_disk_of_another_cluster_or_broker_is_seen(meta: dict[str, str], expected: str) -> None:
    assert expected in said(health.one_cluster("kafka1", registry(), meta, 1))


def test_an_empty_disk_and_a_wiped_zookeeper_do_not_count_as_one_cluster() -> None:
    assert health.one_cluster("kafka1", Registry(), {"broker.id": "1"}, 1)


def test_a_broker_that_does_not_answer_or_lacks_another_is_seen() -> None:
    cluster = lab()
    assert "refused" in said(health.knows_all(cluster, "kafka1", BrokerSeen(complaint="refused")))
    two = BrokerSeen({1: "198.18.0.11:9092", 2: "198.18.0.12:9092"})
    assert "it knows 1 at 198.18.0.11:9092, 2 at" in said(health.knows_all(cluster, "kafka1", two))


def test_an_offline_or_under_replicated_partition_is_seen() -> None:
    odd = topic(Partition(-1, (1, 2, 3), (1,)), Partition(1, (1, 2, 3), (1, 2)))
    seen = said(health.whole(topics(odd=odd)))
    assert "found no leader: partitions 0" in seen
    assert "found not in sync on brokers 3: partitions 1" in seen


def test_a_partition_that_nobody_can_write_to_is_seen() -> None:
    odd = topic(Partition(1, (1, 2, 3), (1,)))
    assert "at least 2 in-sync replicas" in said(health.writable(topics(odd=odd)))
    unknown = TopicSeen("odd", (Partition(1, (1,), (1,)),))
    assert "found unknown" in said(health.writable(topics(odd=unknown)))


def test_an_internal_topic_with_one_copy_is_seen() -> None:
    offsets = topic(Partition(1, (1,), (1,)), name="__consumer_offsets")
    assert "replication 3 at least" in said(health.on_three(lab(), topics(odd=offsets)))
    one = topic(Partition(1, (1, 2, 3), (1, 2, 3)), name="__x", **{"min.insync.replicas": "1"})
    assert "min.insync.replicas=2" in said(health.on_three(lab(), topics(odd=one)))


def test_a_topic_of_somebodys_own_with_a_single_copy_is_seen() -> None:
    single = topic(Partition(1, (1,), (1,)))
    assert "replication 2 at least" in said(health.on_three(lab(), topics(odd=single)))


def test_a_leader_in_another_place_is_seen() -> None:
    odd = topic(Partition(2, (1, 2, 3), (1, 2, 3)))
    assert "led by 2 in place of 1: partitions 0" in said(health.preferred(topics(odd=odd)))


@pytest.mark.parametrize("seen", [TopicsSeen(), TopicsSeen(complaint="silent")])
def test_topics_that_could_not_be_read_count_as_unhealthy(seen: TopicsSeen) -> None:
    for predicate in (health.whole, health.writable, health.preferred):
        assert predicate(seen)
    assert health.on_three(lab(), seen)


def flight(**changes: object) -> Flight:
    arrived = {Arrival(n, 7, n + 1) for n in range(3)}
    return replace(Flight("t", {1: 0, 2: 1, 3: 2}, arrivals={"collector": arrived}), **changes)


def test_a_canary_that_arrived_once_is_well() -> None:
    assert [landed(flight(), "collector", broker) for broker in (1, 2, 3)] == [[], [], []]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"unsent": {1: "timed out"}}, "expected acknowledged by broker 1, found timed out"),
        ({"arrivals": {}, "waited": 20.0}, "found not there after 20 s"),
        ({"arrivals": {}, "complaints": {"collector": "no sink"}}, "(no sink)"),
        ({"arrivals": {"collector": {Arrival(0, 7, 1), Arrival(0, 8, 1)}}}, "2 times, at offsets"),
        ({"arrivals": {"collector": {Arrival(0, 7, 3)}}}, "it names broker 3"),
    ],
)
def test_a_canary_that_is_lost_twice_or_of_another_broker_is_seen(
    changes: dict[str, object], expected: str
) -> None:
    assert expected in said(landed(flight(**changes), "collector", 1))


def test_a_voters_answers_are_read() -> None:
    conf = "clientPort=2181\nserver.1=10.0.0.1:2888:3888:participant\nversion=0\n"
    leader = snapshot.voter(
        {"conf": conf, "mntr": "zk_server_state\tleader\nzk_synced_followers\t4.0\n"}
    )
    assert leader == VoterSeen("leader", ("server.1=10.0.0.1:2888:3888:participant",), 4)
    assert (
        snapshot.voter(
            {"conf": "", "mntr": "This ZooKeeper instance is not currently serving requests"}
        ).state
        == ""
    )


def test_the_registrations_are_read() -> None:
    found = {
        "/brokers/ids/1": {"host": "10.0.0.1", "port": 9092},
        "/cluster/id": {"version": "1", "id": "abc"},
        "/controller": {"brokerid": 1},
    }
    assert snapshot.registry({"nodes": found}) == Registry({1: "10.0.0.1:9092"}, "abc", 1)
    assert snapshot.registry({"nodes": {}}) == Registry()
