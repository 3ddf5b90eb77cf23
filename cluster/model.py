"""A cluster as the inventory describes it, after every check: what all the rest works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

# The services that every cluster has, each with its unit, in the order in which a roll takes them.
UNITS = {
    "zookeeper": "zookeeper.service",
    "kafka": "kafka.service",
    "probe": "standfast-probe.service",
    "alert": "standfast-alert.service",
    "guardian": "standfast-guardian.service",
}
WITNESSED = ("zookeeper", "probe", "alert")  # those that a witness has as well
AIDES = ("probe", "alert", "guardian")  # no copy of a record is missed while one restarts

Settings = Mapping[str, str]  # a server's or client's settings: name to value, both as in its file


@dataclass(frozen=True)
class Ssh:
    """How the controller reaches the machines. Paths are absolute; None means SSH's own default."""

    user: str
    port: int
    config: Path | None
    known_hosts: Path | None


@dataclass(frozen=True)
class Promise:
    """How long records are kept and how much comes in; `bytes_per_day` and `disk` in bytes."""

    retention_days: int
    outage_days: int
    bytes_per_day: int
    disk: int


@dataclass(frozen=True)
class Ports:
    """TCP ports, the same on every machine."""

    kafka: int
    zookeeper: int
    zookeeper_peer: int
    zookeeper_election: int


@dataclass(frozen=True)
class Host:
    """A machine with a broker and a ZooKeeper voter; `disk` in bytes, None for the promise's;
    `fence` the command that switches it off, () where there is none.
    """

    name: str
    address: str
    broker_id: int
    zookeeper_id: int
    disk: int | None = None
    fence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Witness:
    """A machine with a ZooKeeper voter and nothing else; `fence` as a host's."""

    name: str
    address: str
    zookeeper_id: int
    disk: int | None = None
    fence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Database:
    """A machine of the lab that PostgreSQL is installed on."""

    name: str
    address: str
    disk: int | None = None


@dataclass(frozen=True)
class Server:
    """Kafka or ZooKeeper: the JVM's heap ("384M"), the archive, what the inventory overrides."""

    heap: str
    archive: Path
    settings: Settings


@dataclass(frozen=True)
class Topic:
    """A topic; `settings` are the inventory's overrides alone."""

    name: str
    partitions: int
    replication: int
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class SqliteSink:
    """A file on each host: the lab's embedded default."""

    name: str
    kind: Literal["sqlite"] = "sqlite"


@dataclass(frozen=True)
class PostgresqlSink:
    """A PostgreSQL that somebody runs; the password lies in a file on the controller."""

    name: str
    host: str
    port: int
    database: str
    user: str
    password_file: Path
    kind: Literal["postgresql"] = "postgresql"

    def password(self) -> str:
        """The password. Raises OSError, with a sentence, where its file is missing or empty."""
        try:
            text = self.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise OSError(
                f"sinks.{self.name}.password_file: {self.password_file} cannot be read"
                f" ({error.strerror}); put the password of {self.user} into it"
            ) from None
        if not text:
            raise OSError(f"sinks.{self.name}.password_file: {self.password_file} is empty")
        return text


@dataclass(frozen=True)
class Collector:
    """A consumer of Standfast's own, that writes topics into a sink."""

    name: str
    topics: tuple[str, ...]
    sink: str
    dead_letter: str
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Script:
    """A consumer that users bring. `files` and `requirements` are relative to the repository."""

    name: str
    command: tuple[str, ...]
    files: tuple[Path, ...]
    requirements: Path | None
    topics: tuple[str, ...]
    watchdog: bool
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """Who is told of an alarm: a program on each machine with its arguments, or a web address;
    neither: nobody.
    """

    command: tuple[str, ...] = ()
    webhook: str = ""


Voter = Host | Witness
Machine = Host | Witness | Database
Sink = SqliteSink | PostgresqlSink
Consumer = Collector | Script


@dataclass(frozen=True)
class Cluster:
    """Everything that an inventory says. `path` is absolute; `risks` maps a path in the inventory
    (`kafka.settings.log.flush.interval.messages`) to the reason why its risk was accepted."""

    path: Path
    name: str
    lab: str | None
    ssh: Ssh
    promise: Promise
    ports: Ports
    hosts: dict[str, Host]
    witnesses: dict[str, Witness]
    databases: dict[str, Database]
    kafka: Server
    zookeeper: Server
    topics: dict[str, Topic]
    canary: Topic
    sinks: dict[str, Sink]
    feed: Settings
    consumers: dict[str, Consumer]
    alert: Alert
    risks: dict[str, str]

    @property
    def is_lab(self) -> bool:
        """True where the hosts live in this machine's lab, and may be harmed."""
        return self.lab is not None

    @property
    def voters(self) -> dict[str, Voter]:
        """Hosts and witnesses in the order of their ZooKeeper ids."""
        both: list[Voter] = [*self.hosts.values(), *self.witnesses.values()]
        return {voter.name: voter for voter in sorted(both, key=lambda v: v.zookeeper_id)}

    @property
    def machines(self) -> dict[str, Machine]:
        """Hosts, witnesses and databases, in the inventory's order."""
        return {**self.hosts, **self.witnesses, **self.databases}

    @property
    def services(self) -> list[str]:
        """Every service by name, in the order in which a roll takes them."""
        return [*UNITS, *self.consumers]

    def units(self, machine: str) -> dict[str, str]:
        """The unit of each service of a machine, in the same order; none of a database's."""
        if machine in self.witnesses:
            return {name: UNITS[name] for name in WITNESSED}
        if machine not in self.hosts:
            return {}
        return {**UNITS, **{name: f"consumer-{name}.service" for name in self.consumers}}

    @property
    def bootstrap(self) -> str:
        """Every broker as `address:port`, joined by commas."""
        return ",".join(f"{host.address}:{self.ports.kafka}" for host in self.hosts.values())

    @property
    def zookeeper_connect(self) -> str:
        """Every voter as `address:port`, joined by commas, in the order of their ids."""
        return ",".join(f"{v.address}:{self.ports.zookeeper}" for v in self.voters.values())
