"""Loads an inventory: the YAML file in, a checked Cluster out, or every problem at once."""

from __future__ import annotations

from pathlib import Path

from cluster import checks, safety, shapes
from cluster.draft import Draft, draft
from cluster.model import (
    Alert,
    Cluster,
    Collector,
    Consumer,
    Database,
    Host,
    Machine,
    Ports,
    PostgresqlSink,
    Promise,
    Script,
    Server,
    Sink,
    SqliteSink,
    Ssh,
    Topic,
    Voter,
    Witness,
)
from cluster.problems import InventoryError, Problem
from cluster.yamltree import read

__all__ = [
    "CANARY", "Alert", "Cluster", "Collector", "Consumer", "Database", "Host", "InventoryError",
    "Machine", "Ports", "PostgresqlSink", "Problem", "Promise", "Script", "Server", "Sink",
    "SqliteSink", "Ssh", "Topic", "Voter", "Witness", "load",
]  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent
CANARY = "standfast.canary"


def load(path: Path, root: Path = ROOT) -> Cluster:
    """The cluster that the inventory at `path` describes.

    Paths in the inventory are relative to `root`, the repository. Raises InventoryError with every
    problem found.
    """
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    d = draft(read(path, shown))
    checks.check(d, root)
    risks = safety.check(d)
    if d.problems:
        raise InventoryError(dict.fromkeys(d.problems), shown)
    return _cluster(d, path.resolve(), root, risks)


def _cluster(d: Draft, path: Path, root: Path, risks: dict[str, str]) -> Cluster:
    # A draft without problems has every entry; the assertions say so to the type checker.
    assert d.name and d.ssh and d.promise and d.ports and d.kafka and d.zookeeper and d.feed
    ssh = d.ssh

    def inside(name: str | None) -> Path | None:
        return root / Path(name).expanduser() if name else None

    return Cluster(
        path=path,
        name=d.name,
        lab=d.lab,
        ssh=Ssh(ssh.user, ssh.port, inside(ssh.config), inside(ssh.known_hosts)),
        promise=Promise(**d.promise.model_dump()),
        ports=Ports(**d.ports.model_dump()),
        hosts={n: Host(n, **e.model_dump()) for n, e in d.hosts.items() if e},
        witnesses={n: Witness(n, **e.model_dump()) for n, e in d.witnesses.items() if e},
        databases={n: Database(n, **e.model_dump()) for n, e in d.databases.items() if e},
        kafka=_server(d.kafka, root),
        zookeeper=_server(d.zookeeper, root),
        topics={n: Topic(n, **e.model_dump()) for n, e in d.topics.items() if e},
        canary=Topic(CANARY, partitions=len(d.hosts), replication=3),
        sinks={n: _sink(n, e, root) for n, e in d.sinks.items() if e},
        feed=d.feed.settings,
        alert=Alert(tuple(d.alert.command or ()), d.alert.webhook or "") if d.alert else Alert(),
        consumers={n: _consumer(n, e) for n, e in d.consumers.items() if e},
        risks=risks,
    )


def _server(entry: shapes.Server, root: Path) -> Server:
    return Server(entry.heap, root / Path(entry.archive).expanduser(), entry.settings)


def _sink(name: str, entry: shapes.SqliteSink | shapes.PostgresqlSink, root: Path) -> Sink:
    if isinstance(entry, shapes.SqliteSink):
        return SqliteSink(name)
    fields = entry.model_dump(exclude={"kind"})
    fields["password_file"] = root / Path(entry.password_file).expanduser()
    return PostgresqlSink(name, **fields)


def _consumer(name: str, entry: shapes.Collector | shapes.Script) -> Consumer:
    if isinstance(entry, shapes.Collector):
        topics = tuple(entry.topics)
        return Collector(name, topics, entry.sink, entry.dead_letter, entry.settings)
    return Script(
        name=name,
        command=tuple(entry.command),
        files=tuple(Path(file) for file in entry.files),
        requirements=Path(entry.requirements) if entry.requirements else None,
        topics=tuple(entry.topics),
        watchdog=entry.watchdog,
        settings=entry.settings,
    )
