"""After healing: do the three copies of each partition, and the voters' trees, hold the same?

Compared are the topics whose records are only ever deleted from their beginning. A compacted one
(__consumer_offsets) is cleaned by each broker in its own time: its copies differ in their batches,
and not in what they say.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Mapping
from typing import Any

import connect
from cluster.model import Cluster
from cluster.snapshot import DATA
from standfast import clients

LIBRARIES = "/opt/standfast/host/current/lib"
SECONDS = 120.0
TRIES = 4
# Run by a host's own Python with the gate's own reader. argv: the data directory, and as JSON by
# partition the offsets between which to compare (none: from the first to the last).
LOOK = """
import hashlib, json, sys
from pathlib import Path
from standfast.segments import Damaged, batches, segments
data, wanted = Path(sys.argv[1]), json.loads(sys.argv[2])
found = {}
for name, (least, most) in wanted.items():
    digest, first, end, damage = hashlib.sha256(), None, 0, ""
    try:
        for path in segments(data / name):
            for batch in batches(path):
                first = batch.base if first is None else first
                end = batch.last + 1
                if least <= batch.base and (most is None or end <= most):
                    digest.update(b"%d %d %d;" % (batch.base, batch.last, batch.crc))
    except (Damaged, OSError) as error:
        damage = f"{path.name}: {error}"
    found[name] = {"first": first, "end": end, "digest": digest.hexdigest(), "damage": damage}
print(json.dumps(found))
"""
Copies = dict[str, dict[str, Any]]  # by partition, by host


def compare(cluster: Cluster) -> dict[str, Any]:
    """{"partitions": {partition: {host: {first, end, digest, damage}}}, "differences": [sentence],
    "skipped": {topic: why}, "trees": {voter: digest}, "tree_differences": [sentence]}.

    Raises OSError where a host cannot be asked.
    """
    topics, skipped = _topics()
    wanted: dict[str, tuple[int, int | None]] = dict.fromkeys(topics, (0, None))
    for _ in range(TRIES):
        copies = _ask(cluster, wanted)
        found = differences(copies, topics)
        if not found:
            break
        # Retention may have deleted on one host first, and a follower's last batch be on its way.
        wanted = {name: common(copies[name].values()) for name in topics}
        time.sleep(3)
    found += beginnings(copies)
    trees, unlike = _trees(cluster)
    return {
        "partitions": copies,
        "differences": found,
        "skipped": skipped,
        "trees": trees,
        "tree_differences": unlike,
    }


def common(copies: Any) -> tuple[int, int | None]:
    """The offsets that all copies should hold: from the latest beginning to the earliest end."""
    there = [copy for copy in copies if copy["first"] is not None]
    if not there:
        return 0, None
    return max(copy["first"] for copy in there), min(copy["end"] for copy in there)


def differences(copies: Copies, replicas: Mapping[str, int]) -> list[str]:
    """What is not the same, as sentences. `replicas` is how many copies each partition has."""
    found = []
    for name, of in copies.items():
        there = {host: copy for host, copy in of.items() if copy["first"] is not None}
        found += [f"{name} on {host}: {c['damage']}" for host, c in of.items() if c["damage"]]
        if there and len(there) != replicas[name]:
            found.append(f"{name}: {len(there)} of {replicas[name]} copies hold records")
        for what in ("end", "digest"):
            values = {host: copy[what] for host, copy in there.items()}
            if len(set(values.values())) > 1:
                said = ", ".join(f"{host} {str(v)[:12]}" for host, v in sorted(values.items()))
                found.append(f"{name}: the copies differ in their {what}: {said}")
                break
    return found


def beginnings(copies: Copies) -> list[str]:
    """Copies that begin at different offsets, which `common` leaves out of the comparison.

    Retention does this too, until its next check on each host; a lost head does it for ever.
    """
    found = []
    for name, of in copies.items():
        first = {host: copy["first"] for host, copy in of.items() if copy["first"] is not None}
        if len(set(first.values())) > 1:
            said = ", ".join(f"{host} {offset}" for host, offset in sorted(first.items()))
            found.append(f"{name}: the copies begin at different offsets: {said}")
    return found


def _topics() -> tuple[dict[str, int], dict[str, str]]:
    """The partitions to compare, each with how many copies it has; and what is not compared."""
    from tasks.askkafka import topics

    answer = topics()
    if "complaint" in answer or answer["unset"]:
        raise OSError(f"the topics: {answer.get('complaint') or answer['unset']}")
    wanted, skipped = {}, {}
    for name, topic in answer["topics"].items():
        if "compact" in topic["settings"].get("cleanup.policy", ""):
            skipped[name] = "compacted: each broker cleans it in its own time"
            continue
        for number, (_, replicas, _) in enumerate(topic["partitions"]):
            wanted[f"{name}-{number}"] = len(replicas)
    return wanted, skipped


def _ask(cluster: Cluster, wanted: Mapping[str, Any]) -> Copies:
    asked = f"PYTHONPATH={LIBRARIES} python3 -c {shlex.quote(LOOK)} {DATA}"
    command = f"bash -c {shlex.quote(f'{asked} {shlex.quote(json.dumps(wanted))}')}"
    answers = connect.each(cluster.hosts, lambda host: connect.run(host, command, SECONDS))
    copies: Copies = {name: {} for name in wanted}
    for host, answer in answers.items():
        if isinstance(answer, OSError):
            raise answer
        for name, copy in json.loads(answer).items():
            copies[name][host] = copy
    return copies


# --- ZooKeeper ---


def _trees(cluster: Cluster) -> tuple[dict[str, str], list[str]]:
    """Each voter's own tree as a digest; and where they differ, after looking some times."""
    for _ in range(TRIES):
        trees = {}
        for name, voter in cluster.voters.items():
            trees[name] = tree(f"{voter.address}:{cluster.ports.zookeeper}")
        unlike = unequal(trees)
        if not unlike:
            break
        time.sleep(2)
    digests = {
        name: hashlib.sha256(json.dumps(sorted(found.items())).encode()).hexdigest()
        for name, found in trees.items()
    }
    return digests, unlike


def tree(address: str) -> dict[str, str]:
    """Every lasting node that a voter holds: its data's digest and version. Raises OSError."""
    from kazoo.exceptions import NoNodeError

    from standfast import registered

    client = clients.zookeeper([address], timeout=10)
    found: dict[str, str] = {}
    try:
        client.start(timeout=10)
        client.sync("/")
        level = ["/"]
        while level:
            asked = [
                (path, client.get_async(path), client.get_children_async(path)) for path in level
            ]
            level = []
            for path, node, children in asked:
                try:
                    data, stat = node.get(timeout=10)
                    names = children.get(timeout=10)
                except NoNodeError:
                    continue
                if stat.ephemeralOwner == 0:
                    found[path] = f"{hashlib.sha256(data or b'').hexdigest()} {stat.version}"
                level += [f"{path.rstrip('/')}/{name}" for name in names]
    except registered.errors() as error:
        raise OSError(f"{address}: its tree cannot be read: {error!r}") from None
    finally:
        client.stop()
        client.close()
    return found


def unequal(trees: Mapping[str, Mapping[str, str]], most: int = 5) -> list[str]:
    """Where the voters' trees differ, as sentences."""
    paths = sorted({path for tree in trees.values() for path in tree})
    found = []
    for path in paths:
        values = {name: tree.get(path) for name, tree in trees.items()}
        if len(set(values.values())) > 1:
            without = [name for name, value in values.items() if value is None]
            how = f"missing on {', '.join(without)}" if without else "other data"
            found.append(f"{path}: {how}")
    more = [f"and {len(found) - most} paths more"] if len(found) > most else []
    return found[:most] + more
