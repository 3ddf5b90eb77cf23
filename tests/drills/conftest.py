"""The lab, deployed, as the lab's own tests have it; faults are done to it under a load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.model import Cluster
from drills.ground import Entry, Ground
from drills.stream import Stream
from lab.machine import Lab
from tests.lab.conftest import cluster, deployed, figure, lab

__all__ = ["cluster", "deployed", "figure", "ground", "lab"]


@pytest.fixture
def ground(cluster: Cluster, lab: Lab, deployed: object, tmp_path: Path) -> Iterator[Ground]:
    """The lab under a load of the topic trades; afterwards it is whole again."""

    def say(entry: Entry) -> None:
        print(f"{entry.kind} {entry.targets}: {entry.pause:.1f} s {entry.error}")

    with Stream(cluster, tmp_path, rate=100, name="drill") as stream:
        it = Ground(cluster, lab, stream, tmp_path / "faults.jsonl", say)
        stream.start(seconds=60)
        try:
            it.in_sync()
            yield it
        finally:
            it.heal()
            it.in_sync(180)
