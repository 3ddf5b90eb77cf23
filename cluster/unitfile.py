"""A unit file's directives held against what systemd says of the unit (`systemctl show`)."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Callable, Mapping

from cluster.sizes import parse_size

# What systemd shows in another way than it was written, and what can be seen elsewhere.
UNSEEN = {"Description", "Documentation", "WantedBy", "SystemCallFilter", "SystemCallErrorNumber"}
SPANS = {"us": 1e-6, "ms": 1e-3, "s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
LISTS = {
    "After", "Before", "Wants", "Requires", "Environment", "ReadWritePaths", "ReadOnlyPaths",
    "CapabilityBoundingSet", "AmbientCapabilities", "RestrictAddressFamilies", "SuccessExitStatus",
    "StateDirectory", "RuntimeDirectory", "SystemCallArchitectures",
}  # fmt: skip
YES = {"yes": "yes", "true": "yes", "on": "yes", "no": "no", "false": "no", "off": "no"}


def directives(text: str) -> dict[str, list[str]]:
    """What a unit file sets: each directive's values, in their order."""
    found: dict[str, list[str]] = {}
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("#", ";"))]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        name, equals, value = (part.strip() for part in line.partition("="))
        if equals and not name.startswith("["):
            found.setdefault(name, []).append(value)
    return found


def properties(text: str) -> set[str]:
    """The properties to ask systemd for, to hold them against a unit file."""
    return {_property(name) for name in directives(text) if name not in UNSEEN}


def differences(text: str, shown: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(directive, expected, found) of whatever systemd holds in another way than the file sets it.

    `shown` maps properties to values as `systemctl show` prints them; a property that this systemd
    does not know is skipped.
    """
    found: list[tuple[str, str, str]] = []
    for name, values in directives(text).items():
        value = shown.get(_property(name))
        if name in UNSEEN or value is None:
            continue
        expected, actual = _expected(name, values), _shown(name, value)
        # systemd adds orderings and dependencies of its own.
        same = expected <= actual if name in ("After", "Wants", "Requires") else expected == actual
        if not same:
            lacking = " ".join(sorted(expected - actual)) or "nothing more"
            found.append((name, lacking, " ".join(sorted(actual - expected)) or "nothing"))
    return found


def open_files(text: str) -> int | None:
    """How many open files the unit asks for."""
    value = directives(text).get("LimitNOFILE", [""])[-1]
    return int(value) if value.isdigit() else None


def oom_score_adjust(text: str) -> int | None:
    """How the unit wants to be spared (negative) when memory runs out."""
    value = directives(text).get("OOMScoreAdjust", [""])[-1]
    return int(value) if value else None


def seconds(span: str) -> float:
    """A time span as systemd writes it ("1min 30s", "600", "infinity") in seconds; ValueError."""
    if span == "infinity":
        return float("inf")
    if re.fullmatch(r"[0-9.]+", span):
        return float(span)
    parts = re.findall(r"([0-9.]+)\s*([a-z]+)", span)
    if not parts or any(unit not in SPANS for _, unit in parts):
        raise ValueError(f"no time span: {span!r}")
    return sum(float(number) * SPANS[unit] for number, unit in parts)


def _property(name: str) -> str:
    return f"{name[:-3]}USec" if name.endswith("Sec") else name


def _expected(name: str, values: list[str]) -> set[str]:
    if name.startswith("Exec"):
        return {" ".join(shlex.split(value.lstrip("-@:+!"))) for value in values if value}
    if name in LISTS:
        return {_word(name)(word) for value in values for word in shlex.split(value)}
    return {_word(name)(values[-1])}


def _shown(name: str, value: str) -> set[str]:
    if name.startswith("Exec"):
        argv = re.findall(r"argv\[\]=(.*?) ; ignore_errors=", value)
        return {" ".join(words.split()) for words in argv}
    if name in LISTS:
        return {_word(name)(word) for word in shlex.split(value)}
    return {_word(name)(value)}


def _word(name: str) -> Callable[[str], str]:
    if name.endswith("Sec"):
        return lambda word: f"{seconds(word):g} s"
    if name.endswith("Signal"):
        return lambda word: str(int(getattr(signal, word, word)))
    if name.startswith(("Capability", "Ambient")):
        return str.lower
    if name.startswith("Memory") and name[6:] in ("Max", "High", "Min", "Low", "SwapMax"):
        return lambda word: word if word == "infinity" else str(_memory(word))
    return lambda word: YES.get(word.lower(), word)


def _memory(word: str) -> int:
    """systemd counts K, M, G by 1024."""
    return parse_size(f"{word}iB" if word[-1:] in "KMGT" else word)
