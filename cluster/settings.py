"""Every setting of every rendered file, with its reason: the one place that decides one.

The catalogue (data) says what is written and why, the inventory's overrides change it, and what is
computed is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cluster.catalogue import Catalogue, catalogue, fill
from cluster.model import Cluster, Collector, Host, Script, Topic, Voter, Witness

Facts = Mapping[str, object]
DAY_MINUTES = 24 * 60
DAY_MS = DAY_MINUTES * 60_000
OVERRIDES = "Set by the inventory"


@dataclass(frozen=True)
class Setting:
    """One line of a file: `reason` is the comment above it, `risk` why a risk was accepted."""

    name: str
    value: str
    reason: str
    section: str
    risk: str | None = None


def broker_settings(cluster: Cluster, host: Host) -> list[Setting]:
    """server.properties of `host`, in the order of the file."""
    facts = {**cluster_facts(cluster), "address": host.address, "broker_id": host.broker_id}
    return _settings(cluster, catalogue("broker"), facts, cluster.kafka.settings, "kafka.settings")


def zookeeper_settings(cluster: Cluster, machine: Host | Witness) -> list[Setting]:
    """zookeeper.properties of `machine`, in the order of the file."""
    facts = {**cluster_facts(cluster), "address": machine.address}
    overrides = cluster.zookeeper.settings
    return _settings(cluster, catalogue("zookeeper"), facts, overrides, "zookeeper.settings")


def topic_settings(cluster: Cluster, topic: Topic) -> list[Setting]:
    """What is set on `topic` itself."""
    facts = cluster_facts(cluster)
    facts |= broker_defaults(facts, cluster.kafka.settings)
    path = f"topics.{topic.name}.settings"
    rows = _settings(cluster, catalogue("topic"), facts, topic.settings, path)
    rows = [row if row.name in topic.settings else _following(cluster, row) for row in rows]
    accepted = _risk(cluster, f"topics.{topic.name}.replication")
    if accepted is None:
        return rows
    # The number of copies is no setting of Kafka's: its risk stands with their least number.
    text = f"replication {topic.replication}: {accepted}"
    return [
        replace(row, risk="; ".join(filter(None, (row.risk, text))))
        if row.name == "min.insync.replicas"
        else row
        for row in rows
    ]


def _following(cluster: Cluster, row: Setting) -> Setting:
    """A topic's setting that follows the brokers' carries the reason of their accepted risk too."""
    found = catalogue("topic").find(row.name)
    theirs = catalogue("broker").find((found[0].value or "").strip("{}")) if found else None
    if theirs is None:
        return row
    names = (theirs[0].name, *theirs[0].aliases)
    set_here = [name for name in names if name in cluster.kafka.settings]
    if set_here:
        return replace(row, risk=_risk(cluster, f"kafka.settings.{set_here[0]}"))
    promised = "promised_ms" in (theirs[0].value or "")
    return replace(row, risk=_promise_risk(cluster)) if promised else row


def producer_settings(cluster: Cluster) -> list[Setting]:
    """producer.properties: of the feed, and of the collectors for their dead letters."""
    return _settings(cluster, catalogue("producer"), {}, cluster.feed, "feed.settings")


def consumer_settings(cluster: Cluster, consumer: Collector | Script) -> list[Setting]:
    """consumer.properties of `consumer`."""
    path = f"consumers.{consumer.name}.settings"
    return _settings(cluster, catalogue("consumer"), {}, consumer.settings, path)


def promise_facts(retention_days: int, outage_days: int) -> dict[str, object]:
    """What follows from the days that the inventory promises."""
    days = retention_days + outage_days
    return {
        "retention_days": retention_days,
        "outage_days": outage_days,
        "promised_ms": days * DAY_MS,
        "promised_minutes": days * DAY_MINUTES,
        "offsets_retention_minutes": max(30, 2 * days) * DAY_MINUTES,
    }


def cluster_facts(cluster: Cluster) -> dict[str, object]:
    """What the catalogue's {names} stand for, but for those of a single machine."""
    return {
        **promise_facts(cluster.promise.retention_days, cluster.promise.outage_days),
        "replication": min(3, len(cluster.hosts)),
        "kafka_port": cluster.ports.kafka,
        "zookeeper_port": cluster.ports.zookeeper,
        "peer_port": cluster.ports.zookeeper_peer,
        "election_port": cluster.ports.zookeeper_election,
        "zookeeper_connect": cluster.zookeeper_connect,
    }


def broker_defaults(facts: Facts, overrides: Mapping[str, str]) -> dict[str, str]:
    """The brokers' effective values that need no machine, by name, in the unit of the catalogue."""
    values: dict[str, str] = {}
    for entry in catalogue("broker").written:
        if entry.owned is None and entry.value is not None:
            values[entry.name] = fill(entry.value, facts)
    for name, value in overrides.items():
        found = catalogue("broker").find(name)
        entry_name, unit = (found[0].name, found[1]) if found else (name, 1)
        values[entry_name] = value if unit == 1 else str(int(value) * unit)
    return values


def _settings(
    cluster: Cluster, known: Catalogue, facts: Facts, overrides: Mapping[str, str], path: str
) -> list[Setting]:
    rows: list[Setting] = []
    left = dict(overrides)
    for entry in known.written:
        assert entry.value is not None and entry.section is not None
        reason = fill(entry.reason, facts)
        name = next((n for n in (entry.name, *entry.aliases) if n in left), None)
        if name is not None:
            value = left.pop(name)
            default = f"{entry.name}={fill(entry.value, facts)}"
            reason = f"Set by the inventory ({path}.{name}), in place of {default}: {reason}"
            risk = _risk(cluster, f"{path}.{name}")
            rows.append(Setting(name, value, reason, entry.section, risk))
        elif entry.each == "voter":
            rows += _per_voter(cluster, entry.name, entry.value, reason, entry.section, facts)
        else:
            risk = _promise_risk(cluster) if "promised_ms" in entry.value else None
            rows.append(Setting(entry.name, fill(entry.value, facts), reason, entry.section, risk))
    for name, value in left.items():
        reason = f"Set by the inventory ({path}.{name})."
        rows.append(Setting(name, value, reason, OVERRIDES, _risk(cluster, f"{path}.{name}")))
    return rows


def _per_voter(
    cluster: Cluster, name: str, value: str, reason: str, section: str, facts: Facts
) -> list[Setting]:
    def of(voter: Voter, text: str) -> Setting:
        own = {**facts, "id": voter.zookeeper_id, "voter_address": voter.address}
        return Setting(fill(name, own), fill(value, own), text, section)

    first, *others = cluster.voters.values()
    return [
        of(first, f"{reason} This one is {first.name}."),
        *(of(v, f"{v.name}{', a witness' if isinstance(v, Witness) else ''}.") for v in others),
    ]


def _risk(cluster: Cluster, path: str) -> str | None:
    return cluster.risks.get(path)


def _promise_risk(cluster: Cluster) -> str | None:
    keys = ("promise.retention_days", "promise.outage_days")
    return "; ".join(filter(None, (cluster.risks.get(key) for key in keys))) or None
