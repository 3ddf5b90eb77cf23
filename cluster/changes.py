"""What changed between two texts of a file, as a person would say it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher

SHOWN = 6


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The changes from one set of files to another, both by name.

    Each is a sentence: "server.properties: num.io.threads: 8 -> 16", "pgpass: added". Comments do
    not count; where nothing else differs, that is said.
    """
    found: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            found.append(f"{name}: added")
        elif name not in new:
            found.append(f"{name}: removed")
        elif old[name] != new[name]:
            lines = line_changes(old[name], new[name]) or ["comments only"]
            found += [f"{name}: {line}" for line in lines[:SHOWN]]
            if len(lines) > SHOWN:
                found.append(f"{name}: and {len(lines) - SHOWN} more")
    return found


def line_changes(old: str, new: str) -> list[str]:
    """The settings (`name=value`, or any other line) in which two texts differ, in order."""
    before, after = _settings(old), _settings(new)
    found = []
    for name in [*after, *(name for name in before if name not in after)]:
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        words = f"{name}=" if name else ""
        if was and now and name and len(was) == len(now) == 1:
            found.append(f"{name}: {' -> '.join(_different(was[0], now[0]))}")
            continue
        found += [f"no longer {words}{value}" for value in was or [] if value not in (now or [])]
        found += [f"set {words}{value}" for value in now or [] if value not in (was or [])]
    return found


def _different(old: str, new: str) -> tuple[str, str]:
    """Two values without the words that both have; a long command differs in one of many."""
    was, now = old.split(), new.split()
    if min(len(was), len(now)) < SHOWN:
        return old, new
    only: tuple[list[str], list[str]] = [], []
    for kind, a, b, c, d in SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        if kind != "equal":
            only[0].extend(was[a:b])
            only[1].extend(now[c:d])
    return " ".join(only[0]) or "(nothing)", " ".join(only[1]) or "(nothing)"


def _settings(text: str) -> dict[str, list[str]]:
    """Each setting's values: a name may stand more than once. Other lines stand under ""."""
    found: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():  # a unit's command goes over many lines
        line = line.strip()
        if not line or line.startswith(("#", "<!--")):
            continue
        name, equals, value = line.partition("=")
        key = name.strip() if equals and " " not in name.strip() else ""
        found.setdefault(key, []).append(value.strip() if key else line)
    return found
