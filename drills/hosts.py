"""What a drill asks of, and does to, the processes on the lab's hosts. Over SSH, as root."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import connect

ASKED = 180.0  # seconds that a sink of a million records may take to be looked through
STORED = "/etc/standfast/{}/current/collector.toml"
TIMES = """
import json, pathlib, sys
from standfast.collectconfig import load
sink = load(pathlib.Path(sys.argv[1])).open_sink(create=False)
sink.open()
print(json.dumps([list(row) for row in sink.rows(
    "SELECT DISTINCT partition, stored_at FROM records WHERE feed = ? "
    "ORDER BY partition, stored_at", (sys.argv[2],))]))
"""


@dataclass(frozen=True)
class Unit:
    """A service as systemd knows it."""

    pid: int
    restarts: int
    state: str  # active, activating, failed …


def units(host: str, names: Iterable[str]) -> dict[str, Unit]:
    """How some services of a host are. Raises OSError where it cannot be asked."""
    names = list(names)
    asked = " ".join(map(shlex.quote, names))
    text = connect.run(host, f"systemctl show -p MainPID -p NRestarts -p ActiveState {asked}")
    found = []
    for block in text.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines())
        found.append(Unit(int(values["MainPID"]), int(values["NRestarts"]), values["ActiveState"]))
    return dict(zip(names, found, strict=True))


def unit(host: str, name: str) -> Unit:
    """How one service of a host is."""
    return units(host, [name])[name]


def signal(host: str, name: str, what: str = "KILL") -> int:
    """Send a signal to a service's main process; returns when (Unix ms). OSError if none runs."""
    script = (
        f"pid=$(systemctl show -p MainPID --value {shlex.quote(name)}); "
        f'[ "$pid" -gt 1 ] && date +%s%3N && kill -{what} "$pid"'
    )
    return int(connect.run(host, f"sh -c {shlex.quote(script)}"))


def journal(host: str, unit_name: str, since: int) -> str:
    """What a service said since a time (Unix ms)."""
    when = f"@{since / 1000:.3f}"
    return connect.run(host, f"journalctl -q --no-pager -o cat -u {unit_name} --since {when}")


def tally(host: str, collector: str, config: str = STORED) -> Mapping[str, Any]:
    """What a collector's sink holds, as seen from `host`. `config` has {} for the name."""
    path = config.format(collector)
    # As the consumers' own user: root would leave files beside the sink's that only root can open.
    inner = f"runuser -u standfast -- standfast tally {path}"
    found: Mapping[str, Any] = json.loads(connect.run(host, _login(inner), ASKED))
    return found


def stored_times(
    host: str, collector: str, feed: str, config: str = STORED
) -> dict[int, list[int]]:
    """By partition, when (Unix ms, ascending) a sink stored records of a feed."""
    path = config.format(collector)
    inner = (
        'export PYTHONPATH="$(dirname "$(dirname "$(command -v standfast)")")/lib" '
        f"PYTHONDONTWRITEBYTECODE=1; "
        f"runuser -u standfast -- python3 -c {shlex.quote(TIMES)} {path} {feed}"
    )
    times: dict[int, list[int]] = {}
    for partition, at in json.loads(connect.run(host, _login(inner), ASKED)):
        times.setdefault(partition, []).append(at)
    return times


def _login(script: str) -> str:
    """In a login shell, whose PATH has the programs that were deployed, not those that are here."""
    return f"bash -lc {shlex.quote(script)}"
