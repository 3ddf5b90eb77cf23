"""Writes docs/settings.md from the catalogue: `python -m cluster.docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cluster.catalogue import KINDS, Catalogue, Entry, Rule, catalogue, fill, names
from cluster.known import update_mode

TARGET = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
TITLES = {
    "broker": "Kafka: server.properties",
    "zookeeper": "ZooKeeper: zookeeper.properties",
    "topic": "Each topic",
    "producer": "The producer: producer.properties",
    "consumer": "Consumers: consumer.properties",
}
WHERE = {
    "broker": "kafka.settings",
    "zookeeper": "zookeeper.settings",
    "topic": "topics.NAME.settings",
    "producer": "feed.settings",
    "consumer": "consumers.NAME.settings",
}
MODES = {
    "read-only": "restart",
    "per-broker": "restart",
    "cluster-wide": "live, one broker after the other",
}
# What the catalogue's {names} stand for, in words.
WORDS = {
    "broker_id": "the host's `broker_id`",
    "address": "ADDRESS",
    "kafka_port": "PORT",
    "zookeeper_port": "`ports.zookeeper`",
    "zookeeper_connect": "every voter's ADDRESS:PORT",
    "replication": "3",
    "retention_days": "`retention_days`",
    "outage_days": "`outage_days`",
    "promised_ms": "`retention_days` + `outage_days`, in ms",
    "promised_minutes": "`retention_days` + `outage_days`, in minutes",
    "offsets_retention_minutes": "30 days, or twice `retention_days` + `outage_days`, in minutes",
    "id": "N",
    "voter_address": "ADDRESS",
    "peer_port": "PORT",
    "election_port": "PORT",
}
RULES = {"equals": "", "one_of": "", "at_least": "at least ", "at_most": "at most "}

HEAD = """\
# The settings, each with its reason

<!-- Written by `python -m cluster.docs` from cluster/catalogue/ and consumers/standfast/settings/.
     Change those. A test says whether this page is up to date. -->

What Standfast sets, in the order of the files on the hosts, where each line has its reason above
it. What is not listed has its own default. An inventory changes or adds settings under their own
names (`kafka.settings`, `zookeeper.settings`, `topics.NAME.settings`, `feed.settings`,
`consumers.NAME.settings`); a name that this version does not know is refused, and so is a value of
the wrong type.

**Refused unless accepted**: a value that could lose data needs an entry under `accept_risk` with
its path and a reason, which then stands above the setting in the rendered file:

```yaml
accept_risk:
  - setting: kafka.settings.log.flush.interval.messages
    reason: three feeds on three power lines, and the throughput is needed
```

The same goes for `promise.retention_days` below 7, `promise.outage_days` below 1,
`topics.NAME.replication` below 3, and a sink of `kind: sqlite` outside a lab.
"""


def text() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for kind in KINDS for line in _part(catalogue(kind)))])


def _part(about: Catalogue) -> Iterator[str]:
    kind = about.kind
    yield f"## {TITLES[kind]}\n"
    yield f"{about.version}; in the inventory: `{WHERE[kind]}`.\n"
    live = kind == "broker"
    for section in dict.fromkeys(entry.section for entry in about.written):
        yield f"### {section}\n"
        yield f"| Setting | Value | By default |{' A change |' if live else ''} Why |"
        yield f"|---|---|---|{'---|' if live else ''}---|"
        for entry in about.written:
            if entry.section == section:
                yield _row(kind, entry)
        yield ""
    checked = [entry for entry in about.entries if _rules(entry) or entry.owned]
    if checked:
        yield "### What is refused\n"
        yield "| Setting | Must be | Otherwise |"
        yield "|---|---|---|"
        yield from (_refusal(entry) for entry in checked)
        yield ""


def _row(kind: str, entry: Entry) -> str:
    name, value = fill(entry.name, WORDS), entry.value or ""
    shown = _words(value) if "{" in value else f"`{value}`"
    default = names(kind).get(entry.name, {}).get("default")
    cells = [f"`{name}`", shown, f"`{default}`" if default not in (None, "") else ""]
    if kind == "broker":
        cells.append(MODES[update_mode(entry.name)])
    return _table([*cells, _words(entry.reason)])


def _refusal(entry: Entry) -> str:
    others = "".join(f", `{alias}`" for alias in entry.aliases)
    setting = f"`{fill(entry.name, WORDS)}`{others}"
    if entry.owned:
        return _table([setting, f"left alone: decided by {entry.owned}", "refused"])
    (rule, accepted), *_ = _rules(entry)
    must = RULES[rule.kind] + " or ".join(_value(bound) for bound in rule.bound)
    return _table([setting, must, f"{_words(rule.why)}{'' if accepted else ' (always refused)'}"])


def _rules(entry: Entry) -> list[tuple[Rule, bool]]:
    """The entry's rules, each with whether breaking it can be accepted."""
    both = ((entry.limit, False), (entry.safe, True))
    return [(rule, accepted) for rule, accepted in both if rule is not None]


def _value(bound: str) -> str:
    return _words(bound) if "{" in bound else f"`{bound}`"


def _words(value: str) -> str:
    facts = {**WORDS, **{name: f"the brokers' `{name}`" for name in names("broker")}}
    return fill(value, facts)


def _table(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
