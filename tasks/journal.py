"""What rolls did: a line each in a file of the controller's, and on the hosts that it concerns.

An entry: {"at": Unix seconds, "roll": id, "event": begin | step | healthy | put back | stopped |
end, "host", "service", "fingerprint", "sentence", "by": who, "seconds": of a step that went well}
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import connect
from cluster import commands
from cluster.due import Due
from tasks.lock import me


class Journal:
    """The journal of one roll."""

    def __init__(self, cluster: str, everyone: Iterable[str]) -> None:
        """`everyone` are the machines that hear of the roll's beginning and end."""
        self.roll = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        self._everyone = list(everyone)
        self._path = _path(cluster)

    def write(self, event: str, sentence: str, step: Due | None = None, **more: object) -> None:
        """Write an entry here, and on the step's host; without a step on every host. A host that
        cannot be reached goes without: the next look says so.
        """
        entry = {
            "at": round(time.time(), 3),
            "roll": self.roll,
            "event": event,
            "host": step.host if step else None,
            "service": step.service if step else None,
            "fingerprint": step.fingerprint if step else None,
            "sentence": sentence,
            "by": me(),
            **more,
        }
        _append(self._path, entry)
        command = commands.note(entry, sentence)
        hosts = [step.host] if step else self._everyone
        connect.each(hosts, lambda name: connect.run(name, command, seconds=10))


def durations(cluster: str) -> dict[str, float]:
    """How many seconds a step of each service last took, by this controller's journal."""
    found: dict[str, float] = {}
    for entry in read(_path(cluster)):
        if entry.get("event") == "healthy" and entry.get("seconds") and entry.get("service"):
            found[str(entry["service"])] = float(entry["seconds"])
    return found


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a journal; a line that was cut short is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _path(cluster: str) -> Path:
    return connect.ROOT / "journal" / f"{cluster}.jsonl"


def _append(path: Path, entry: object) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # a full or read-only disk here is no reason to leave a host half-way
        print(f"standfast: {path}: {error.strerror}; the hosts keep theirs", file=sys.stderr)
