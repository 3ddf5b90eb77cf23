"""What a run of drills leaves behind: its settings, the hosts' logs, what the sinks hold."""

from __future__ import annotations

import base64
import gzip
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import connect
from cluster.model import Cluster
from cluster.settings import producer_settings
from drills.ground import Ground
from drills.result import Result

LOG_SECONDS = 180.0


def versions(cluster: Cluster) -> dict[str, str]:
    """What runs, by name."""
    from importlib.metadata import version

    from confluent_kafka import libversion

    host = next(iter(cluster.hosts))
    found = {
        "kafka": cluster.kafka.archive.name,
        "zookeeper": cluster.zookeeper.archive.name,
        "confluent-kafka": version("confluent-kafka"),
        "librdkafka": libversion()[0],
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    script = "java -version 2>&1 | head -n 1; . /etc/os-release; echo $PRETTY_NAME; nproc"
    try:
        java, system, cores = connect.run(host, f"sh -c '{script}'").splitlines()
        found |= {"java": java, "system": system, "cores": cores}
    except (OSError, ValueError) as error:
        found["host"] = f"not asked: {error}"
    return found


def commit() -> str:
    """The repository's commit, with a plus where files were changed since."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=connect.ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")


def settings(cluster: Cluster) -> dict[str, Any]:
    """What the figures depend on, as it stands in the hosts' files."""
    host = next(iter(cluster.hosts))
    names = {
        "log.flush.interval.messages": "flush_messages",
        "min.insync.replicas": "min_isr",
        "zookeeper.session.timeout.ms": "session_ms",
        "replica.lag.time.max.ms": "lag_ms",
    }
    found: dict[str, Any] = {}
    try:
        text = connect.run(host, "cat /etc/standfast/kafka/current/server.properties")
    except OSError as error:
        return {"error": str(error)}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() in names:
            value = value.strip()
            found[names[name.strip()]] = int(value) if value.isdigit() else value
    found["flush"] = found.get("flush_messages") == 1
    found["producer"] = {row.name: row.value for row in producer_settings(cluster)}
    return found


def logs(it: Ground, folder: Path, since: int) -> dict[str, str]:
    """Each host's journal since a time (Unix ms), packed. Returns what could not be had."""
    folder.mkdir(exist_ok=True)
    command = (
        f'bash -c "set -o pipefail; journalctl -q --no-pager -o short-precise --since '
        f'@{since // 1000} | gzip -6 | base64 -w 0"'
    )

    def one(host: str) -> None:
        packed = base64.b64decode(connect.run(host, command, LOG_SECONDS))
        gzip.decompress(packed)  # whole, or an error that says so
        (folder / f"{host}.log.gz").write_bytes(packed)

    answers = connect.each(it.cluster.machines, one)
    return {host: str(answer) for host, answer in answers.items() if isinstance(answer, OSError)}


def sinks(result: Result) -> dict[str, Any]:
    """What the sinks hold of the feed, for sinks.json."""
    return {
        "feed": result.feed,
        "sent": result.sent,
        "acknowledged": result.acknowledged,
        "missing": result.missing,
        "twice": result.twice,
        "unasked": dict(result.unasked),
        "problems": result.problems(),
        "sinks": {
            name: {
                "kind": sink.kind,
                "stored": sink.verdict.stored + sink.verdict.dead,
                "missing": len(sink.verdict.missing),
                "missing_sequences": sink.verdict.missing.text()[:2000],
                "twice": sink.verdict.twice,
                "conflicts": sink.conflicts,
                "shared": sink.shared,
                "beyond": sink.beyond.pairs(),
            }
            for name, sink in result.sinks.items()
        },
    }


def write(path: Path, content: object) -> None:
    """A JSON file, whole or not at all."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1) + "\n")
    unfinished.rename(path)
