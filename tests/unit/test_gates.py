"""The roll's gates, over what a real lab answered: open when it is well, shut for each illness."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster import gates
from cluster.due import Due
from cluster.observed import Finding, GroupSeen, Snapshot
from tests.unit.snapshots_base import seen
from tests.unit.verify_base import lab, sets

CLUSTER = lab()
BROKERS = ("kafka1", "kafka2", "kafka3")


def step(host: str, service: str = "kafka", down: bool = False) -> Due:
    """A restart of a service on a host, with the set that the snapshots show as running."""
    wanted = next(s for s in sets(host) if s.service == service)
    return Due(
        host, service, wanted.unit or "", "restart", wanted.fingerprint, "before", (), {}, down
    )


def before(name: str, host: str, service: str = "kafka", down: bool = False) -> str:
    return said(gates.before(CLUSTER, seen(name), step(host, service, down)))


def said(findings: list[Finding]) -> str:
    return " | ".join(str(finding) for finding in findings)


EVERY_STEP = [
    (host, s.service) for host in CLUSTER.voters for s in sets(host) if s.unit is not None
]


@pytest.mark.parametrize(("host", "service"), EVERY_STEP)
def test_a_healthy_cluster_opens_every_gate(host: str, service: str) -> None:
    healthy = seen("healthy")
    due = step(host, service)
    assert said(gates.before(CLUSTER, healthy, due)) == ""
    assert said(gates.after(CLUSTER, healthy, due, healthy)) == ""
    assert said(gates.around(CLUSTER, healthy, due, healthy)) == ""


# Each illness, whom it keeps from being restarted, and what is said of it.
SHUT = {
    "a broker is missing": ("broker-missing", "kafka1", "not registered"),
    "a broker is missing and Kafka does not mention it": (
        "broker-unmentioned",
        "kafka1",
        "not registered",
    ),
    "a machine is dead": ("machine-dead", "kafka1", "kafka2"),
    "a partition is under its min ISR": ("under-min-isr", "kafka1", "in-sync replicas"),
    "a topic has one replica": ("one-replica", "", "expected more than one replica, found one"),
    "a follower is out of sync": ("zookeeper-out-of-sync", "kafka1", "in sync with it"),
    "an answer cannot be parsed": ("unreadable", "kafka1", "makes no sense"),
    "a disk is nearly full": ("disk-full", "kafka1", "a tenth"),
    "two machines are dead": ("two-machines-dead", "kafka1", "expected"),
    "all hosts are dead": ("all-down", "kafka1", "expected"),
}


@pytest.mark.parametrize("illness", SHUT)
def test_an_illness_elsewhere_keeps_every_broker_from_a_restart(illness: str) -> None:
    name, host, words = SHUT[illness]
    hosts = [host] if host else BROKERS
    assert any(words in before(name, h) for h in hosts), [before(name, h) for h in hosts]


@pytest.mark.parametrize("name", [name for name, _, _ in SHUT.values() if name != "one-replica"])
def test_an_illness_elsewhere_keeps_every_voter_from_a_restart(name: str) -> None:
    assert before(name, "witness1", "zookeeper")


@pytest.mark.parametrize("name", [name for name, _, _ in SHUT.values() if name != "one-replica"])
def test_an_illness_elsewhere_keeps_every_consumer_from_a_restart(name: str) -> None:
    assert before(name, "kafka1", "collector")


@pytest.mark.parametrize("name", ["broker-missing", "broker-unmentioned"])
def test_a_broker_that_is_down_may_be_started_whatever_else_is_ill(name: str) -> None:
    ill = seen(name)
    (missing,) = [h for h in BROKERS if CLUSTER.hosts[h].broker_id not in ill.registry.brokers]
    assert before(name, missing, down=True) == ""
    others = [h for h in BROKERS if h != missing]
    assert all(before(name, h) for h in others)


def test_a_broker_that_is_down_waits_for_a_zookeeper_quorum() -> None:
    ill = replace(seen("broker-missing"), voters=seen("all-down").voters)
    found = said(gates.before(CLUSTER, ill, step("kafka2", down=True)))
    assert "a quorum with a leader" in found or any(
        v.state == "leader" for v in ill.voters.values()
    )


def test_a_broker_that_is_down_is_not_started_onto_a_full_disk() -> None:
    ill = seen("disk-full")
    full = [h for h in BROKERS if gates.disks(CLUSTER, ill, [h])]
    assert full
    assert "a tenth" in before("disk-full", full[0], down=True)


def test_a_voter_out_of_sync_may_be_restarted_itself_and_no_other() -> None:
    ill = seen("zookeeper-out-of-sync")
    sick = [n for n, v in ill.voters.items() if not v.state]
    assert len(sick) == 1
    assert before("zookeeper-out-of-sync", sick[0], "zookeeper") == ""
    others = [name for name in CLUSTER.voters if name != sick[0]]
    assert all(before("zookeeper-out-of-sync", name, "zookeeper") for name in others)


@pytest.mark.parametrize("part", ["voters", "registry", "brokers", "topics"])
def test_what_was_not_asked_counts_as_ill(part: str) -> None:
    from cluster.snapshot import snapshot
    from tests.unit.snapshots_base import answers

    found = answers("healthy")
    del found[part]
    assert gates.before(CLUSTER, snapshot(found), step("kafka1"))


def test_a_host_that_cannot_be_asked_is_not_touched() -> None:
    ill = replace(seen("healthy"), machines={}, unasked={"kafka1": "no answer"})
    for service in ("zookeeper", "kafka", "probe", "collector"):
        assert "no answer" in said(gates.before(CLUSTER, ill, step("kafka1", service)))


def test_a_broker_that_the_inventory_does_not_have_shuts_the_gate() -> None:
    healthy = seen("healthy")
    more = {**healthy.registry.brokers, 9: "198.18.0.19:9092"}
    ill = replace(healthy, registry=replace(healthy.registry, brokers=more))
    found = said(gates.before(CLUSTER, ill, step("kafka1")))
    assert "broker 9: expected no such broker" in found


def test_the_last_of_a_consumer_waits_until_another_host_runs_it() -> None:
    healthy = seen("healthy")
    unit = "consumer-collector.service"
    stopped = {
        name: replace(m, units={**m.units, unit: {"ActiveState": "inactive"}})
        for name, m in healthy.machines.items()
    }
    ill = replace(healthy, machines=stopped)
    assert "none runs" in said(gates.before(CLUSTER, ill, step("kafka1", "collector")))


# --- after ---


def changed(host: str, service: str, **values: object) -> Snapshot:
    """The healthy cluster, with another state of one service's set on one host."""
    healthy = seen("healthy")
    machine = healthy.machines[host]
    here = replace(machine.sets[service], **values)  # type: ignore[arg-type]
    machine = replace(machine, sets={**machine.sets, service: here})
    return replace(healthy, machines={**healthy.machines, host: machine})


def test_a_process_that_runs_the_old_set_is_not_well() -> None:
    old = changed("kafka1", "kafka", running="old", started="old")
    assert "found with old" in said(gates.after(CLUSTER, old, step("kafka1"), old))


def test_a_process_that_is_started_again_and_again_is_not_well() -> None:
    healthy = seen("healthy")
    unit = {"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "2"}
    machine = healthy.machines["kafka1"]
    machine = replace(machine, units={**machine.units, "kafka.service": unit})
    ill = replace(healthy, machines={**healthy.machines, "kafka1": machine})
    found = said(gates.after(CLUSTER, ill, step("kafka1"), ill))
    assert "activating (auto-restart), started again 2 times" in found


@pytest.mark.parametrize("name", ["broker-missing", "broker-unmentioned", "under-min-isr"])
def test_a_broker_that_does_not_rejoin_is_not_well_and_the_others_are_not_blamed(
    name: str,
) -> None:
    ill = seen(name)
    missing = [h for h in BROKERS if CLUSTER.hosts[h].broker_id not in ill.registry.brokers]
    well = [h for h in BROKERS if h not in missing]
    for host in missing:
        machine = seen("healthy").machines[host]
        shown = replace(ill, machines={**ill.machines, host: machine})
        found = said(gates.after(CLUSTER, shown, step(host), shown))
        assert "found not registered" in found
    for host in well:
        assert said(gates.after(CLUSTER, ill, step(host), ill)) == ""
        assert gates.around(CLUSTER, ill, step(host), ill)


def test_after_a_voters_restart_all_must_follow() -> None:
    ill = seen("zookeeper-out-of-sync")
    (sick,) = [n for n, v in ill.voters.items() if not v.state]
    assert gates.after(CLUSTER, ill, step(sick, "zookeeper"), ill)
    well = next(n for n in CLUSTER.voters if n != sick)
    assert said(gates.after(CLUSTER, ill, step(well, "zookeeper"), ill)) == ""
    assert gates.around(CLUSTER, ill, step(well, "zookeeper"), ill)


def test_a_consumer_that_stands_still_is_not_well() -> None:
    healthy = seen("healthy")
    stuck = {"collector": GroupSeen({"trades": {0: 5}})}
    began = replace(healthy, groups={**healthy.groups, **stuck}, ends={"trades": {0: 9}})
    found = said(gates.after(CLUSTER, began, step("kafka1", "collector"), began))
    assert "stands still at trades/0" in found
    read_on = {"collector": GroupSeen({"trades": {0: 6}})}
    now = replace(began, groups={**began.groups, **read_on})
    assert said(gates.after(CLUSTER, now, step("kafka1", "collector"), began)) == ""


def test_a_consumer_whose_positions_cannot_be_read_is_not_well() -> None:
    healthy = seen("healthy")
    groups = {**healthy.groups, "collector": GroupSeen(complaint="its coordinator does not say")}
    ill = replace(healthy, groups=groups)
    found = said(gates.after(CLUSTER, ill, step("kafka1", "collector"), healthy))
    assert "its coordinator does not say" in found
