"""Everything that is seen of a cluster, asked once a session, of all at once."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource

import connect
from cluster.model import Cluster, Machine, Voter
from cluster.observed import (
    BrokerSeen,
    ClockSeen,
    MachineSeen,
    Partition,
    Registry,
    TopicSeen,
    TopicsSeen,
    VoterSeen,
)
from cluster.render import Artifacts, FileSet, file_sets
from tests.verify import canary, machines
from tests.verify.outcome import unasked

T = TypeVar("T")
PATIENCE = 6.0  # seconds for an answer of Kafka's


class Looks:
    """What was seen, by machine. What a machine could not be asked ends the check that wants it."""

    def __init__(self, cluster: Cluster, artifacts: Artifacts) -> None:
        self.cluster = cluster
        self.artifacts = artifacts
        self._sets = {n: file_sets(cluster, v, artifacts) for n, v in cluster.voters.items()}
        many = 2 * len(cluster.machines) + len(cluster.voters) + len(cluster.hosts) + 3
        self._pool = ThreadPoolExecutor(max_workers=many)
        start = self._pool.submit
        # The canary first: it needs the longest, and the others' answers do not wait for it.
        self._canary = start(canary.fly, cluster, artifacts)
        self._machines = {n: start(self._look, v) for n, v in cluster.voters.items()}
        self._clocks = {n: start(self._clock, m) for n, m in cluster.machines.items()}
        self._voters = {n: start(_voter, cluster, v) for n, v in cluster.voters.items()}
        address = {n: f"{h.address}:{cluster.ports.kafka}" for n, h in cluster.hosts.items()}
        self._brokers = {n: start(_broker, a) for n, a in address.items()}
        self._registry = start(_registry)
        self._topics = start(_topics)

    def sets(self, name: str) -> list[FileSet]:
        """The sets as rendered for a machine with a voter."""
        return self._sets[name]

    def machine(self, name: str) -> MachineSeen:
        """What was seen of a machine with a voter."""
        return _answer(self._machines[name], name)

    def clocks(self, name: str) -> dict[str, ClockSeen]:
        """The clocks of all machines that answer; `name` must."""
        own = _answer(self._clocks[name], name)
        others = {n: f.result() for n, f in self._clocks.items() if f.exception() is None}
        return {**others, name: own}

    def voters(self) -> dict[str, VoterSeen]:
        """What each voter says of itself."""
        return {name: future.result() for name, future in self._voters.items()}

    def broker(self, name: str) -> BrokerSeen:
        """What the broker on a host answers itself."""
        return self._brokers[name].result()

    def registry(self) -> Registry:
        """What ZooKeeper holds of Kafka."""
        return self._registry.result()

    def topics(self) -> TopicsSeen:
        """Every topic of the cluster."""
        return self._topics.result()

    def canary(self) -> canary.Flight:
        """What became of this session's canary."""
        return self._canary.result()

    def close(self) -> None:
        """Let go of whatever is still being asked."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look(self, machine: Voter) -> MachineSeen:
        paths = machines.archives(self.cluster, machine, self.artifacts)
        owners = machines.owners(self.cluster, machine)
        return machines.look(machine, self._sets[machine.name], paths, owners)

    def _clock(self, machine: Machine) -> ClockSeen:
        # After the machine was looked at: the connection stands, and it is not busy with that.
        if look := self._machines.get(machine.name):
            error = look.exception()
            if isinstance(error, machines.Unreachable):
                raise error
        return machines.clock(machine)


def _answer(future: Future[T], name: str) -> T:
    try:
        return future.result()
    except OSError as error:
        unasked(name, error)


def _voter(cluster: Cluster, voter: Voter) -> VoterSeen:
    address = f"{voter.address}:{cluster.ports.zookeeper}"
    try:
        conf = connect.zookeeper_answer(address, "conf")
        mntr = connect.zookeeper_answer(address, "mntr")
    except OSError as error:
        return VoterSeen(complaint=f"{address} does not answer ({error.strerror or error})")
    return parse_voter(conf, mntr)


def parse_voter(conf: str, mntr: str) -> VoterSeen:
    """A voter out of its answers to `conf` and `mntr`."""
    figures = dict(line.split("\t", 1) for line in mntr.splitlines() if "\t" in line)
    state, synced = figures.get("zk_server_state", ""), figures.get("zk_synced_followers", "")
    return VoterSeen(
        state=state if state in ("leader", "follower") else "",
        members=tuple(line for line in conf.splitlines() if line.startswith("server.")),
        synced=int(float(synced)) if synced else None,
    )


def _broker(address: str) -> BrokerSeen:
    try:
        return BrokerSeen(connect.broker_answer(address))
    except OSError as error:
        return BrokerSeen(complaint=f"{address} does not answer ({error})")


def _registry() -> Registry:
    try:
        return parse_registry(connect.registry())
    except OSError as error:
        return Registry(complaint=str(error))


def parse_registry(found: dict[str, Any]) -> Registry:
    """Kafka's registrations out of {path: content} of ZooKeeper."""
    brokers = {
        int(path.rpartition("/")[2]): f"{content['host']}:{content['port']}"
        for path, content in found.items()
        if path.startswith("/brokers/ids/")
    }
    identity, controller = found.get("/cluster/id") or {}, found.get("/controller") or {}
    return Registry(brokers, identity.get("id"), controller.get("brokerid"))


def _topics() -> TopicsSeen:
    admin = connect.admin()
    try:
        topics = admin.list_topics(timeout=PATIENCE).topics
        settings = _settings(admin, list(topics))
    except KafkaException as error:
        return TopicsSeen(complaint=f"no broker says ({error.args[0].str()})")
    found = {}
    for name, topic in topics.items():
        partitions = tuple(
            Partition(p.leader, tuple(p.replicas), tuple(p.isrs))
            for _, p in sorted(topic.partitions.items())
        )
        effective, own = settings.get(name, ({}, {}))
        found[name] = TopicSeen(name, partitions, effective, own)
    return TopicsSeen(found)


def _settings(
    admin: AdminClient, names: list[str]
) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    # DescribeConfigs refuses an empty list.
    answers = admin.describe_configs(resources, request_timeout=PATIENCE) if resources else {}
    found = {}
    for resource, future in answers.items():
        entries = future.result().values()
        own = [e for e in entries if int(e.source) == ConfigSource.DYNAMIC_TOPIC_CONFIG.value]
        found[resource.name] = (
            {e.name: str(e.value) for e in entries},
            {e.name: str(e.value) for e in own},
        )
    return found
