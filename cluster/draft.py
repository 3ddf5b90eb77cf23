"""An inventory as far as it could be read: each entry in its shape, or None where it has none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cluster import shapes
from cluster.problems import Problem, did_you_mean, shown

S = TypeVar("S", bound=shapes.Shape)
REQUIRED = ("name", "ssh", "promise", "hosts", "kafka", "zookeeper", "topics", "consumers")
OPTIONAL = ("lab", "witnesses", "databases", "ports", "sinks", "feed", "alert", "accept_risk")


@dataclass
class Draft:
    """The entries by name; `problems` is what was found so far."""

    raw: Mapping[str, Any]
    problems: list[Problem] = field(default_factory=list)
    name: str | None = None
    lab: str | None = None
    ssh: shapes.Ssh | None = None
    promise: shapes.Promise | None = None
    ports: shapes.Ports | None = None
    kafka: shapes.Server | None = None
    zookeeper: shapes.Server | None = None
    feed: shapes.Feed | None = None
    alert: shapes.Alert | None = None
    hosts: dict[str, shapes.Host | None] = field(default_factory=dict)
    witnesses: dict[str, shapes.Witness | None] = field(default_factory=dict)
    databases: dict[str, shapes.Database | None] = field(default_factory=dict)
    topics: dict[str, shapes.Topic | None] = field(default_factory=dict)
    sinks: dict[str, shapes.SqliteSink | shapes.PostgresqlSink | None] = field(default_factory=dict)
    consumers: dict[str, shapes.Collector | shapes.Script | None] = field(default_factory=dict)
    risks: list[tuple[int, shapes.AcceptRisk]] = field(default_factory=list)

    def problem(self, path: str, message: str) -> None:
        """Note that something is wrong at `path`."""
        self.problems.append(Problem(path, message))

    def entries(self, section: str) -> Mapping[str, Any]:
        """What stands under `section`, as it was written."""
        entries = self.raw.get(section)
        return entries if isinstance(entries, Mapping) else {}

    def overrides(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Kind, path and values of every `settings:`, whatever else is wrong with its entry."""
        for kind, section in (
            ("broker", "kafka"),
            ("zookeeper", "zookeeper"),
            ("producer", "feed"),
        ):
            yield kind, f"{section}.settings", shapes.values(self.entries(section))
        for kind, section in (("topic", "topics"), ("consumer", "consumers")):
            for name, entry in self.entries(section).items():
                yield kind, f"{section}.{name}.settings", shapes.values(entry)

    def refused(self, path: str) -> bool:
        """Whether something at `path` itself is wrong already."""
        return any(problem.path == path for problem in self.problems)


def draft(raw: Mapping[str, Any]) -> Draft:
    """Every entry of `raw` in its shape; what has none is a problem, and None."""
    d = Draft(raw)
    known = (*REQUIRED, *OPTIONAL)
    for key in raw:
        if key not in known:
            hint = did_you_mean(key, known) or f"; known here: {', '.join(known)}"
            d.problem(key, f"unknown key{hint}")
    for key in REQUIRED:
        if raw.get(key) in (None, {}, ""):
            verb = "is empty" if key in raw else "is missing"
            d.problem(key, f"{verb}; inventory/production.example.yml shows what belongs there")
    d.name = _name(d, raw.get("name"), "name", r"[a-z][a-z0-9-]{0,30}", "hyphens")
    d.lab = _name(d, raw.get("lab"), "lab", r"[a-z][a-z0-9]{0,11}", "no more than 12 of them")
    d.ssh = _one(d, raw, "ssh", shapes.Ssh)
    d.promise = _one(d, raw, "promise", shapes.Promise)
    d.kafka = _one(d, raw, "kafka", shapes.Server)
    d.zookeeper = _one(d, raw, "zookeeper", shapes.Server)
    d.ports = _one(d, {"ports": raw.get("ports") or {}}, "ports", shapes.Ports)
    d.feed = _one(d, {"feed": raw.get("feed") or {}}, "feed", shapes.Feed)
    if raw.get("alert") is not None:
        d.alert = _one(d, raw, "alert", shapes.Alert)
    d.hosts = _each(d, "hosts", shapes.Host)
    d.witnesses = _each(d, "witnesses", shapes.Witness)
    d.databases = _each(d, "databases", shapes.Database)
    d.topics = _each(d, "topics", shapes.Topic)
    for name, entry in _entries(d, "sinks").items():
        d.sinks[name] = _sink(d, entry, f"sinks.{name}")
    for name, entry in _entries(d, "consumers").items():
        path = f"consumers.{name}"
        if isinstance(entry, Mapping) and not {"command", "files"}.isdisjoint(entry):
            d.consumers[name] = shapes.fit(shapes.Script, entry, path, d.problems)
        else:
            d.consumers[name] = shapes.fit(shapes.Collector, entry, path, d.problems)
    _risks(d, raw.get("accept_risk"))
    return d


def _name(d: Draft, value: object, path: str, pattern: str, also: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        d.problem(
            path,
            f"must be lower-case letters, digits, {also}, and begin with a letter;"
            f" is {shown(value)}",
        )
        return None
    return value


def _one(d: Draft, raw: Mapping[str, Any], key: str, shape: type[S]) -> S | None:
    if raw.get(key) in (None, {}) and key in REQUIRED:
        return None  # said already
    return shapes.fit(shape, raw.get(key), key, d.problems)


def _entries(d: Draft, section: str) -> Mapping[str, Any]:
    written = d.raw.get(section)
    if written is not None and not isinstance(written, Mapping):
        d.problem(section, f"must be a mapping of names, is {shown(written)}")
    return d.entries(section)


def _each(d: Draft, section: str, shape: type[S]) -> dict[str, S | None]:
    return {
        name: shapes.fit(shape, entry, f"{section}.{name}", d.problems)
        for name, entry in _entries(d, section).items()
    }


def _sink(d: Draft, raw: Any, path: str) -> shapes.SqliteSink | shapes.PostgresqlSink | None:
    kind = raw.get("kind") if isinstance(raw, Mapping) else None
    if kind == "sqlite":
        return shapes.fit(shapes.SqliteSink, raw, path, d.problems)
    if kind == "postgresql":
        return shapes.fit(shapes.PostgresqlSink, raw, path, d.problems)
    if isinstance(raw, Mapping):
        what = f"is {shown(kind)}" if "kind" in raw else "is missing"
        d.problem(f"{path}.kind", f"must be sqlite or postgresql, {what}")
    else:
        d.problem(path, f"must be a mapping with kind: sqlite or postgresql; is {shown(raw)}")
    return None


def _risks(d: Draft, raw: object) -> None:
    if raw is None:
        return
    if not isinstance(raw, list):
        d.problem("accept_risk", f"must be a list of {{setting, reason}}, is {shown(raw)}")
        return
    for index, entry in enumerate(raw):
        risk = shapes.fit(shapes.AcceptRisk, entry, f"accept_risk[{index}]", d.problems)
        if risk is not None:
            d.risks.append((index, risk))
