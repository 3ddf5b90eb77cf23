"""Render every file that a host holds, as immutable sets under their fingerprint.

The one way from the inventory to a host's files: the roles stage what this returns, the
verification compares
the hosts with it, and a plan shows the difference.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cluster import settings
from cluster.model import Cluster, Collector, Host, Machine, Script, Witness

ROOT = Path(__file__).resolve().parent.parent
SETS = "/etc/standfast"
KEPT = (
    16  # hexadecimal digits of a fingerprint: enough to tell sets apart, short enough to read aloud
)


@dataclass(frozen=True)
class Artifact:
    """An archive that a host holds unpacked at `path`, without the first `strip` folders of its
    names. `link`, where it has one, always leads to the newest.
    """

    path: str
    strip: int = 0
    link: str | None = None


@dataclass(frozen=True)
class Artifacts:
    """What is installed beside the rendered files; `scripts` maps a consumer's name to its own
    libraries.
    """

    kafka: Artifact
    zookeeper: Artifact
    host: Artifact
    scripts: Mapping[str, Artifact] = field(default_factory=dict)


@dataclass(frozen=True)
class FileSet:
    """The files of one service on one host.

    `service` names the folder under /etc/standfast, `unit` its systemd unit (None where nothing
    runs),
    `user` whom the service runs as, `files` maps a name to its text, `links` maps a name to where
    the system
    looks for it, `secrets` names those that only that user may read, and that are never shown.
    """

    service: str
    unit: str | None
    user: str
    files: Mapping[str, str]
    links: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 (hexadecimal) of each file, by name."""
        return {name: sha256(text) for name, text in sorted(self.files.items())}

    @property
    def fingerprint(self) -> str:
        """SHA-256 over every file's name and content, the first 16 hexadecimal digits of it."""
        return sha256(json.dumps([self.user, self.digests]))[:KEPT]

    @property
    def path(self) -> str:
        """Where the set lies on its host."""
        return f"{SETS}/{self.service}/{self.fingerprint}"


def sha256(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_sets(cluster: Cluster, machine: Machine, artifacts: Artifacts) -> list[FileSet]:
    """Every set that `machine` holds, in the order in which its services start."""
    render = _Renderer(cluster, artifacts)
    if isinstance(machine, Host):
        return [
            render.base(machine),
            render.zookeeper(machine),
            render.kafka(machine),
            render.topics(),
            render.probe(machine),
            render.alert(machine),
            render.guardian(machine),
            *(render.consumer(machine, c) for c in cluster.consumers.values()),
        ]
    if isinstance(machine, Witness):
        return [
            render.base(machine),
            render.zookeeper(machine),
            render.probe(machine),
            render.alert(machine),
        ]
    return []


class _Renderer:
    """The templates with what all of them are given: the cluster and where its archives lie."""

    def __init__(self, cluster: Cluster, artifacts: Artifacts) -> None:
        self.cluster = cluster
        self.artifacts = artifacts
        self.templates = environment()

    def text(self, service: str, template: str, **values: object) -> str:
        return self.templates.get_template(f"{template}.j2").render(
            cluster=self.cluster,
            artifacts=self.artifacts,
            etc=f"{SETS}/{service}",
            **values,
        )

    def set_of(
        self,
        service: str,
        user: str,
        *names: str,
        links: Mapping[str, str] | None = None,
        **values: object,
    ) -> FileSet:
        files = {name: self.text(service, f"{service}/{name}", **values) for name in names}
        unit = next((name for name in names if name.endswith(".service")), None)
        return FileSet(service, unit, user, files, links or _unit_link(unit))

    def base(self, machine: Host | Witness) -> FileSet:
        links = {
            "sysusers.conf": "/etc/sysusers.d/standfast.conf",
            "sysctl.conf": "/etc/sysctl.d/60-standfast.conf",
            "time-wait.conf": "/etc/systemd/system/systemd-time-wait-sync.service.d/standfast.conf",
            "profile.sh": "/etc/profile.d/standfast.sh",
        }
        return self.set_of(
            "base", "root", *links, links=links, voter=True, broker=isinstance(machine, Host)
        )

    def zookeeper(self, machine: Host | Witness) -> FileSet:
        return self.set_of(
            "zookeeper", "zookeeper", "zookeeper.properties", "logback.xml", "zookeeper.service",
            machine=machine, settings=settings.zookeeper_settings(self.cluster, machine),
            others=",".join(
                f"{v.address}:{self.cluster.ports.zookeeper}"
                for v in self.cluster.voters.values() if v.name != machine.name
            ),
        )  # fmt: skip

    def kafka(self, machine: Host) -> FileSet:
        port = self.cluster.ports.zookeeper
        others = [v for v in self.cluster.voters.values() if v.name != machine.name]
        rows = settings.broker_settings(self.cluster, machine)
        return self.set_of(
            "kafka", "kafka", "server.properties", "log4j.properties", "kafka.service",
            machine=machine, settings=rows, flush=_flushes(rows),
            # Its own ZooKeeper first: the nearest answer is the fastest.
            zookeepers=",".join(f"{v.address}:{port}" for v in [machine, *others]),
        )  # fmt: skip

    def topics(self) -> FileSet:
        cluster = self.cluster
        topics = [*cluster.topics.values(), cluster.canary]
        return self.set_of(
            "topics", "standfast", "topics.toml",
            bootstrap=cluster.bootstrap.split(","),
            brokers=sorted(h.broker_id for h in cluster.hosts.values()),
            topics=[(t, settings.topic_settings(cluster, t)) for t in topics],
        )  # fmt: skip

    def probe(self, machine: Host | Witness) -> FileSet:
        cluster, ports = self.cluster, self.cluster.ports
        voters = [v for v in cluster.voters.values() if v.name != machine.name]
        brokers = [h for h in cluster.hosts.values() if h.name != machine.name]
        return self.set_of(
            "probe", "root", "probe.toml", "standfast-probe.service",
            machine=machine, witness=isinstance(machine, Witness),
            # Its own restarts it does not see: it counts from its first look.
            units=[unit for name, unit in cluster.units(machine.name).items() if name != "probe"],
            zookeeper_peers=[f"{v.address}:{ports.zookeeper}" for v in voters],
            kafka_peers=[f"{h.address}:{ports.kafka}" for h in brokers],
        )  # fmt: skip

    def alert(self, machine: Host | Witness) -> FileSet:
        user, unit = "standfast-alert", "standfast-alert.service"
        files = {
            "alert.toml": self.text("alert", "alert/alert.toml", machine=machine),
            unit: self.text("alert", f"alert/{unit}", machine=machine, user=user),
        }
        # A webhook's address may be all that it takes to write to it.
        secrets = frozenset({"alert.toml"} if self.cluster.alert.webhook else ())
        return FileSet("alert", unit, user, files, _unit_link(unit), secrets)

    def guardian(self, machine: Host) -> FileSet:
        cluster, port = self.cluster, self.cluster.ports.zookeeper
        rows = settings.broker_settings(cluster, machine)
        others = [v for v in cluster.voters.values() if v.name != machine.name]
        return self.set_of(
            "guardian", "kafka", "guardian.toml", "standfast-guardian.service",
            machine=machine, zookeepers=[f"{v.address}:{port}" for v in [machine, *others]],
            min_isr=next(row.value for row in rows if row.name == "min.insync.replicas"),
            flush=_flushes(rows),
        )  # fmt: skip

    def consumer(self, machine: Host, consumer: Collector | Script) -> FileSet:
        cluster, name = self.cluster, consumer.name
        unit = f"consumer-{name}.service"
        files: dict[str, str] = {}
        secrets: frozenset[str] = frozenset()
        values: dict[str, object] = {"machine": machine, "consumer": consumer}
        if isinstance(consumer, Collector):
            sink = cluster.sinks[consumer.sink]
            files["collector.toml"] = self.text(
                name, "consumers/collector.toml", sink=sink,
                risk=cluster.risks.get(f"sinks.{sink.name}.kind"),
                bootstrap=cluster.bootstrap.split(","), **values,
            )  # fmt: skip
            if sink.kind == "postgresql":
                files["pgpass"] = (
                    f"{sink.host}:{sink.port}:{sink.database}:{sink.user}:{sink.password()}\n"
                )
                secrets = frozenset({"pgpass"})
            running: dict[str, object] = {"command": None, "watchdog": True}
        else:
            own = self.artifacts.scripts.get(name)
            libraries = [*([own] if own else []), self.artifacts.host]
            running = {
                "command": shlex.join(consumer.command),
                "watchdog": consumer.watchdog,
                "pythonpath": ":".join(f"{a.path}/lib" for a in libraries),
            }
            files |= {path.name: (ROOT / path).read_text() for path in consumer.files}
        files[unit] = self.text(name, "consumers/consumer.service", **values, **running)
        for kind, rows in (
            ("consumer", settings.consumer_settings(cluster, consumer)),
            ("producer", settings.producer_settings(cluster)),
        ):
            template = f"consumers/{kind}.properties"
            files[f"{kind}.properties"] = self.text(name, template, settings=rows, **values)
        return FileSet(name, unit, "standfast", files, _unit_link(unit), secrets)


@cache
def environment() -> Environment:
    """Jinja2 over templates/: an unknown name is an error; a value can be put as a comment or as
    TOML.
    """
    env = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    env.filters["comment"] = _comment
    env.filters["toml"] = json.dumps  # lists of strings and of numbers are the same text in both
    env.filters["groupby_in_order"] = _by_section
    return env


def _flushes(rows: Iterable[settings.Setting]) -> bool:
    """Whether a broker flushes each record before it acknowledges it."""
    return any(r.name == "log.flush.interval.messages" and r.value == "1" for r in rows)


def _unit_link(unit: str | None) -> dict[str, str]:
    return {unit: f"/etc/systemd/system/{unit}"} if unit else {}


def _comment(text: str) -> str:
    lines = textwrap.wrap(
        " ".join(text.split()), width=98, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(f"# {line}" for line in lines)


def _by_section(
    rows: Iterable[settings.Setting],
) -> Iterator[tuple[str, list[settings.Setting]]]:
    for section, group in groupby(rows, key=lambda row: row.section):
        yield section, list(group)
