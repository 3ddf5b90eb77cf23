"""The settings that are rendered: every one has its reason, its place, and a legal name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import docs, known
from cluster.catalogue import KINDS, catalogue, names
from cluster.inventory import Cluster
from cluster.settings import (
    Setting,
    broker_settings,
    consumer_settings,
    producer_settings,
    topic_settings,
    zookeeper_settings,
)
from tests.unit.inventory_base import loaded


def every_setting(cluster: Cluster) -> dict[str, list[Setting]]:
    """The settings of each kind, of the first host, topic and consumer."""
    host = cluster.hosts["kafka1"]
    return {
        "broker": broker_settings(cluster, host),
        "zookeeper": zookeeper_settings(cluster, host),
        "topic": topic_settings(cluster, cluster.topics["trades"]),
        "producer": producer_settings(cluster),
        "consumer": consumer_settings(cluster, cluster.consumers["collector"]),
    }


def values(rows: list[Setting]) -> dict[str, str]:
    return {row.name: row.value for row in rows}


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_has_a_legal_name_a_legal_value_and_a_reason(
    tmp_path: Path, kind: str
) -> None:
    rows = every_setting(loaded(tmp_path))[kind]
    assert len(rows) >= 7
    assert len(values(rows)) == len(rows), "a name twice"
    for row in rows:
        assert known.wrong_name(kind, row.name) is None
        assert (row.name, row.value) == ("acks", "all") or not known.wrong_value(
            kind, row.name, row.value
        ), row
        assert row.reason.endswith("."), row
        assert row.section
        assert "{" not in row.name + row.value + row.reason, row


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_and_rule_of_the_catalogue_is_about_a_setting_that_exists(kind: str) -> None:
    for entry in catalogue(kind).entries:
        for name in (entry.name.replace("{id}", "1"), *entry.aliases):
            assert known.wrong_name(kind, name) is None, name
        for rule in filter(None, (entry.safe, entry.limit)):
            assert rule.why, entry.name
            assert rule.kind in ("equals", "one_of", "at_least", "at_most")
        if entry.section is None:
            assert entry.owned or entry.safe or entry.limit, entry.name


def test_the_page_of_settings_is_up_to_date() -> None:
    assert docs.TARGET.read_text() == docs.text(), "run `python -m cluster.docs`"


def test_sections_are_not_torn_apart(tmp_path: Path) -> None:
    for rows in every_setting(loaded(tmp_path)).values():
        sections = [row.section for row in rows]
        order = list(dict.fromkeys(sections))
        assert sections == sorted(sections, key=order.index)


def test_each_broker_has_its_own_number_and_address(tmp_path: Path) -> None:
    cluster = loaded(tmp_path)
    rows = {name: values(broker_settings(cluster, host)) for name, host in cluster.hosts.items()}
    assert rows["kafka2"]["broker.id"] == "2"
    assert rows["kafka2"]["listeners"] == "PLAINTEXT://10.0.0.12:9092"
    differing = {name for name in rows["kafka1"] if len({row[name] for row in rows.values()}) > 1}
    assert differing == {"broker.id", "listeners", "advertised.listeners"}


def test_every_voter_knows_all_voters_by_address(tmp_path: Path) -> None:
    cluster = loaded(tmp_path)
    for voter in cluster.voters.values():
        rows = values(zookeeper_settings(cluster, voter))
        assert rows["clientPortAddress"] == voter.address
        servers = {name: value for name, value in rows.items() if name.startswith("server.")}
        assert servers == {f"server.{i}": f"10.0.0.1{i}:2888:3888" for i in range(1, 6)}


def test_retention_is_what_is_promised_and_an_outage(tmp_path: Path) -> None:
    cluster = loaded(tmp_path, "promise: {retention_days: 10, outage_days: 20}")
    rows = values(broker_settings(cluster, cluster.hosts["kafka1"]))
    assert rows["log.retention.ms"] == str(30 * 86_400_000)
    assert rows["offsets.retention.minutes"] == str(60 * 1440)
    assert values(topic_settings(cluster, cluster.canary))["retention.ms"] == str(30 * 86_400_000)


def test_an_override_takes_the_place_of_the_setting_and_says_what_stood_there(
    tmp_path: Path,
) -> None:
    cluster = loaded(
        tmp_path, "kafka: {settings: {replica.lag.time.max.ms: 15000, num.io.threads: 4}}"
    )
    rows = {row.name: row for row in broker_settings(cluster, cluster.hosts["kafka1"])}
    assert rows["replica.lag.time.max.ms"].value == "15000"
    assert rows["replica.lag.time.max.ms"].reason.startswith(
        "Set by the inventory (kafka.settings.replica.lag.time.max.ms), in place of"
        " replica.lag.time.max.ms=10000: A follower that"
    )
    assert rows["num.io.threads"] == Setting(
        "num.io.threads", "4", "Set by the inventory (kafka.settings.num.io.threads).",
        "Set by the inventory",
    )  # fmt: skip


def test_another_name_of_a_setting_takes_its_place_too(tmp_path: Path) -> None:
    feed_too = "feed: {settings: {queue.buffering.max.ms: 9}}"
    cluster = loaded(tmp_path, "kafka: {settings: {log.retention.hours: 480}}", feed_too)
    rows = values(broker_settings(cluster, cluster.hosts["kafka1"]))
    assert rows["log.retention.hours"] == "480"
    assert "log.retention.ms" not in rows
    topic = values(topic_settings(cluster, cluster.topics["trades"]))
    assert topic["retention.ms"] == str(480 * 3_600_000)
    feed = values(producer_settings(cluster))
    assert feed["queue.buffering.max.ms"] == "9"
    assert "linger.ms" not in feed


def test_the_reason_of_an_accepted_risk_stands_where_the_risk_is(tmp_path: Path) -> None:
    path = "kafka.settings.log.flush.interval.messages"
    cluster = loaded(
        tmp_path,
        "kafka: {settings: {log.flush.interval.messages: 1000}}\npromise: {retention_days: 3}",
        f"accept_risk: [{{setting: {path}, reason: two power lines}},"
        " {setting: promise.retention_days, reason: a trial only}]",
    )
    brokers = {row.name: row.risk for row in broker_settings(cluster, cluster.hosts["kafka1"])}
    assert {name: risk for name, risk in brokers.items() if risk} == {
        "log.flush.interval.messages": "two power lines",
        "log.retention.ms": "a trial only",
    }
    topic = {row.name: row.risk for row in topic_settings(cluster, cluster.topics["trades"])}
    assert {name: risk for name, risk in topic.items() if risk} == {
        "flush.messages": "two power lines",
        "retention.ms": "a trial only",
    }


def test_the_reason_for_fewer_copies_stands_with_the_topic(tmp_path: Path) -> None:
    risks = "accept_risk: [{setting: topics.trades.replication, reason: scratch data},"
    least = "topics.trades.settings.min.insync.replicas"
    cluster = loaded(
        tmp_path,
        "topics: {trades: {replication: 2, settings: {min.insync.replicas: 1}}}",
        f"{risks} {{setting: {least}, reason: only two copies}}]",
    )
    rows = {row.name: row for row in topic_settings(cluster, cluster.topics["trades"])}
    assert rows["min.insync.replicas"].risk == "only two copies; replication 2: scratch data"


def test_values_are_written_as_their_files_have_them(tmp_path: Path) -> None:
    patch = "kafka: {settings: {auto.leader.rebalance.enable: true, super.users: [User:a, User:b]}}"
    cluster = loaded(tmp_path, patch)
    assert cluster.kafka.settings == {
        "auto.leader.rebalance.enable": "true",
        "super.users": "User:a,User:b",
    }


@pytest.mark.parametrize(
    ("kind", "name", "value", "wrong"),
    [
        ("broker", "num.io.threads", "0", "must be at least 1, is 0"),
        ("broker", "compression.gzip.level", "10", "must be 1 to 9 or -1, is 10"),
        ("broker", "compression.gzip.level", "-1", None),
        ("broker", "ssl.client.auth", "x", "must be one of required, requested, none; is x"),
        ("broker", "log.cleaner.io.buffer.load.factor", "much", "must be a number, is much"),
        ("topic", "cleanup.policy", "delete,compact", None),
        ("topic", "cleanup.policy", "keep", "must be one of compact, delete; is keep"),
        ("producer", "linger.ms", "-1", "must be 0 to 900000, is -1"),
        ("producer", "compression.type", "x", "must be one of none, gzip, snappy, lz4, zstd; is x"),
        ("zookeeper", "globalOutstandingLimit", "1k", "must be a whole number, is 1k"),
    ],
)
def test_a_value_out_of_its_range_is_refused(
    kind: str, name: str, value: str, wrong: str | None
) -> None:
    assert known.wrong_value(kind, name, value) == wrong


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        (
            "zookeeper",
            "jute.maxbuffer",
            "has no effect in zookeeper.properties: it is a property of the JVM",
        ),
        ("producer", "fetch.wait.max.ms", "is a consumer's setting, and this is a producer"),
        ("consumer", "linger.ms", "is a producer's setting, and this is a consumer"),
        ("broker", "listener.name.internal.ssl.keystore.location", None),
        ("zookeeper", "metricsProvider.httpPort", None),
    ],
)
def test_a_setting_that_has_no_effect_there_is_refused(
    kind: str, name: str, wrong: str | None
) -> None:
    assert known.wrong_name(kind, name) == wrong


def test_who_plans_a_change_learns_which_settings_need_a_restart() -> None:
    assert known.update_mode("min.insync.replicas") == "cluster-wide"
    assert known.update_mode("broker.id") == "read-only"
    assert known.update_mode("listeners") == "per-broker"
    assert set(names("topic")) >= {"min.insync.replicas", "retention.ms"}
