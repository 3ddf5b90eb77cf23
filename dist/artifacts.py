"""The archives that a cluster's hosts get, as they lie on the controller, and where each host unpacks them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cluster.model import Cluster, Script
from cluster.releases import RELEASES
from cluster.render import Artifact, Artifacts
from dist.archive import inspect

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build" / "dist"
KEPT = 12  # hexadecimal digits of a SHA-256 in a folder's name


def artifacts(cluster: Cluster) -> Artifacts:
    """What the cluster's hosts hold. Raises BuildError where an archive is missing or none.

    A host's Python libraries differ from release to release, what they are made of does not: their folder is named
    after that, so that the same unit file serves on every release.
    """
    kafka = inspect(cluster.kafka.archive, "kafka")
    zookeeper = inspect(cluster.zookeeper.archive, "zookeeper")
    scripts = {
        c.name: Artifact(f"/opt/standfast/scripts/{_digest(ROOT / c.requirements)}")
        for c in cluster.consumers.values()
        if isinstance(c, Script) and c.requirements
    }
    return Artifacts(
        kafka=Artifact(f"/opt/standfast/kafka/{kafka.sha256[:KEPT]}", kafka.strip),
        zookeeper=Artifact(f"/opt/standfast/zookeeper/{zookeeper.sha256[:KEPT]}", zookeeper.strip),
        host=Artifact(f"/opt/standfast/host/{_digest(*_host_sources())}"),
        scripts=scripts,
    )


def host_archive(release: str) -> Path:
    """The hosts' Python tools for a release's Python."""
    return BUILT / f"host-cp{RELEASES[release].python.replace('.', '')}.tar"


def _host_sources() -> list[Path]:
    package = ROOT / "consumers"
    sources = [*package.glob("standfast/**/*.py"), *package.glob("standfast/**/*.properties")]
    return sorted([*sources, package / "requirements.lock", package / "pyproject.toml"])


def _digest(*paths: Path) -> str:
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return whole.hexdigest()[:KEPT]
