"""What an inventory's machines have to do with each other: names, numbers, addresses, the lab."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from cluster.draft import Draft
from cluster.references import check_references
from cluster.sizes import parse_heap

LAB_NETWORK = ipaddress.IPv4Network("198.18.0.0/16")  # set aside for tests (RFC 2544)
HOST_NAME = re.compile(r"(?=.*[a-z])(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
LAB_HOST_NAME = re.compile(r"(?!lab$)[a-z][a-z0-9-]{0,14}")
LEAST_HEAP = {"kafka": 256, "zookeeper": 64}  # MiB; with less they do not start, or soon end
K = TypeVar("K")


def check(d: Draft, root: Path) -> None:
    """Add to the draft's problems; `root` is where the repository lies."""
    _machines(d)
    _voters(d)
    if d.lab is not None:
        _lab(d)
    elif d.databases and not d.refused("lab"):
        d.problem(
            "databases",
            "only a lab installs a database; run your own, and name it under sinks",
        )
    _servers(d)
    _alert(d)
    check_references(d, root)


def _alert(d: Draft) -> None:
    if d.alert is None:
        return
    if (d.alert.command is None) == (d.alert.webhook is None):
        count = "neither" if d.alert.command is None else "both"
        d.problem("alert", f"must have one of command and webhook, has {count}")
    elif d.alert.command and not d.alert.command[0].startswith("/"):
        d.problem(
            "alert.command",
            "must begin with a program's path on the machines, such as /usr/local/bin/tell;"
            f" is {d.alert.command[0]}",
        )


def _machines(d: Draft) -> None:
    # As written, not as shaped: a host with a wrong address may have a number that is taken too.
    taken: dict[str, dict[object, str]] = {"address": {}, "broker_id": {}, "zookeeper_id": {}}
    names: dict[str, str] = {}
    for path, name, entry in _entries(d):
        _taken(d, names, name, path.split(".")[0], path)
        if not HOST_NAME.fullmatch(name) or name.split(".")[0] == "localhost":
            d.problem(
                path,
                "must be a host's own name: lower-case letters, digits and hyphens"
                " (dots between), not localhost",
            )
        for key, by in taken.items():
            value = entry.get(key)
            if isinstance(value, int | str) and not d.refused(f"{path}.{key}"):
                _taken(d, by, value, name, f"{path}.{key}")


def _entries(d: Draft) -> list[tuple[str, str, Mapping[str, object]]]:
    """Path, name and keys of every machine."""
    return [
        (f"{section}.{name}", name, entry if isinstance(entry, Mapping) else {})
        for section in ("hosts", "witnesses", "databases")
        for name, entry in d.entries(section).items()
    ]


def _taken(d: Draft, by: dict[K, str], key: K, name: str, path: str) -> None:
    if key in by:
        d.problem(path, f"{key} is taken by {by[key]}")
    else:
        by[key] = name


def _voters(d: Draft) -> None:
    hosts, witnesses = len(d.hosts), len(d.witnesses)
    if 0 < hosts < 3:
        d.problem(
            "hosts",
            f"must be at least 3, is {hosts}: an acknowledged record lies on two machines,"
            " and one of three may die",
        )
    elif hosts and (hosts + witnesses) % 2 == 0:
        better = "0 or 2" if hosts % 2 else "1"
        d.problem(
            "witnesses" if witnesses else "hosts",
            f"{hosts} hosts and {witnesses} witnesses are {hosts + witnesses} voters, which"
            f" survive no more deaths than {hosts + witnesses - 1}; name {better} witnesses",
        )


def _lab(d: Draft) -> None:
    networks: dict[ipaddress.IPv4Network, str] = {}
    for path, name, entry in _entries(d):
        if not LAB_HOST_NAME.fullmatch(name):
            d.problem(
                path,
                "a lab's machine has a name of at most 15 lower-case letters, digits and hyphens,"
                " and not `lab`",
            )
        if "address" not in entry or d.refused(f"{path}.address"):
            continue
        address = ipaddress.IPv4Address(str(entry["address"]))
        network = ipaddress.IPv4Network(f"{address}/24", strict=False)
        if address not in LAB_NETWORK:
            d.problem(
                f"{path}.address",
                f"a lab's address must lie in {LAB_NETWORK}, which is set aside for tests,"
                f" is {address}",
            )
        elif address in (network[0], network[1], network[-1]):
            d.problem(
                f"{path}.address", f"{address} is the lab's own; take {network[2]} to {network[-2]}"
            )
        elif network not in networks and networks:
            first, of = next(iter(networks.items()))
            d.problem(f"{path}.address", f"must lie in {first} as {of}'s does, is {address}")
        else:
            networks.setdefault(network, name)
    if d.ssh is not None:
        for key in ("config", "known_hosts"):
            if getattr(d.ssh, key) is None:
                d.problem(f"ssh.{key}", f"is missing; a lab writes build/lab/{_written(key)}")


def _written(key: str) -> str:
    return "ssh_config" if key == "config" else key


def _servers(d: Draft) -> None:
    if d.ports is not None:
        ports: dict[int, str] = {}
        for name, port in d.ports.model_dump().items():
            _taken(d, ports, port, f"ports.{name}", f"ports.{name}")
    for name, server in (("kafka", d.kafka), ("zookeeper", d.zookeeper)):
        if server is not None and parse_heap(server.heap) < LEAST_HEAP[name] * 2**20:
            d.problem(f"{name}.heap", f"must be at least {LEAST_HEAP[name]}M, is {server.heap}")
