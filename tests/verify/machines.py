"""Asks the machines over SSH, with testinfra: one command for all that is to be seen of one."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from functools import cache

import testinfra
from testinfra.host import Host as Remote

import connect
from cluster import snapshot
from cluster.model import Cluster, Collector, Host, Machine, Script
from cluster.observed import ClockSeen, MachineSeen
from cluster.render import Artifacts, FileSet
from cluster.snapshot import DATA
from tasks import ask

SECONDS = 20  # for all that is asked of a machine at once


class Unreachable(OSError):
    """There is no SSH connection to a machine."""


@cache
def remote(machine: Machine) -> Remote:
    """The machine over SSH, as root, with the inventory's ssh_config: strict, and never asking."""
    ssh = connect.cluster().ssh
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes"]
    options += ["ServerAliveInterval=2", "ServerAliveCountMax=4"]
    if ssh.known_hosts:
        options.append(f"UserKnownHostsFile={ssh.known_hosts}")
    spec = machine.name if ssh.config else f"{ssh.user}@{machine.address}:{ssh.port}"
    return testinfra.get_host(
        f"ssh://{spec}",
        ssh_config=str(ssh.config) if ssh.config else None,
        ssh_extra_args=" ".join(f"-o {shlex.quote(option)}" for option in options),
        timeout=connect.CONNECT_SECONDS,
        sudo=True,
    )


def run(machine: Machine, command: str, *words: str, seconds: float = SECONDS) -> str:
    """What a command prints on the machine; each %s in it is one of
    `words`, quoted. Raises OSError, with one sentence.
    """
    try:
        done = remote(machine).run(f"timeout {seconds:g} {command}", *words)
    except RuntimeError as error:  # ssh itself: no connection, wrong key
        said = getattr(error.args[0], "stderr", "") if error.args else ""
        raise Unreachable(f"no SSH connection ({_last(said) or 'no answer'})") from None
    if done.rc == 124:
        raise OSError(f"no answer within {seconds:g} s")
    if done.rc:
        raise OSError(_last(done.stderr) or f"ended with {done.rc}")
    return str(done.stdout)


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def look(
    machine: Machine, sets: Sequence[FileSet], artifacts: Sequence[str], owners: Mapping[str, str]
) -> MachineSeen:
    """All that is to be seen of a machine with a voter. Raises OSError, with one sentence."""
    asked = snapshot.asked(machine, sets, artifacts, owners)
    try:
        answer = run(machine, "python3 -c %s %s", ask.LOOK.read_text(), json.dumps(asked))
    except OSError as error:
        if "python3" in str(error):
            sentence = f"nothing of Standfast is installed there ({error}): make deploy"
            raise OSError(sentence) from None
        raise
    return snapshot.machine(json.loads(answer))


def clock(machine: Machine) -> ClockSeen:
    """How far the machine's clock is ahead of the controller's; half the round trip is the doubt.

    Raises OSError.
    """
    best: ClockSeen | None = None
    for _ in range(3):
        began = time.time()
        there = float(run(machine, "date +%s.%N", seconds=5))
        ended = time.time()
        sample = ClockSeen(there - (began + ended) / 2, (ended - began) / 2)
        if best is None or sample.uncertainty < best.uncertainty:
            best = sample
        if best.uncertainty < 0.1:
            break
    assert best is not None
    return best


def owners(cluster: Cluster, machine: Machine) -> dict[str, str]:
    """The data directories of a machine with a voter, each with whom it belongs to."""
    zookeeper = {f"/var/lib/zookeeper{tail}": "zookeeper" for tail in ("", "/data", "/log")}
    if not isinstance(machine, Host):
        return zookeeper
    kafka = dict.fromkeys(("/var/lib/kafka", DATA), "kafka")
    consumers = {f"/var/lib/standfast/{name}": "standfast" for name in cluster.consumers}
    return {**zookeeper, **kafka, **consumers}


def archives(cluster: Cluster, machine: Machine, artifacts: Artifacts) -> list[str]:
    """Where the archives of a machine with a voter are unpacked."""
    paths = [artifacts.zookeeper.path, artifacts.host.path]
    if isinstance(machine, Host):
        paths += [artifacts.kafka.path, *(a.path for a in artifacts.scripts.values())]
    return sorted(paths)


def collectors(cluster: Cluster) -> dict[str, Collector]:
    """The consumers that write into a sink; a user's own scripts have none."""
    return {n: c for n, c in cluster.consumers.items() if not isinstance(c, Script)}
