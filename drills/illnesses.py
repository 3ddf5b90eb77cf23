"""The ways in which a cluster can be ill, as states that a lab is brought into, and healed from.

Each is a context manager: it makes the lab ill, yields whether a snapshot shows it, and heals.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import connect
from cluster.model import Cluster
from cluster.observed import Snapshot, TopicsSeen
from cluster.settings import producer_settings
from cluster.snapshot import DATA
from drills.fab import fab
from drills.outside import outside
from drills.power import boot
from drills.wait import NotYet, wait_until
from lab.machine import Lab

Shown = Callable[[Snapshot], bool]
TOPIC = "trades"
COLLECTOR = "consumer-collector.service"
BALLAST = "/var/lib/kafka/ballast"
ROOM = 60_000_000  # bytes that a full disk has left: the lab's must live through it
GUARDIAN = "standfast-guardian.service"


@dataclass(frozen=True)
class Patient:
    """The lab that is made ill. `well` is how it was before."""

    cluster: Cluster
    lab: Lab
    well: Snapshot

    def tool(self, host: str, command: str) -> str:
        """One of Kafka's own tools on a host; "$KAFKA" are the brokers."""
        return connect.run(host, f"bash -lc {shlex.quote(command)}", seconds=90)


# --- what a snapshot shows ---


def gone(seen: Snapshot, *brokers: int) -> bool:
    """These brokers are neither registered nor in any set of in-sync replicas."""
    left = {n for t in seen.topics.topics.values() for p in t.partitions for n in p.isr}
    known = not seen.registry.complaint and not seen.topics.complaint
    return known and not left & set(brokers) and not seen.registry.brokers.keys() & set(brokers)


def behind(seen: Snapshot, group: str) -> int:
    """The records that a group has not read."""
    committed = seen.groups[group].committed if group in seen.groups else {}
    return sum(
        end - committed.get(topic, {}).get(partition, 0)
        for topic, ends in seen.ends.items()
        for partition, end in ends.items()
    )


def inactive(seen: Snapshot, host: str, unit: str) -> bool:
    """A unit does not run."""
    shown = seen.machines[host].units.get(unit, {}) if host in seen.machines else {}
    return bool(shown) and shown.get("ActiveState") != "active"


# --- the states ---


@contextmanager
def healthy(it: Patient) -> Iterator[Shown]:
    """Nothing is wrong."""
    yield lambda _: True


@contextmanager
def broker_missing(it: Patient) -> Iterator[Shown]:
    """kafka2's broker is stopped."""
    with _stopped("kafka.service", "kafka2"):
        yield lambda seen: gone(seen, 2)


@contextmanager
def broker_unmentioned(it: Patient) -> Iterator[Shown]:
    """kafka3's broker is stopped, and no partition has a replica there: Kafka calls itself whole.

    As where a host of the inventory never was in the cluster, or was taken out of it.
    """
    before = {n: [list(p.replicas) for p in t.partitions] for n, t in it.well.topics.topics.items()}
    without = {n: [[b for b in r if b != 3] for r in rows] for n, rows in before.items()}
    try:
        _reassign(it, without)
        with _stopped("kafka.service", "kafka3"):
            yield lambda seen: gone(seen, 3) and placed(seen.topics, without)
    finally:
        _reassign(it, before)


def placed(seen: TopicsSeen, wanted: Mapping[str, list[list[int]]]) -> bool:
    """Each partition has these replicas, all in sync."""
    here = {n: [list(p.replicas) for p in t.partitions] for n, t in seen.topics.items()}
    synced = all(set(p.isr) == set(p.replicas) for t in seen.topics.values() for p in t.partitions)
    return here == wanted and synced


@contextmanager
def machine_dead(it: Patient) -> Iterator[Shown]:
    """kafka2 died without a word."""
    with _dead(it, "kafka2"):
        yield lambda seen: gone(seen, 2) and "kafka2" in seen.unasked


@contextmanager
def two_machines_dead(it: Patient) -> Iterator[Shown]:
    """kafka2 and kafka3 died at once, and no guardian runs; the witnesses keep a quorum."""
    with _stopped(GUARDIAN, *it.cluster.hosts), _dead(it, "kafka2", "kafka3"):
        yield lambda seen: gone(seen, 2, 3) and not seen.registry.complaint


@contextmanager
def last_stand(it: Patient) -> Iterator[Shown]:
    """As two machines dead, and kafka1's guardian lets it take writes alone."""
    with _dead(it, "kafka2", "kafka3"):
        yield (
            lambda seen: (
                gone(seen, 2, 3)
                and seen.registry.last_stand is not None
                and all(
                    t.settings.get("min.insync.replicas") == "1"
                    for t in seen.topics.topics.values()
                )
            )
        )


@contextmanager
def all_down(it: Patient) -> Iterator[Shown]:
    """All three hosts are dead; the witnesses live, and are no quorum."""
    with _dead(it, *it.cluster.hosts):
        yield lambda seen: len(seen.unasked) == 3 and not any(v.state for v in seen.voters.values())


@contextmanager
def one_left(it: Patient) -> Iterator[Shown]:
    """kafka3 is the only machine that lives: it is no quorum."""
    with _dead(it, *(name for name in it.cluster.voters if name != "kafka3")):
        yield lambda seen: len(seen.unasked) == 4 and not any(v.state for v in seen.voters.values())


@contextmanager
def narrowed(it: Patient) -> Iterator[Shown]:
    """As one left, and an operator gave it ZooKeeper's ensemble alone."""
    dead = [name for name in it.cluster.voters if name != "kafka3"]
    try:
        with outside():
            it.lab.kill(*dead)

        def begun() -> bool:
            """Refused while the one that is left has not noticed yet that it is alone."""
            done = fab(it.cluster.path, "last-stand", "kafka3", "--off", ",".join(dead))
            if done.code:
                raise NotYet(done.text)
            return True

        wait_until(begun, 90, "the last stand to begin", every=2)
        yield (
            lambda seen: (
                len(seen.unasked) == 4
                and seen.registry.last_stand is not None
                and not seen.topics.complaint
                and all(p.leader == 3 for t in seen.topics.topics.values() for p in t.partitions)
                and not any(group.complaint for group in seen.groups.values())
            )
        )
    finally:
        with outside():
            boot(it.lab, dead, print, wait=False)
        for name in dead:
            fab(it.cluster.path, "rejoin", name)


@contextmanager
def under_min_isr(it: Patient) -> Iterator[Shown]:
    """The brokers of kafka2 and kafka3 are stopped, and no guardian runs: nothing has the two
    copies that it needs.
    """
    with _stopped(GUARDIAN, *it.cluster.hosts), _stopped("kafka.service", "kafka2", "kafka3"):
        yield lambda seen: gone(seen, 2, 3)


@contextmanager
def one_replica(it: Patient) -> Iterator[Shown]:
    """Somebody made a topic with a single copy."""
    name = "scratch"
    more = "--partitions 1 --replication-factor 1 --config min.insync.replicas=1"
    it.tool("kafka1", f'kafka-topics.sh --bootstrap-server "$KAFKA" --create --topic {name} {more}')
    try:
        yield lambda seen: name in seen.topics.topics
    finally:
        it.tool("kafka1", f'kafka-topics.sh --bootstrap-server "$KAFKA" --delete --topic {name}')


@contextmanager
def zookeeper_out_of_sync(it: Patient) -> Iterator[Shown]:
    """A ZooKeeper follower stands still: it answers nobody, and its leader counts one fewer."""
    followers = [n for n in it.cluster.hosts if it.well.voters[n].state == "follower"]
    host, most = followers[-1], len(it.cluster.voters) - 1
    _signal(host, "zookeeper.service", "STOP")
    try:
        yield lambda seen: any(
            v.state == "leader" and v.synced == most - 1 for v in seen.voters.values()
        )
    finally:
        _signal(host, "zookeeper.service", "CONT")


@contextmanager
def zookeeper_no_quorum(it: Patient) -> Iterator[Shown]:
    """Three of five voters are stopped; the brokers go on, and nothing can be changed."""
    with _stopped("zookeeper.service", "kafka3", *it.cluster.witnesses):
        yield (
            lambda seen: (
                bool(seen.registry.complaint)
                and not any(v.state for v in seen.voters.values())
                and not seen.topics.complaint
            )
        )


@contextmanager
def disk_full(it: Patient) -> Iterator[Shown]:
    """Something else than Kafka fills kafka2's disk."""
    size = f"$(($(df --output=avail -B1 /var/lib/kafka | tail -n 1) - {ROOM}))"
    connect.run("kafka2", f"bash -c {shlex.quote(f'fallocate -l {size} {BALLAST}')}")
    try:
        yield lambda seen: seen.machines["kafka2"].disks[DATA].free < 1.2 * ROOM
    finally:
        connect.run("kafka2", f"rm -f {BALLAST}")


@contextmanager
def consumer_down(it: Patient) -> Iterator[Shown]:
    """The collector on kafka2 is stopped; the others have not yet taken over its partitions."""
    with _stopped(COLLECTOR, "kafka2"):
        _send(it.cluster)
        yield lambda seen: inactive(seen, "kafka2", COLLECTOR) and _waits(seen)


@contextmanager
def consumers_down(it: Patient) -> Iterator[Shown]:
    """The collector is stopped on every host: records wait that nobody reads."""
    with _stopped(COLLECTOR, *it.cluster.hosts):
        _send(it.cluster)
        yield (
            lambda seen: (
                all(inactive(seen, host, COLLECTOR) for host in it.cluster.hosts) and _waits(seen)
            )
        )


State = Callable[[Patient], AbstractContextManager[Shown]]
STATES: dict[str, State] = {
    state.__name__.replace("_", "-"): state
    for state in (
        healthy, broker_missing, broker_unmentioned, machine_dead, two_machines_dead, last_stand,
        all_down, one_left, narrowed, under_min_isr, one_replica, zookeeper_out_of_sync,
        zookeeper_no_quorum, disk_full, consumer_down, consumers_down,
    )
}  # fmt: skip


# --- how ---


@contextmanager
def _stopped(unit: str, *hosts: str) -> Iterator[None]:
    try:
        _done(connect.each(hosts, lambda h: connect.run(h, f"systemctl stop {unit}", seconds=90)))
        yield
    finally:
        _done(connect.each(hosts, lambda h: connect.run(h, f"systemctl start {unit}", seconds=90)))


def _done(answers: Mapping[str, object]) -> None:
    for answer in answers.values():
        if isinstance(answer, OSError):
            raise answer


@contextmanager
def _dead(it: Patient, *hosts: str) -> Iterator[None]:
    try:
        with outside():
            it.lab.kill(*hosts)
        yield
    finally:
        with outside():  # together: one alone may wait for the others before it has booted
            boot(it.lab, hosts, print, wait=False)


def _signal(host: str, unit: str, what: str) -> None:
    connect.run(host, f"systemctl kill --signal={what} {unit}")


def _waits(seen: Snapshot) -> bool:
    return behind(seen, "collector") > 0 and seen.groups["collector"].waiting is not None


def _send(cluster: Cluster, count: int = 60) -> None:
    """Some trades, all acknowledged. Raises OSError."""
    from standfast.trades import trade

    producer = connect.producer({row.name: row.value for row in producer_settings(cluster)})
    for number in range(count):
        key, value = trade(1, number)
        producer.produce(TOPIC, key=key, value=value)
    if left := producer.flush(30):
        raise OSError(f"{left} of {count} records to {TOPIC} were not acknowledged within 30 s")


def _reassign(it: Patient, wanted: Mapping[str, list[list[int]]]) -> None:
    """Move every partition's replicas, and wait until they are there."""
    rows: list[dict[str, Any]] = [
        {"topic": topic, "partition": n, "replicas": replicas}
        for topic, partitions in wanted.items()
        for n, replicas in enumerate(partitions)
    ]
    plan = shlex.quote(json.dumps({"version": 1, "partitions": rows}))
    tool = 'kafka-reassign-partitions.sh --bootstrap-server "$KAFKA" --reassignment-json-file'
    begin = f"printf %s {plan} > /tmp/plan.json && {tool} /tmp/plan.json --execute"
    # It refuses a broker that is not registered: one that was started a moment ago.
    wait_until(lambda: it.tool("kafka1", begin), 60, "the reassignment to begin", every=2)
    done = f"{tool} /tmp/plan.json --verify | grep -q 'still in progress'"
    it.tool("kafka1", f"for n in $(seq 20); do {done} || exit 0; sleep 1; done; exit 1")
