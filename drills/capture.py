"""Stores what a lab answers while it is ill: the snapshots that the unit tests judge.

python -m drills.capture machine-dead disk-full       into tests/unit/snapshots; `all` is every one

Each state is waited for, and healed after it. It kills what it runs on: INVENTORY must be a lab.
Exit 0: all stored, 1: not, 2: wrong usage.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import connect
from cluster import health, machine_health, service_health
from cluster.inventory import load
from cluster.model import Cluster
from cluster.observed import Finding, Snapshot
from cluster.render import FileSet
from cluster.snapshot import DATA, UNIT, snapshot
from drills.illnesses import STATES, Patient
from drills.wait import NotYet, Overdue, wait_until
from lab.machine import Lab, LabError
from tasks import ask, rendered

FOLDER = connect.ROOT / "tests" / "unit" / "snapshots"
MOST = 30_000  # bytes of a file
ILL, WELL = 60.0, 180.0  # seconds that a state, and healing, may take
UNREADABLE = "unreadable"
FIGURES = ("zk_server_state", "zk_peer_state", "zk_followers", "zk_synced_followers")
TOPIC = {
    "cleanup.policy", "flush.messages", "min.insync.replicas", "retention.bytes", "retention.ms",
    "unclean.leader.election.enable",
}  # fmt: skip

Sets = Mapping[str, Sequence[FileSet]]


def main(argv: Sequence[str] | None = None) -> int:
    """Capture the states that are named. Returns the exit code."""
    known = [*STATES, UNREADABLE]
    parser = argparse.ArgumentParser(
        prog="python -m drills.capture",
        description="Bring a lab into states of illness, and store what it answers.",
        epilog="the states: " + ", ".join(known),
    )
    parser.add_argument("state", nargs="+", help="what to capture; all: everything")
    named = parser.parse_args(argv).state
    names = known if named == ["all"] else named
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no such state: {', '.join(unknown)} (there are {', '.join(known)})")
    if not connect.cluster().is_lab:
        connect.die("this kills what it runs on: INVENTORY must name a lab", code=2)
    cluster = connect.begin("capture")
    sets, lab = rendered(cluster), Lab.load(cluster.path)
    FOLDER.mkdir(exist_ok=True)
    try:
        for name in names:
            if name == UNREADABLE:
                store(name, cluster, cut(trimmed(look(cluster, sets), sets)))
            else:
                capture(name, cluster, sets, lab)
    except (Overdue, LabError, OSError) as error:
        connect.die(str(error))
    return 0


def capture(name: str, cluster: Cluster, sets: Sets, lab: Lab) -> None:
    """Bring the lab into one state, store its answers, and heal it."""
    began = time.monotonic()
    well = wait_until(lambda: whole(cluster, sets), WELL, "the cluster to be well", every=1)
    try:
        with STATES[name](Patient(cluster, lab, well)) as shown:

            def ill() -> dict[str, Any]:
                answers = look(cluster, sets)
                if not shown(snapshot(answers)):
                    raise NotYet("a snapshot that does not show it")
                return answers

            answers = wait_until(ill, ILL, f"the cluster to show {name}", every=0.2)
            store(name, cluster, trimmed(answers, sets))
    finally:
        wait_until(lambda: whole(cluster, sets), WELL, f"the cluster to heal of {name}", every=1)
    print(f"{name}: stored and healed in {time.monotonic() - began:.0f} s", flush=True)


def look(cluster: Cluster, sets: Sets) -> dict[str, Any]:
    """All that the cluster answers."""
    return ask.everything(cluster, sets)


def whole(cluster: Cluster, sets: Sets) -> Snapshot:
    """The cluster, where nothing is wrong with it. Raises NotYet."""
    seen = snapshot(look(cluster, sets))
    found: list[Finding] = [
        *health.ensemble(cluster, seen.voters),
        *health.registered(cluster, seen.registry),
        *health.whole(seen.topics),
        *health.writable(seen.topics),
        *health.on_three(cluster, seen.topics),
        *health.preferred(seen.topics),
    ]
    for name, mine in sets.items():
        if name in seen.unasked:
            raise NotYet(f"{name}: {seen.unasked[name]}")
        found += service_health.active(mine, seen.machines[name])
        if name in cluster.hosts:
            found += machine_health.room(cluster, DATA, seen.machines[name])
    behind = [n for n, g in seen.groups.items() if g.complaint or g.waiting is not None]
    if found or behind:
        raise NotYet(str(found[0]) if found else f"{', '.join(behind)} read on")
    return seen


# --- what is stored ---


def trimmed(answers: Mapping[str, Any], sets: Sets) -> dict[str, Any]:
    """The answers without what no judgement needs. The sets' files are left out, and what the
    inventory rendered is named by fingerprint: whoever reads this puts in what was.
    """
    found: dict[str, Any] = json.loads(json.dumps(answers))
    found["rendered"] = {
        host: {s.service: s.fingerprint for s in mine} for host, mine in sets.items()
    }
    for answer in _answered(found["voters"]):
        answer["conf"] = _lines(answer["conf"], "server.")
        answer["mntr"] = _lines(answer["mntr"], *(f"{name}\t" for name in FIGURES))
    for topic in found["topics"].get("topics", {}).values():
        for part in ("settings", "own"):
            topic[part] = {n: v for n, v in topic[part].items() if n in TOPIC}
    for answer in _answered(found["machines"]):
        answer["units"] = {
            unit: {n: v for n, v in shown.items() if n in UNIT}
            for unit, shown in answer["units"].items()
        }
        for service in answer["sets"].values():
            service["files"] = {}
        for disk in answer["disks"].values():
            disk["options"] = [word for word in disk["options"] if "/" not in word]
        answer |= {"links": {}, "folders": {}, "listeners": [], "sysctl": {}, "java": {}}
    return found


def _answered(answers: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [answer for answer in answers.values() if "complaint" not in answer]


def _lines(text: str, *begins: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith(begins))


def cut(answers: dict[str, Any]) -> dict[str, Any]:
    """Good answers, of each kind one cut short in its middle: none of these can be parsed."""
    voter = answers["voters"]["kafka1"]
    voter["mntr"] = voter["mntr"][: len(voter["mntr"]) // 2].partition("zk_server_state")[0]
    half = json.dumps(answers["machines"]["kafka1"])
    answers["machines"]["kafka1"] = ask.read(half[: len(half) // 2])
    _halve(answers["machines"]["kafka2"])
    _halve(answers["topics"]["topics"]["trades"]["partitions"][0])
    _halve(answers["registry"]["nodes"]["/brokers/ids/1"])
    _halve(answers["groups"]["collector"])
    for part in ("brokers", "overrides"):
        _halve(answers[part]["kafka1"])
    _halve(answers["ends"])
    return answers


def _halve(value: dict[str, Any] | list[Any]) -> None:
    if isinstance(value, dict):
        for key in sorted(value)[len(value) // 2 :]:
            del value[key]
    else:
        del value[len(value) // 2 :]


def store(name: str, cluster: Cluster, answers: Mapping[str, Any]) -> Path:
    """Write a snapshot, with the addresses of inventory/lab.yml in place of this lab's.

    Raises OSError where it is too large.
    """
    text = written(answers)
    home = load(connect.ROOT / "inventory" / "lab.yml").machines
    for machine in cluster.machines.values():
        there = home[machine.name].address
        text = re.sub(rf"(?<![\d.]){re.escape(machine.address)}(?![\d.])", there, text)
    if len(text) > MOST:
        raise OSError(f"{name}: {len(text):,} bytes; a snapshot takes at most {MOST:,}")
    path = FOLDER / f"{name}.json"
    path.write_text(text)
    return path


def written(value: Any, depth: int = 2) -> str:
    """JSON with sorted keys, whose first levels have a line for each key."""

    def lines(value: Any, level: int) -> str:
        if level > depth or not isinstance(value, dict) or not value:
            return json.dumps(value, sort_keys=True, ensure_ascii=False)
        rows = [
            f"{' ' * level}{json.dumps(key)}: {lines(value[key], level + 1)}"
            for key in sorted(value)
        ]
        return "{\n" + ",\n".join(rows) + "\n" + " " * (level - 1) + "}"

    return lines(value, 1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
