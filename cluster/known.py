"""Which settings exist and what they may be, by the lists in cluster/names.

The lists are made when the distribution is built, from the very version that it packs.
"""

from __future__ import annotations

import fnmatch
import re
from typing import Any

from cluster.catalogue import CLIENT_KINDS, catalogue, names
from cluster.problems import did_you_mean, shown

WHOLE = ("int", "integer", "long", "short", "ms", "hours", "ticks", "bytes", "kb", "port")
FRACTION = ("double", "float")
LISTS = ("list", "csv flags")
OTHER_SIDE = {"producer": ("C", "consumer"), "consumer": ("P", "producer")}
# Notations of a range: "[1,...]", "[1,...,9] or -1", "0 .. 1000".
RANGE = re.compile(r"\[?(-?\d+)(?:,\.\.\.,?| \.\. )(-?\d+)?\]?(?: or (-?\d+))?")
CHOICE = re.compile(r"\[?([\w.:-]+(?:, [\w.:-]+)+)\]?")
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]+)?")
SHORT = 8  # so many choices fit into a message


def wrong_name(kind: str, name: str) -> str | None:
    """What is wrong with a setting's name; None where `kind` has it."""
    known, about = names(kind), catalogue(kind)
    found = _find(kind, name)
    if found is not None:
        scope, side = OTHER_SIDE.get(kind, ("", ""))
        if kind in CLIENT_KINDS and found.get("scope") == scope:
            return f"is a {side}'s setting, and this is a {kind}"
        if found.get("in_file") is False:
            return f"has no effect in {about.file}: it is a property of the JVM"
        return None
    if name in about.plugin_names or name.startswith(about.plugin_prefixes or ("\0",)):
        return None
    what = f"topic setting of {about.version}" if kind == "topic" else f"{about.version} setting"
    # On a topic, Kafka calls many of a broker's settings by another name.
    here = next((n for n, about in known.items() if about.get("broker_setting") == name), None)
    hint = f"; did you mean {here}?" if here else did_you_mean(name, known)
    return f"no such {what}{hint}"


def wrong_value(kind: str, name: str, value: str) -> str | None:
    """What is wrong with a value's type or range; None where it fits, or neither is known."""
    found = _find(kind, name) or {}
    type_, valid = str(found.get("type")).lower(), str(found.get("valid"))
    if type_ in ("bool", "boolean"):
        return None if value in ("true", "false") else f"must be true or false, is {shown(value)}"
    if type_ in WHOLE or type_ in FRACTION:
        pattern, what = (WHOLE_NUMBER, "whole ") if type_ in WHOLE else (NUMBER, "")
        if not pattern.fullmatch(value):
            return f"must be a {what}number, is {shown(value)}"
        return _out_of_range(valid, value)
    choice = CHOICE.fullmatch(valid)
    if choice is None:
        return None
    choices = choice[1].split(", ")
    given = [v.strip() for v in value.split(",")] if type_ in LISTS else [value]
    wrong = next((v for v in given if v not in choices), None)
    if wrong is None:
        return None
    which = f"one of {', '.join(choices)}" if len(choices) <= SHORT else "a known value"
    hint = did_you_mean(wrong, choices) if len(choices) > SHORT else ""
    return f"must be {which}; is {shown(value)}{hint}"


def update_mode(name: str) -> str:
    """How a broker takes a new value of `name`: "read-only" at a restart, or, while it runs, for
    one broker ("per-broker") or for all ("cluster-wide")."""
    return str(names("broker").get(name, {}).get("update") or "read-only")


def default(name: str) -> str:
    """What a broker has where its file does not say; "" where it has nothing or it is not known."""
    return str(names("broker").get(name, {}).get("default") or "")


def whole(value: str) -> int | None:
    """`value` as a whole number, None where it is none."""
    return int(value) if WHOLE_NUMBER.fullmatch(value) else None


def _find(kind: str, name: str) -> dict[str, Any] | None:
    known = names(kind)
    if name in known:
        return known[name]
    patterns = (p for p in known if "*" in p and fnmatch.fnmatchcase(name, p))
    return next((known[pattern] for pattern in patterns), None)


def _out_of_range(valid: str, value: str) -> str | None:
    limits = RANGE.fullmatch(valid)
    if limits is None:
        return None
    low, high, also = limits.groups()
    number = float(value)
    if number >= int(low) and (high is None or number <= int(high)):
        return None
    if also is not None and number == int(also):
        return None
    must = f"at least {low}" if high is None else f"{low} to {high}"
    return f"must be {must}{f' or {also}' if also else ''}, is {value}"
