"""Looks at a machine, on the machine itself; prints all that was asked as one JSON object.

Sent over SSH and run by the host's own Python as root: it changes nothing, and imports nothing but
the standard library. argv[1] is what to look at (cluster.snapshot.asked makes it).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SETS = Path("/etc/standfast")
JOURNAL = Path("/var/lib/standfast/roll.jsonl")
LAST_STAND = "/run/standfast/guardian/last-stand.json"
ENSEMBLE = "/etc/standfast/ensemble/record.json"
ALERTS = Path("/var/lib/standfast/alert/state.json")
LATEST = 40  # entries of the journal
CAP_SYS_RESOURCE = 24


def said(*command: str) -> str:
    """What a command prints; nothing where it fails or is missing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def text(path: str | Path) -> str:
    """A file's text; nothing where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def pairs(content: str) -> dict[str, str]:
    """The name=value lines of a text."""
    return dict(line.split("=", 1) for line in content.splitlines() if "=" in line)


def owner(status: os.stat_result) -> str:
    """Who owns a file."""
    try:
        return pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        return str(status.st_uid)


def link(path: str | Path) -> str | None:
    """Where a link points; None where it is none."""
    try:
        return str(Path(path).readlink())
    except OSError:
        return None


def files(folder: Path, secrets: list[str]) -> dict[str, Any]:
    """A set's files; of a secret, and of what is closed to others, everything but the text."""
    found = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        content, status = path.read_bytes(), path.stat()
        secret = path.name in secrets or not status.st_mode & 0o004
        found[path.name] = {
            "digest": hashlib.sha256(content).hexdigest(),
            "mode": status.st_mode & 0o7777,
            "owner": owner(status),
            "text": None if secret else content.decode("utf-8", "replace"),
        }
    return found


def sets(asked: Mapping[str, list[str]]) -> dict[str, Any]:
    """The sets of each service: links, what runs, the files of what these name."""
    found = {}
    for service, secrets in asked.items():
        folder, run = SETS / service, Path("/run/standfast", service)
        links = {name: link(folder / name) for name in ("staged", "current", "good")}
        started = text(run / "fingerprint").strip() or None
        links["started"] = started
        # What was applied to the running process since, without a restart.
        links["running"] = text(run / "applied").strip() or started
        there = {n for n in links.values() if n and (folder / n).is_dir()}
        found[service] = {
            **links,
            "files": {name: files(folder / name, secrets) for name in sorted(there)},
        }
    return found


def units(names: list[str], properties: Iterable[str]) -> dict[str, dict[str, str]]:
    """systemd's properties of each unit."""
    asked = ",".join(sorted({"Id", *properties}))
    blocks = said("systemctl", "show", "-p", asked, *names).split("\n\n") if names else []
    found = {}
    for block in blocks:
        shown: dict[str, str] = {}
        for line in block.splitlines():
            name, equals, value = line.partition("=")
            if equals:  # one command a line: a unit may have several
                shown[name] = f"{shown[name]} {value}" if name in shown else value
        found[shown.get("Id", "")] = shown
    return found


def java(pid: int) -> str:
    """The version of the Java that a process runs, as its own release file says."""
    program = link(f"/proc/{pid}/exe") or ""
    home = Path(program.replace(" (deleted)", "")).parent.parent
    version = pairs(text(home / "release")).get("JAVA_VERSION", "").strip('"')
    found = re.search(r"java-(\d+)", str(home))
    return version or (found[1] if found else "")


def most_open_files(pid: int) -> int | None:
    """The soft limit of open files; None where there is none."""
    found = re.search(r"^Max open files\s+(\S+)", text(f"/proc/{pid}/limits"), re.M)
    return int(found[1]) if found and found[1].isdigit() else None


def processes(shown: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """The main process of each unit that has one."""
    found = {}
    for unit, properties in shown.items():
        pid = int(properties.get("MainPID") or 0)
        if pid and Path(f"/proc/{pid}").exists():
            found[unit] = {
                "pid": pid,
                "open_files": most_open_files(pid),
                "oom_score_adj": int(text(f"/proc/{pid}/oom_score_adj") or 0),
                "program": text(f"/proc/{pid}/comm").strip(),
            }
    return found


def folders(paths: Iterable[str]) -> dict[str, Any]:
    """Owner and permission bits of each directory that exists."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            status = Path(path).stat()
            found[path] = {"owner": owner(status), "mode": status.st_mode & 0o7777}
    return found


def mount(path: str) -> tuple[str, list[str]]:
    """The mount that holds a path: its kind and its options, those of the file system too."""
    best, found = -1, ("", list[str]())
    real = os.path.realpath(path)
    for line in text("/proc/self/mountinfo").splitlines():
        first, _, second = line.partition(" - ")
        point, options = first.split()[4], first.split()[5]
        kind, _, more = second.split(" ", 2)
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, found = len(point), (kind, [*options.split(","), *more.split(",")])
    return found


def disks(paths: Iterable[str]) -> dict[str, Any]:
    """The file system under each directory that exists, and the bytes that this takes of it: all,
    and what was written to in the last 24 hours.
    """
    found = {}
    for path in paths:
        if not Path(path).is_dir():
            continue
        size = os.statvfs(path)
        kind, options = mount(path)
        used = recent = 0
        day_ago = time.time() - 86_400
        for place, _, names in os.walk(path):
            for name in names:
                with contextlib.suppress(OSError):  # a segment that retention deletes just now
                    status = Path(place, name).stat()
                    used += status.st_blocks * 512
                    recent += status.st_blocks * 512 if status.st_mtime > day_ago else 0
        found[path] = {
            "size": size.f_blocks * size.f_frsize,
            "free": size.f_bavail * size.f_frsize,
            "used": used,
            "recent": recent,
            "kind": kind,
            "options": options,
        }
    return found


def listeners() -> list[dict[str, Any]]:
    """Every listening TCP socket, with its process as far as ss says."""
    found = []
    for line in said("ss", "-Hltnp").splitlines():
        fields = line.split()
        address, _, port = fields[3].rpartition(":")
        address = re.sub(r"%.*", "", address.strip("[]")).replace("::ffff:", "")
        program = re.search(r'\("([^"]+)",pid=(\d+)', line)
        found.append(
            {
                "address": "*" if address in ("0.0.0.0", "::", "*") else address,
                "port": int(port),
                "program": program[1] if program else "",
                "pid": int(program[2]) if program else 0,
            }
        )
    return found


def sysctls(names: Iterable[str]) -> dict[str, Any]:
    """Kernel settings, and whether they can be written here."""
    paths = {name: "/proc/sys/" + name.replace(".", "/") for name in names}
    return {
        name: {"value": text(path).strip(), "writable": os.access(path, os.W_OK)}
        for name, path in paths.items()
    }


def journal() -> list[Any]:
    """The latest entries of this host's journal of rolls, without a line that a crash cut short."""
    found = []
    for line in text(JOURNAL).splitlines()[-LATEST:]:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def record(path: str) -> Any:
    """A JSON file; None where there is none, or it is being written just now."""
    try:
        return json.loads(text(path) or "null")
    except ValueError:
        return None


def alarms() -> list[dict[str, Any]]:
    """The last line of each cause that this host's alert service remembers; none where it has no
    file, or one that makes no sense.
    """
    found = []
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        for cause, known in json.loads(text(ALERTS) or "{}").get("causes", {}).items():
            about = {key: known[key] for key in ("sentence", "at", "unit")}
            found.append({"cause": cause, **about})
    return found


def main() -> None:
    """Look at what argv[1] asks, and print it."""
    asked = json.loads(sys.argv[1])
    shown = units(asked["units"], asked["properties"])
    running = processes(shown)
    bounds = re.search(r"^CapBnd:\s*(\S+)", text("/proc/1/status"), re.M)
    clock = pairs(said("timedatectl", "show"))
    container = said("systemd-detect-virt", "--container")
    seen = {
        "container": "" if container == "none" else container,
        "may_raise_limits": bool(bounds and int(bounds[1], 16) >> CAP_SYS_RESOURCE & 1),
        "most_open_files": most_open_files(1),
        "release": pairs(text("/etc/os-release")).get("VERSION_CODENAME", ""),
        "python": "{}.{}".format(*sys.version_info),
        "java": {u: java(p["pid"]) for u, p in running.items() if p["program"] == "java"},
        "units": shown,
        "sets": sets(asked["sets"]),
        "links": {path: link(path) for path in asked["links"]},
        "processes": running,
        "folders": folders(asked["folders"]),
        "disks": disks(asked["disks"]),
        "listeners": listeners(),
        "whole": [path for path in asked["archives"] if Path(path, ".whole").exists()],
        "sysctl": sysctls(asked["sysctl"]),
        "meta_properties": pairs(text("/var/lib/kafka/data/meta.properties")),
        "myid": text("/var/lib/zookeeper/data/myid").strip(),
        "synchronised": clock.get("NTPSynchronized") == "yes",
        "can_synchronise": not container or container == "none",
        "monotonic": time.monotonic(),
        "journal": journal(),
        "last_stand": record(LAST_STAND),
        "ensemble": record(ENSEMBLE),
        "alarms": alarms(),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
