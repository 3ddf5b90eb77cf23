"""Refuses settings that do not exist, that something else decides, or that could lose data.

A value that could lose data is refused unless `accept_risk` names it with a reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cluster import shapes
from cluster.catalogue import Entry, Rule, catalogue, fill
from cluster.draft import Draft
from cluster.known import whole, wrong_name, wrong_value
from cluster.problems import Problem, did_you_mean, shown
from cluster.settings import promise_facts
from cluster.together import check_together

LEAST_REASON = 10  # characters
PROMISED_DAYS = 7


@dataclass
class _Findings:
    """Unsafe values by their path; each needs an accepted risk."""

    unsafe: dict[str, str]

    def add(self, path: str, message: str) -> None:
        self.unsafe.setdefault(path, message)


def check(d: Draft) -> dict[str, str]:
    """Add to the draft's problems. Returns the accepted risks: path to reason."""
    found = _Findings({})
    _promise(d, found)
    for name, topic in d.topics.items():
        if topic is not None and topic.replication < 3 <= len(d.hosts):
            found.add(
                f"topics.{name}.replication",
                f"must be at least 3, is {topic.replication}:"
                " one or two machines' death would take the last copy",
            )
    for name, sink in d.sinks.items():
        if isinstance(sink, shapes.SqliteSink) and d.lab is None:
            found.add(
                f"sinks.{name}.kind",
                "sqlite is for a lab: it keeps a machine's part on that machine's disk alone",
            )
    facts = _facts(d)
    for kind, path, overrides in d.overrides():
        for name in overrides:
            _setting(d, found, kind, path, overrides, name, facts)
    check_together(d)
    return _accepted(d, found.unsafe)


def _promise(d: Draft, found: _Findings) -> None:
    if d.promise is None:
        return
    if d.promise.retention_days < PROMISED_DAYS:
        found.add(
            "promise.retention_days",
            f"must be at least {PROMISED_DAYS}, is {d.promise.retention_days}:"
            " that long a missed record can be found and brought back",
        )
    if d.promise.outage_days < 1:
        found.add(
            "promise.outage_days",
            f"must be at least 1, is {d.promise.outage_days}: the clock of retention runs on while"
            " the cluster is down",
        )


def _facts(d: Draft) -> dict[str, object] | None:
    if d.promise is None:
        return None  # what was promised cannot be read, and that is a problem already
    promised = promise_facts(d.promise.retention_days, d.promise.outage_days)
    return {**promised, "replication": min(3, len(d.hosts))}


def _setting(
    d: Draft,
    found: _Findings,
    kind: str,
    path: str,
    overrides: Mapping[str, str],
    name: str,
    facts: Mapping[str, object] | None,
) -> None:
    place, value = f"{path}.{name}", overrides[name]
    entry, unit = catalogue(kind).find(name) or (Entry(name), 1)
    if entry.owned is not None:
        d.problem(place, f"is decided by {entry.owned}; it cannot be set here")
        return
    wrong = wrong_name(kind, name)
    if wrong is None and not _is_named_safe(entry, value):
        wrong = wrong_value(kind, name, value)
    if wrong is None and _is_number(entry) and whole(value) is None:
        wrong = f"must be a whole number, is {shown(value)}"
    if wrong is not None:
        d.problem(place, wrong)
        return
    first = next((n for n in overrides if n in (entry.name, *entry.aliases)), name)
    if name != first:
        d.problem(place, f"{first} sets the same; keep one of them")
        return
    for rule, hard in ((entry.limit, True), (entry.safe, False)):
        if rule is None or (facts is None and "{" in "".join(rule.bound)):
            continue
        message = _broken(rule, value, unit, facts or {})
        if message is None:
            continue
        if hard:
            d.problem(place, message)
        else:
            found.add(place, message)
        return


def _is_named_safe(entry: Entry, value: str) -> bool:
    """Whether a rule names the value itself: `all` for the number that acks is."""
    return entry.safe is not None and entry.safe.kind == "one_of" and value in entry.safe.bound


def _is_number(entry: Entry) -> bool:
    rules = [rule for rule in (entry.safe, entry.limit) if rule is not None]
    units = set(entry.aliases.values()) - {1}
    return bool(units) or any(rule.kind.startswith("at_") for rule in rules)


def _broken(rule: Rule, value: str, unit: int, facts: Mapping[str, object]) -> str | None:
    bounds = [fill(bound, facts) for bound in rule.bound]
    number = whole(value)
    if rule.kind in ("at_least", "at_most") and number is not None:
        low = rule.kind == "at_least"
        bound = int(bounds[0])
        if (number * unit >= bound) if low else (number * unit <= bound):
            return None
        limit = math.ceil(bound / unit) if low else bound // unit
        must = f"must be {'at least' if low else 'at most'} {limit}"
    else:
        if value.lower() in [bound.lower() for bound in bounds]:
            return None
        must = f"must be {' or '.join(bounds)}"
    return f"{must}, is {shown(value)}: {fill(rule.why, facts)}"


def _accepted(d: Draft, unsafe: Mapping[str, str]) -> dict[str, str]:
    risks: dict[str, str] = {}
    for index, risk in d.risks:
        place, reason = f"accept_risk[{index}]", " ".join(risk.reason.split())
        if risk.setting in risks:
            d.problem(f"{place}.setting", f"{risk.setting} is accepted twice")
        elif risk.setting not in unsafe:
            d.problem(
                f"{place}.setting",
                f"{risk.setting} is no risk as it stands{did_you_mean(risk.setting, unsafe)}"
                "; remove this entry",
            )
        risks.setdefault(risk.setting, reason)
        if len(reason) < LEAST_REASON:
            d.problem(
                f"{place}.reason",
                f"must say why, in {LEAST_REASON} characters or more, is {shown(risk.reason)}",
            )
    for path, message in unsafe.items():
        if path not in risks:
            d.problems.append(
                Problem(path, f"{message}; if you mean it, give the reason under accept_risk")
            )
    return risks
