"""Settings that are wrong only together: replication and min ISR, time-outs, the disk."""

from __future__ import annotations

from collections.abc import Mapping

from cluster import shapes
from cluster.catalogue import catalogue
from cluster.disk import DAY_MS, Demand, too_small
from cluster.draft import Draft
from cluster.known import whole
from cluster.settings import broker_defaults, promise_facts

KAFKA = "kafka.settings"


def check_together(d: Draft) -> None:
    """Add to the draft's problems, as far as the values that belong together could be read."""
    if d.kafka is not None and d.promise is not None and d.hosts:
        _replication(d)
        _disk(d)
    _zookeeper_sessions(d)
    for name, consumer in d.consumers.items():
        if consumer is not None:
            _consumer_sessions(d, consumer, f"consumers.{name}.settings")


def _sound(d: Draft, path: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """The overrides that have no problem of their own."""
    return {name: value for name, value in overrides.items() if not d.refused(f"{path}.{name}")}


def _brokers(d: Draft) -> dict[str, str]:
    assert d.kafka is not None and d.promise is not None
    facts = {
        **promise_facts(d.promise.retention_days, d.promise.outage_days),
        "replication": min(3, len(d.hosts)),
    }
    return broker_defaults(facts, _sound(d, KAFKA, d.kafka.settings))


def _replication(d: Draft) -> None:
    assert d.kafka is not None
    brokers, set_here = _brokers(d), d.kafka.settings
    for name in (
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
    ):
        if int(brokers[name]) > len(d.hosts) >= 3:
            d.problem(
                f"{KAFKA}.{name}",
                f"must be at most {len(d.hosts)}, the number of hosts, is {brokers[name]}",
            )
    for isr, factor in (
        ("min.insync.replicas", "default.replication.factor"),
        ("transaction.state.log.min.isr", "transaction.state.log.replication.factor"),
    ):
        name = factor if factor in set_here and isr not in set_here else isr
        if isr in set_here or factor in set_here:
            _below(d, f"{KAFKA}.{name}", int(brokers[isr]), int(brokers[factor]), name == isr)
    for topic_name, topic in d.topics.items():
        if topic is None:
            continue
        own = _sound(d, f"topics.{topic_name}.settings", topic.settings)
        min_isr = int(own.get("min.insync.replicas", brokers["min.insync.replicas"]))
        if "min.insync.replicas" in own:
            place = f"topics.{topic_name}.settings.min.insync.replicas"
            _below(d, place, min_isr, topic.replication, True)
        elif topic.replication < 3:
            _below(d, f"topics.{topic_name}.replication", min_isr, topic.replication, False)


def _below(d: Draft, place: str, min_isr: int, replication: int, at_isr: bool) -> None:
    if min_isr < replication or d.refused(place):
        return
    values = (
        f"must be below the replication, {replication}, is {min_isr}"
        if at_isr
        else f"must be above min.insync.replicas, {min_isr}, is {replication}"
    )
    d.problem(place, f"{values}: with one machine down nothing could be written")


def _disk(d: Draft) -> None:
    assert d.promise is not None
    brokers = _brokers(d)
    retention, roll = int(brokers["log.retention.ms"]), int(brokers["log.roll.ms"])
    replication = 1
    for name, topic in d.topics.items():
        if topic is None:
            continue
        own = _sound(d, f"topics.{name}.settings", topic.settings)
        replication = max(replication, topic.replication)
        kept = whole(own.get("retention.ms", ""))
        if kept is not None:
            retention = -1 if -1 in (kept, retention) else max(retention, kept)
        roll = max(roll, whole(own.get("segment.ms", "")) or 0)
    sizes = [entry.disk or d.promise.disk for entry in d.hosts.values() if entry is not None]
    smallest = min([d.promise.disk, *sizes])
    if retention < 0:
        d.problem("promise.disk", "no disk holds records that are kept without end (retention -1)")
        return
    demand = Demand(
        bytes_per_day=d.promise.bytes_per_day,
        retention_days=retention / DAY_MS,
        roll_days=roll / DAY_MS,
        replication=min(replication, len(d.hosts)),
        hosts=len(d.hosts),
    )
    message = too_small(demand, smallest)
    if message is not None:
        named = [
            f"hosts.{name}.disk"
            for name, entry in d.hosts.items()
            if entry is not None and entry.disk == smallest
        ]
        d.problem(named[0] if named and smallest < d.promise.disk else "promise.disk", message)


def _zookeeper_sessions(d: Draft) -> None:
    if d.kafka is None or d.zookeeper is None:
        return
    name = "zookeeper.session.timeout.ms"
    ours = _sound(d, KAFKA, d.kafka.settings)
    theirs = _sound(d, "zookeeper.settings", d.zookeeper.settings)
    session = _number("broker", ours, name)
    tick = _number("zookeeper", theirs, "tickTime")
    least = _number("zookeeper", theirs, "minSessionTimeout", 2 * tick)
    most = _number("zookeeper", theirs, "maxSessionTimeout", 20 * tick)
    if least <= session <= most:
        return
    if name in ours:
        d.problem(
            f"{KAFKA}.{name}",
            f"must be {least} to {most}, is {session}: ZooKeeper allows 2 to 20 ticks"
            f" of {tick} ms, and takes the nearest without a word",
        )
    else:
        key = next(k for k in ("tickTime", "minSessionTimeout", "maxSessionTimeout") if k in theirs)
        d.problem(
            f"zookeeper.settings.{key}",
            f"allows sessions of {least} to {most} ms, and the brokers ask for {session}"
            f" ({KAFKA}.{name})",
        )


def _consumer_sessions(d: Draft, consumer: shapes.Collector | shapes.Script, path: str) -> None:
    own = _sound(d, path, consumer.settings)

    def value(name: str) -> int:
        return _number("consumer", own, name)

    session, beat = value("session.timeout.ms"), value("heartbeat.interval.ms")
    poll = value("max.poll.interval.ms")
    if beat * 3 > session:
        name = "heartbeat.interval.ms" if "heartbeat.interval.ms" in own else "session.timeout.ms"
        d.problem(
            f"{path}.{name}",
            f"three heartbeats of {beat} ms must fit into a session of {session} ms,"
            " or one that is lost looks like a death",
        )
    if session > poll:
        name = "session.timeout.ms" if "session.timeout.ms" in own else "max.poll.interval.ms"
        d.problem(
            f"{path}.{name}",
            f"the session, {session} ms, must not be longer than max.poll.interval.ms, {poll}",
        )


def _number(kind: str, own: Mapping[str, str], name: str, default: int | None = None) -> int:
    """The whole number that `name` has: the override, or what the catalogue says."""
    given = whole(own.get(name, ""))
    if given is not None:
        return given
    if default is not None:
        return default
    found = catalogue(kind).find(name)
    assert found is not None and found[0].value is not None, name
    return int(found[0].value)
