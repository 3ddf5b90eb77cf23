"""The archives that a cluster's hosts get, as they lie on the controller, and where each host
unpacks them.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from cluster.model import Cluster, Script
from cluster.releases import RELEASES
from cluster.render import Artifact, Artifacts
from dist import pytree
from dist.archive import inspect

OUT = pytree.ROOT / "build" / "dist"
KEPT = 12  # hexadecimal digits of a SHA-256 in a folder's name
_building = threading.Lock()  # every host asks for the same archives at the same time


def artifacts(cluster: Cluster) -> Artifacts:
    """What the cluster's hosts hold. Raises BuildError where an archive is missing, or is none.

    A host's Python libraries differ from release to release, what they are made of does not: their
    folder is named
    after that, so that the same unit serves on every release.
    """
    kafka = inspect(cluster.kafka.archive, "kafka")
    zookeeper = inspect(cluster.zookeeper.archive, "zookeeper")
    made_by = Path(pytree.__file__)
    host = _digest(*pytree.sources(), pytree.CONSUMERS / "requirements.lock", made_by)
    return Artifacts(
        kafka=Artifact(f"/opt/standfast/kafka/{kafka.sha256[:KEPT]}", kafka.strip),
        zookeeper=Artifact(f"/opt/standfast/zookeeper/{zookeeper.sha256[:KEPT]}", zookeeper.strip),
        host=Artifact(f"/opt/standfast/host/{host}", link="/opt/standfast/host/current"),
        scripts={
            c.name: Artifact(f"/opt/standfast/scripts/{_digest(made_by, _requirements(c))}")
            for c in cluster.consumers.values()
            if isinstance(c, Script) and c.requirements
        },
    )


def host_archive(release: str) -> Path:
    """Our own programs for a release's Python, built where they are not up to date. Raises
    BuildError.
    """
    python = RELEASES[release].python
    out = OUT / f"host-{pytree.tag(python)}.tar"
    with _building:
        pytree.build_host(python, out)
    return out


def script_archive(script: Script, release: str) -> Path:
    """The libraries that a user's script requires, for a release's Python. Raises BuildError."""
    python = RELEASES[release].python
    with _building:
        out = OUT / f"{script.name}-{pytree.tag(python)}.tar"
        return pytree.build_tree(_requirements(script), python, out)


def _requirements(script: Script) -> Path:
    assert script.requirements is not None
    return pytree.ROOT / script.requirements


def _digest(*paths: Path) -> str:
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path.name}\n".encode() + path.read_bytes())
    return whole.hexdigest()[:KEPT]
