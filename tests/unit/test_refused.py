"""What a cluster that holds data is refused, and that the sentence says what to do instead."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

import pytest

from cluster.catalogue import catalogue, fixed
from cluster.model import Cluster, Host
from cluster.observed import FileSeen, MachineSeen
from cluster.refused import Refusal, of_topics, refusals
from cluster.render import FileSet, file_sets
from standfast import topicplan
from tests.unit.verify_base import ARTIFACTS, lab, machine

SERVERS = ("zookeeper", "kafka")


def lab_with(**changes: object) -> Cluster:
    """The lab's inventory with other values: hosts__kafka1__broker_id=7."""
    cluster = lab()
    for path, value in changes.items():
        section, *rest = path.split("__")
        found = getattr(cluster, section)
        if len(rest) == 2:
            name, key = rest
            value = {**found, name: replace(found[name], **{key: value})}
        elif rest:
            value = replace(found, **{rest[0]: value})
        cluster = replace(cluster, **{section: value})
    return cluster


def rendered(cluster: Cluster, name: str) -> list[FileSet]:
    """The servers' sets; the consumers' need a password."""
    without = replace(cluster, consumers={})
    return file_sets(without, cluster.voters[name], ARTIFACTS)


def seen(name: str, **changes: Any) -> MachineSeen:
    """A machine of the lab that runs since its first deploy, with its data."""
    voter = lab().voters[name]
    number = {"broker.id": str(voter.broker_id)} if isinstance(voter, Host) else {}
    found = machine(name, myid=str(voter.zookeeper_id), meta_properties=number)
    return replace(found, **changes)


def refused(cluster: Cluster, **machines: MachineSeen) -> list[Refusal]:
    """By default, all of the lab's machines are there."""
    there = machines or {name: seen(name) for name in lab().voters if name in cluster.voters}
    return refusals(cluster, {name: rendered(cluster, name) for name in there}, there)


def whats(found: list[Refusal]) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    return {r.what: (r.old, r.new, r.hosts) for r in found}


def with_setting(found: MachineSeen, service: str, file: str, text: str) -> MachineSeen:
    """The machine with another text of a file in use."""
    here = found.sets[service]
    mark = here.current or ""
    there = {**here.files[mark], file: FileSeen("x", 0o644, "root", text)}
    here = replace(here, files={mark: there})
    return replace(found, sets={**found.sets, service: here})


def test_an_inventory_that_did_not_change_is_refused_nothing() -> None:
    assert refused(lab()) == []


def test_settings_that_may_change_are_refused_nothing() -> None:
    changed = {"zookeeper.session.timeout.ms": "7000", "num.io.threads": "9"}
    assert refused(lab_with(kafka__settings=changed, kafka__heap="1G")) == []


EVERY = tuple(lab().voters)
BROKERS = tuple(lab().hosts)
CHANGES: dict[str, tuple[dict[str, object], dict[str, tuple[str, str, tuple[str, ...]]]]] = {
    "a broker's id": (
        {"hosts__kafka2__broker_id": 7},
        {"hosts.kafka2.broker_id": ("2", "7", ("kafka2",))},
    ),
    "a voter's number": (
        {"hosts__kafka3__zookeeper_id": 9},
        {
            "hosts.kafka3.zookeeper_id": ("3", "9", ("kafka3",)),
            "voters": ("1 2 3 4 5", "1 2 4 5 9", EVERY),
        },
    ),
    "a witness's number": (
        {"witnesses__witness1__zookeeper_id": 9},
        {
            "witnesses.witness1.zookeeper_id": ("4", "9", ("witness1",)),
            "voters": ("1 2 3 4 5", "1 2 3 5 9", EVERY),
        },
    ),
    "a host's address": (
        {"hosts__kafka1__address": "198.18.0.99"},
        {"hosts.kafka1.address": ("198.18.0.11", "198.18.0.99", ("kafka1",))},
    ),
    "a witness's address": (
        {"witnesses__witness2__address": "198.18.0.99"},
        {"witnesses.witness2.address": ("198.18.0.15", "198.18.0.99", ("witness2",))},
    ),
    "the brokers' port": (
        {"ports__kafka": 9093},
        {"ports.kafka": ("9092", "9093", BROKERS)},
    ),
    "ZooKeeper's port": (
        {"ports__zookeeper": 2182},
        {"ports.zookeeper": ("2181", "2182", EVERY)},
    ),
    "the voters' port": (
        {"ports__zookeeper_peer": 2889},
        {"ports.zookeeper_peer": ("2888", "2889", EVERY)},
    ),
    "the elections' port": (
        {"ports__zookeeper_election": 3889},
        {"ports.zookeeper_election": ("3888", "3889", EVERY)},
    ),
    "an older protocol": (
        {"kafka__settings": {"inter.broker.protocol.version": "3.8-IV0"}},
        {"inter.broker.protocol.version": ("3.9-IV0", "3.8-IV0", BROKERS)},
    ),
    "the partitions of the groups' positions": (
        {"kafka__settings": {"offsets.topic.num.partitions": "20"}},
        {"offsets.topic.num.partitions": ("12", "20", BROKERS)},
    ),
    "the partitions of the transactions' states": (
        {"kafka__settings": {"transaction.state.log.num.partitions": "20"}},
        {"transaction.state.log.num.partitions": ("50", "20", BROKERS)},
    ),
    "the witnesses taken away": (
        {"witnesses": {}},
        {"voters": ("1 2 3 4 5", "1 2 3", BROKERS)},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_cannot_change_once_there_is_data_is_refused(name: str) -> None:
    changes, expected = CHANGES[name]
    found = refused(lab_with(**changes))
    assert whats(found) == expected
    for refusal in found:
        assert refusal.why
        assert refusal.instead
        assert str(refusal).startswith(f"{refusal.what}: {refusal.old} -> {refusal.new}: ")


def test_two_brokers_ids_that_were_swapped_name_each_other() -> None:
    found = refused(lab_with(hosts__kafka1__broker_id=2, hosts__kafka2__broker_id=1))
    assert [(r.what, r.why.partition(",")[0]) for r in found] == [
        ("hosts.kafka1.broker_id", "2 is kafka2's number"),
        ("hosts.kafka2.broker_id", "1 is kafka1's number"),
    ]


@pytest.mark.parametrize(
    ("service", "file", "setting"),
    [
        ("kafka", "server.properties", "log.dirs"),
        ("zookeeper", "zookeeper.properties", "dataDir"),
        ("zookeeper", "zookeeper.properties", "dataLogDir"),
    ],
)
def test_another_directory_for_the_data_is_refused(service: str, file: str, setting: str) -> None:
    """No inventory can ask for it; another version of Standfast might."""
    found = seen("kafka1")
    here = found.sets[service]
    text = here.files[here.current or ""][file].text or ""
    was = next(line for line in text.splitlines() if line.startswith(f"{setting}="))
    there = with_setting(found, service, file, text.replace(was, f"{setting}=/data"))
    assert list(whats(refused(lab(), kafka1=there))) == [setting]


def test_a_newer_protocol_is_not_refused() -> None:
    older = {"inter.broker.protocol.version": "3.8-IV0"}
    text = next(s for s in rendered(lab_with(kafka__settings=older), "kafka1") if s.unit and
                s.service == "kafka").files["server.properties"]  # fmt: skip
    there = with_setting(seen("kafka1"), "kafka", "server.properties", text)
    assert refused(lab(), kafka1=there) == []
    assert refused(lab_with(kafka__settings=older), kafka1=there) == []


def test_the_data_count_more_than_the_files_beside_them() -> None:
    """The files say 1, as the inventory does; the disk is another broker's, another voter's."""
    there = seen("kafka1", myid="2", meta_properties={"broker.id": "3"})
    assert whats(refused(lab(), kafka1=there)) == {
        "hosts.kafka1.broker_id": ("3", "1", ("kafka1",)),
        "hosts.kafka1.zookeeper_id": ("2", "1", ("kafka1",)),
    }


def test_a_machine_on_which_nothing_is_yet_may_have_any_number() -> None:
    bare = replace(seen("kafka1"), sets={}, myid="", meta_properties={})
    assert refused(lab_with(hosts__kafka1__broker_id=7), kafka1=bare) == []


def test_a_machine_without_sets_that_has_an_old_machines_disk_keeps_its_numbers() -> None:
    bare = replace(seen("kafka1"), sets={})
    found = refused(lab_with(hosts__kafka1__broker_id=7), kafka1=bare)
    assert list(whats(found)) == ["hosts.kafka1.broker_id"]


def test_a_first_start_that_failed_may_be_mended_by_any_change() -> None:
    found = seen("kafka1", myid="", meta_properties={})
    never = {service: replace(found.sets[service], good=None) for service in SERVERS}
    found = replace(found, sets={**found.sets, **never})
    assert (
        refused(lab_with(ports__kafka=9093, hosts__kafka1__address="198.18.0.99"), kafka1=found)
        == []
    )


def test_what_runs_counts_and_not_what_lies_there_for_the_next_roll() -> None:
    """The port was changed, staged, never rolled, and is put back: that is no change at all."""
    found = seen("kafka1")
    other = next(s for s in rendered(lab_with(ports__kafka=9093), "kafka1") if s.service == "kafka")
    files = {n: FileSeen("x", 0o644, "root", text) for n, text in other.files.items()}
    here = found.sets["kafka"]
    here = replace(here, staged="other", files={**here.files, "other": files})
    found = replace(found, sets={**found.sets, "kafka": here})
    assert refused(lab(), kafka1=found) == []


def test_a_changed_port_is_refused_whether_its_broker_runs_or_not() -> None:
    """What it runs with counts where it runs, what it would start with where it does not."""
    for links in ({"running": None}, {"current": "other"}):
        found = seen("kafka1")
        here = replace(found.sets["kafka"], **links)  # type: ignore[arg-type]
        found = replace(found, sets={**found.sets, "kafka": here})
        assert "ports.kafka" in whats(refused(lab_with(ports__kafka=9093), kafka1=found))


def test_one_voter_more_or_less_always_shares_one_between_old_and_new_majorities() -> None:
    """The arithmetic that the rule rests on, by trying every majority of both."""

    def may_split(old: set[int], new: set[int]) -> bool:
        return any(
            not set(a) & set(b)
            for a in combinations(sorted(old), len(old) // 2 + 1)
            for b in combinations(sorted(new), len(new) // 2 + 1)
        )

    for count in range(1, 7):
        voters = set(range(count))
        assert not may_split(voters, voters | {9})
        assert not may_split(voters | {9}, voters)
    assert may_split({1, 2, 3}, {1, 2, 3, 4, 5})
    assert may_split({1, 2, 3, 4, 5}, {1, 2, 3})
    assert may_split({1, 2, 3, 4, 5}, {1, 2, 3, 4, 6}), "one replaced by another is two changes"


def test_one_voter_more_is_not_refused() -> None:
    fewer = replace(lab(), witnesses={"witness1": lab().witnesses["witness1"]})
    assert refused(fewer, kafka1=seen("kafka1")) == []


def test_the_refused_witnesses_say_how_many_could_elect_two_leaders() -> None:
    (found,) = refused(lab_with(witnesses={}))
    assert "3 of the old 5 and 2 of the new 3 need not share one" in found.why


def test_every_sentence_belongs_to_a_setting_that_there_is() -> None:
    known = {e.name for kind in ("broker", "zookeeper") for e in catalogue(kind).entries}
    keys = ("hosts.NAME.", "ports.")
    others = {n for n in fixed() if not n.startswith(keys)} - {"voters"}
    assert others - known <= {
        "inter.broker.protocol.version",
        "transaction.state.log.num.partitions",
    }


# --- topics ---


def topics(wanted: topicplan.Topic, replicas: int = 3, partitions: int = 6) -> list[Refusal]:
    """What is refused of a topic that has so many partitions and replicas."""
    there = topicplan.Actual(tuple(tuple(range(1, replicas + 1)) for _ in range(partitions)), {})
    desired = topicplan.Desired(("a:1",), (1, 2, 3), (wanted,))
    changes = topicplan.differences(desired, {wanted.name: there})
    return of_topics([asdict(change) for change in changes])


def test_fewer_partitions_are_refused() -> None:
    (found,) = topics(topicplan.Topic("trades", 3, 3))
    assert str(found) == (
        "topics.trades.partitions: 6 -> 3: partitions cannot be taken away; state what it has, or "
        "make a new topic"
    )


def test_another_replication_factor_is_refused_once_for_all_partitions() -> None:
    (found,) = topics(topicplan.Topic("trades", 2, 2), partitions=2)
    assert (found.what, found.old, found.new) == (
        "topics.trades.replication (partition 0, 1)", "3", "2",
    )  # fmt: skip
    assert "reassignment" in found.instead


def test_more_partitions_and_other_settings_are_not_refused() -> None:
    assert topics(topicplan.Topic("trades", 9, 3, settings={"retention.ms": "1"})) == []
    assert of_topics([]) == []
