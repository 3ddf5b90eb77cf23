"""A good inventory, and how a test spoils it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cluster.inventory import Cluster, InventoryError, load

BASE = """
name: test
ssh: {user: ops}
promise: {retention_days: 7, outage_days: 7, bytes_per_day: 1GB, disk: 100GB}
hosts:
  kafka1: {address: 10.0.0.11, broker_id: 1, zookeeper_id: 1}
  kafka2: {address: 10.0.0.12, broker_id: 2, zookeeper_id: 2}
  kafka3: {address: 10.0.0.13, broker_id: 3, zookeeper_id: 3}
witnesses:
  witness1: {address: 10.0.0.14, zookeeper_id: 4}
  witness2: {address: 10.0.0.15, zookeeper_id: 5}
ports: {kafka: 9092, zookeeper: 2181, zookeeper_peer: 2888, zookeeper_election: 3888}
kafka: {heap: 1G, archive: build/dist/kafka.tar, settings: {}}
zookeeper: {heap: 128M, archive: build/dist/zookeeper.tar, settings: {}}
topics:
  trades: {partitions: 6, settings: {}}
  trades.dead-letter: {partitions: 3}
sinks:
  warehouse:
    {kind: postgresql, host: 10.0.0.21, database: trades, user: standfast, password_file: secret}
feed: {settings: {}}
consumers:
  collector: {topics: [trades], sink: warehouse, dead_letter: trades.dead-letter, settings: {}}
  mine: {command: [python3, mine.py], files: [scripts/mine.py], topics: [trades]}
accept_risk: []
"""

# What makes the base a lab: addresses of the lab's network, and where its SSH files lie.
LAB = """
lab: standfast
ssh: {config: build/lab/ssh_config, known_hosts: build/lab/known_hosts}
hosts:
  kafka1: {address: 198.18.0.11}
  kafka2: {address: 198.18.0.12}
  kafka3: {address: 198.18.0.13}
witnesses:
  witness1: {address: 198.18.0.14}
  witness2: {address: 198.18.0.15}
databases: {db1: {address: 198.18.0.21}}
sinks: {warehouse: {host: 198.18.0.21}}
"""

REMOVED = "REMOVED"


def merged(base: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """`base` with `patch` laid over it, mapping by mapping; REMOVED takes a key away."""
    tree = dict(base)
    for key, value in patch.items():
        if value == REMOVED:
            tree.pop(key, None)
        elif isinstance(value, dict) and isinstance(tree.get(key), dict):
            tree[key] = merged(tree[key], value)
        else:
            tree[key] = value
    return tree


def write(root: Path, *patches: str) -> Path:
    """The base with the patches (YAML) as root/inventory/test.yml, and the script that it names."""
    tree = yaml.safe_load(BASE)
    for patch in patches:
        tree = merged(tree, yaml.safe_load(patch) or {})
    script = root / "scripts" / "mine.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text("print('mine')\n")
    path = root / "test.yml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def loaded(root: Path, *patches: str) -> Cluster:
    """The cluster of the spoilt or changed base; raises InventoryError."""
    return load(write(root, *patches), root)


def problems(root: Path, *patches: str) -> list[str]:
    """Every problem of the spoilt base as `place: what`, none where it loads."""
    try:
        loaded(root, *patches)
    except InventoryError as error:
        return [str(problem) for problem in error.problems]
    return []
