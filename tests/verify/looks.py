"""Everything that is seen of a cluster, asked once a session, of all at once."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from cluster import snapshot
from cluster.model import Cluster, Machine, Voter
from cluster.observed import (
    BrokerSeen,
    ClockSeen,
    MachineSeen,
    Registry,
    TopicsSeen,
    VoterSeen,
)
from cluster.render import Artifacts, FileSet, file_sets
from tasks import ask
from tests.verify import canary, machines
from tests.verify.outcome import unasked

T = TypeVar("T")


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
        port = cluster.ports.zookeeper
        address = {n: f"{v.address}:{port}" for n, v in cluster.voters.items()}
        self._voters = {
            n: start(lambda a=a: snapshot.voter(ask.voter(a))) for n, a in address.items()
        }
        address = {n: f"{h.address}:{cluster.ports.kafka}" for n, h in cluster.hosts.items()}
        self._brokers = {
            n: start(lambda a=a: snapshot.broker(ask.broker(a))) for n, a in address.items()
        }
        self._registry = start(lambda: snapshot.registry(ask.registry()))
        self._topics = start(lambda: snapshot.topics(ask.topics()))

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
