"""The catalogue: every setting that Standfast sets or checks, as data, with its reason.

An entry of cluster/catalogue/*.yml has
  name     the setting
  value    what is written; {names in braces} are computed from the inventory
  reason   why, in sentences: the comment above its line
  each     `voter`: one line for each voter
  owned    which key of the inventory decides it, so that it cannot be overridden as a setting
  aliases  other names of the same setting, each with its unit as a multiple of this one's
  safe     a rule {equals | one_of | at_least | at_most, why}: breaking it needs accept_risk
  limit    the same, but breaking it is refused
cluster/catalogue/fixed.yml says what cannot change any more once a cluster holds data.
The settings of librdkafka's clients are read from the package that runs on the hosts, their second
names from cluster/names/librdkafka.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from cluster.problems import InventoryError, Problem

HERE = Path(__file__).resolve().parent
CLIENTS = HERE.parent / "consumers" / "standfast" / "settings"
# Which list of legal names each kind of setting has, in cluster/names.
NAMES = {
    "broker": "kafka-broker.json",
    "zookeeper": "zookeeper.json",
    "topic": "kafka-topic.json",
    "producer": "librdkafka.json",
    "consumer": "librdkafka.json",
}
KINDS = tuple(NAMES)
CLIENT_KINDS = ("producer", "consumer")


@dataclass(frozen=True)
class Rule:
    """What a value must be, as text with {names}, and what happens otherwise."""

    kind: str  # equals, one_of, at_least, at_most
    bound: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Entry:
    """One setting of the catalogue; `section` and `value` are None where it is only checked."""

    name: str
    section: str | None = None
    value: str | None = None
    reason: str = ""
    each: str | None = None
    owned: str | None = None
    aliases: Mapping[str, int] = field(default_factory=dict)
    safe: Rule | None = None
    limit: Rule | None = None


@dataclass(frozen=True)
class Catalogue:
    """One file's settings, in its order, and the names that are legal beside the known ones."""

    kind: str
    file: str
    version: str
    entries: tuple[Entry, ...]
    plugin_names: tuple[str, ...]
    plugin_prefixes: tuple[str, ...]

    @property
    def written(self) -> list[Entry]:
        """The settings that are written into the file, in its order."""
        return [entry for entry in self.entries if entry.section is not None]

    def find(self, name: str) -> tuple[Entry, int] | None:
        """The entry that `name` belongs to, and `name`'s unit as a multiple of the entry's."""
        for entry in self.entries:
            if name == entry.name:
                return entry, 1
            if name in entry.aliases:
                return entry, entry.aliases[name]
            if "{" in entry.name and re.fullmatch(fill(entry.name, {"id": r"\d+"}), name):
                return entry, 1
        return None


@dataclass(frozen=True)
class Fixed:
    """Why something cannot change once there is data, and what to do instead."""

    why: str
    instead: str


@cache
def fixed() -> Mapping[str, Fixed]:
    """What cannot change once there is data, by the inventory's key or the setting's name."""
    raw = yaml.safe_load((HERE / "catalogue" / "fixed.yml").read_text(encoding="utf-8"))
    return {name: Fixed(**entry) for name, entry in raw.items()}


@cache
def names(kind: str) -> dict[str, dict[str, Any]]:
    """Every legal setting of `kind`, one of KINDS, with its "type", "default", "valid" and more.

    Raises InventoryError where the list is missing: it is part of the repository.
    """
    path = HERE / "names" / NAMES[kind]
    try:
        found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InventoryError([Problem("", f"cannot be read: {error}")], path) from None
    return found


@cache
def catalogue(kind: str) -> Catalogue:
    """The catalogue of `kind`, one of KINDS."""
    raw = yaml.safe_load((HERE / "catalogue" / f"{kind}.yml").read_text(encoding="utf-8"))
    entries = [_entry(item, part["title"]) for part in raw["sections"] for item in part["settings"]]
    checked = [_entry(item, None) for item in raw["also_checked"]]
    if kind in CLIENT_KINDS:
        rules = {entry.name: entry for entry in checked}
        for name, value, reason, title in read_properties(CLIENTS / f"{kind}.properties"):
            rule = rules.pop(name, None)
            written = Entry(name, title, value, reason)
            if rule is not None:
                written = replace(rule, section=title, value=value, reason=reason)
            entries.append(written)
        checked = list(rules.values())
        entries, checked = [_aliased(e) for e in entries], [_aliased(e) for e in checked]
    plugins = raw["plugins"]
    return Catalogue(
        kind, raw["file"], raw["version"], (*entries, *checked),
        tuple(plugins["names"]), tuple(plugins["prefixes"]),
    )  # fmt: skip


def _aliased(entry: Entry) -> Entry:
    """`entry` with the other names that librdkafka has for the same setting."""
    known = names("producer")

    def main(name: str) -> str:
        return known.get(name, {}).get("alias_of") or name

    same = {name: 1 for name in known if name != entry.name and main(name) == main(entry.name)}
    return replace(entry, aliases={**same, **entry.aliases})


def _entry(raw: Mapping[str, Any], section: str | None) -> Entry:
    return Entry(
        name=raw["name"],
        section=section,
        value=str(raw["value"]) if "value" in raw else None,
        reason=raw.get("reason", ""),
        each=raw.get("each"),
        owned=raw.get("owned"),
        aliases=raw.get("aliases", {}),
        safe=_rule(raw.get("safe")),
        limit=_rule(raw.get("limit")),
    )


def _rule(raw: Mapping[str, Any] | None) -> Rule | None:
    if raw is None:
        return None
    (kind,) = raw.keys() - {"why"}
    bound = raw[kind] if isinstance(raw[kind], list) else [raw[kind]]
    return Rule(kind, tuple(str(value) for value in bound), raw.get("why", ""))


def read_properties(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Name, value, reason and section of each setting of a client's properties file.

    `# --- Title ---` begins a section; the comment lines right below it are about all of it and go
    to its first setting; the comment above a setting is its reason; a setting right below another
    one shares its reason.
    """
    title, about, reason = "", "", ""
    comment: list[str] = []
    after_title = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"# -+ (.+?) -+", line):
            title, about, comment, after_title = heading[1], "", [], True
        elif line.startswith("#"):
            comment.append(line[1:].strip())
        elif not line.strip():
            if after_title and comment:
                about = " ".join(comment)
            if comment:
                after_title = False
            comment = []
        else:
            name, _, value = line.partition("=")
            if comment:
                reason = " ".join(filter(None, [about, *comment]))
                about, comment, after_title = "", [], False
            yield name.strip(), value.strip(), reason, title


def fill(text: str, facts: Mapping[str, object]) -> str:
    """`text` with each {name} replaced by that fact."""
    return re.sub(r"\{([\w.]+)\}", lambda found: str(facts[found[1]]), text)
