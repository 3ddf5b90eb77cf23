"""What a real lab answered while it was ill (python -m drills.capture), to be judged again.

The inventory is verify_base.lab(). What was rendered there is here what verify_base.sets() renders:
a healthy machine has everything staged, current, good and running.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from cluster.observed import Snapshot
from cluster.snapshot import snapshot
from tests.unit import verify_base

FOLDER = Path(__file__).with_name("snapshots")


def names() -> list[str]:
    """Every state that was captured."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def seen(name: str, **parts: str) -> Snapshot:
    """The snapshot of a state. `parts` are taken from other states: topics="unreadable"."""
    return snapshot(answers(name, **parts))


def answers(name: str, **parts: str) -> dict[str, Any]:
    """As `seen`, before anything is made of it; the caller's own to spoil."""
    found = _filled(name)
    for part, other in parts.items():
        found[part] = _filled(other)[part]
    return found


@cache
def _text(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text()


def _filled(name: str) -> dict[str, Any]:
    """The answers, with the sets' files, which are not stored, put in."""
    found: dict[str, Any] = json.loads(_text(name))
    rendered = found.pop("rendered")
    for host, machine in found["machines"].items():
        for wanted in verify_base.sets(host):
            here = machine.get("sets", {}).get(wanted.service)
            if here is None:
                continue
            was = rendered[host][wanted.service]
            for link in ("staged", "current", "good", "running", "started"):
                if here[link] == was:
                    here[link] = wanted.fingerprint
            here["files"] = _files(host)[wanted.service]
    return found


@cache
def _files(host: str) -> dict[str, Any]:
    """By service, {fingerprint: {name: file}} as tasks/look.py says it."""
    return {
        wanted.service: {
            mark: {name: vars(file) for name, file in there.items()}
            for mark, there in verify_base.set_seen(wanted).files.items()
        }
        for wanted in verify_base.sets(host)
    }
