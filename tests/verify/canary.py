"""A canary: one record through each broker, into every sink, and what became of it.

It flies in a topic of its own with one partition led by each broker, and lands in a table of its
own: nothing of a user's is touched.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from confluent_kafka import KafkaException

import connect
from cluster.model import Cluster, Collector, Host
from cluster.observed import Finding
from cluster.render import Artifacts
from cluster.settings import producer_settings
from tests.verify import machines

ACKNOWLEDGED = 10.0  # seconds for an acknowledgement
ARRIVED = 20.0  # seconds until it is in every sink
PAUSE = 0.5


@dataclass(frozen=True)
class Arrival:
    """A canary record in a sink; a record that two hosts' files hold is one."""

    partition: int
    offset: int
    broker: int | None


@dataclass
class Flight:
    """`unsent`: why nothing went through a broker, by id; the rest by consumer."""

    token: str
    partitions: Mapping[int, int]  # broker id to the partition that it leads
    unsent: dict[int, str] = field(default_factory=dict)
    arrivals: dict[str, set[Arrival]] = field(default_factory=dict)
    complaints: dict[str, str] = field(default_factory=dict)
    waited: float = 0.0


def landed(flight: Flight, consumer: str, broker: int) -> list[Finding]:
    """The canary that went through `broker` is in the consumer's sink, once."""
    partition = flight.partitions[broker]
    what = f"canary {flight.token}, partition {partition}"
    if broker in flight.unsent:
        where = f"journalctl -u kafka.service on the host of broker {broker}"
        return [Finding(what, f"acknowledged by broker {broker}", flight.unsent[broker], where)]
    here = [a for a in flight.arrivals.get(consumer, set()) if a.partition == partition]
    if len(here) == 1 and here[0].broker == broker:
        return []
    where = f"journalctl -u consumer-{consumer}.service on every host; its sink"
    complaint = flight.complaints.get(consumer)
    found = f"not there after {flight.waited:.0f} s" + (f" ({complaint})" if complaint else "")
    if len(here) > 1:
        found = f"{len(here)} times, at offsets {', '.join(str(a.offset) for a in here)}"
        where = "the producer's enable.idempotence; the brokers' journals"
    elif here:
        found = f"another record: it names broker {here[0].broker}"
    return [Finding(what, f"once in the sink of {consumer}", found, where)]


def fly(cluster: Cluster, artifacts: Artifacts) -> Flight:
    """Send one record through each broker; wait until all are in every sink, or too long."""
    brokers = sorted(host.broker_id for host in cluster.hosts.values())
    flight = Flight(secrets.token_hex(8), {broker: n for n, broker in enumerate(brokers)})
    _send(cluster, flight)
    sent = [broker for broker in brokers if broker not in flight.unsent]
    began = time.monotonic()
    left = dict(machines.collectors(cluster)) if sent else {}
    turn = 0
    while left and flight.waited < ARRIVED:
        if turn:
            time.sleep(PAUSE)
        _ask(cluster, artifacts, flight, left, turn)
        flight.waited, turn = time.monotonic() - began, turn + 1
        wanted = {flight.partitions[broker] for broker in sent}
        for name in list(left):
            if wanted <= {a.partition for a in flight.arrivals.get(name, set())}:
                del left[name]
    return flight


def _send(cluster: Cluster, flight: Flight) -> None:
    topic = cluster.canary.name
    settings = {row.name: row.value for row in producer_settings(cluster)}
    flight.unsent = dict.fromkeys(flight.partitions, f"nothing within {ACKNOWLEDGED:g} s")
    try:
        producer = connect.producer(settings)
        found = producer.list_topics(topic, timeout=ACKNOWLEDGED / 2).topics[topic]
    except KafkaException as error:
        flight.unsent = dict.fromkeys(
            flight.partitions, f"no broker answers: {error.args[0].str()}"
        )
        return
    if found.error is not None:
        flight.unsent = dict.fromkeys(flight.partitions, f"topic {topic}: {found.error.str()}")
        return

    for broker, partition in flight.partitions.items():
        leader = found.partitions[partition].leader if partition in found.partitions else -1
        if leader != broker:
            now = f"is led by broker {leader}" if leader >= 0 else "has no leader"
            flight.unsent[broker] = (
                f"partition {partition} {now}, nothing went through broker {broker}"
            )
            continue

        def acknowledged(error: object, _: object, broker: int = broker) -> None:
            if error is None:
                del flight.unsent[broker]
            else:
                flight.unsent[broker] = str(error)

        producer.produce(
            topic,
            key=flight.token,
            value=str(broker),
            partition=partition,
            on_delivery=acknowledged,
        )
    if producer.flush(ACKNOWLEDGED):
        producer.purge()


def _ask(
    cluster: Cluster, artifacts: Artifacts, flight: Flight, left: Mapping[str, Collector], turn: int
) -> None:
    hosts = list(cluster.hosts.values())
    asked: list[tuple[Collector, Host]] = []
    for consumer in left.values():
        # Each host has a part of a SQLite sink; a server's sink looks the same from everywhere.
        parts = cluster.sinks[consumer.sink].kind == "sqlite"
        asked += [(consumer, host) for host in (hosts if parts else [hosts[turn % len(hosts)]])]

    def tally(pair: tuple[Collector, Host]) -> None:
        consumer, host = pair
        tool = f"{artifacts.host.link}/bin/standfast"
        config = f"/etc/standfast/{consumer.name}/current/collector.toml"
        # As the consumers' user: root would leave files in the sink that they cannot write.
        command = f"runuser -u standfast -- {tool} tally {config} --canary {flight.token}"
        try:
            rows = json.loads(machines.run(host, command, seconds=10))["canary"]
        except (OSError, ValueError) as error:
            flight.complaints[consumer.name] = f"{host.name}: {error}"
            return
        arrivals = {Arrival(row["partition"], row["offset"], row["broker"]) for row in rows}
        flight.arrivals.setdefault(consumer.name, set()).update(arrivals)

    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        list(pool.map(tally, asked))
