"""An official tarball in place of the archive built here: the deploy needs its libs/ alone."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

import connect
from cluster.model import Cluster
from dist.artifacts import artifacts
from drills.deploys import deploy
from tests.lab.conftest import inventory_with

FOLDER = "kafka_2.13-3.9.2"
pytestmark = pytest.mark.usefixtures("deployed")


@pytest.fixture
def official(cluster: Cluster, tmp_path: Path) -> Path:
    """A gzipped tarball of the official layout: one folder around libs/, and what we do not use."""
    path = tmp_path / f"{FOLDER}.tgz"
    with (
        tarfile.open(cluster.kafka.archive) as ours,
        tarfile.open(path, "w:gz", compresslevel=1) as tar,
    ):
        for member in ours:
            if member.isfile() and member.name.startswith("libs/"):
                member.name = f"{FOLDER}/{member.name}"
                tar.addfile(member, ours.extractfile(member))
        notice = tarfile.TarInfo(f"{FOLDER}/NOTICE")
        notice.size = 6
        tar.addfile(notice, io.BytesIO(b"notice"))
    return path


def test_an_official_tarball_is_unpacked_staged_and_runs(
    cluster: Cluster, official: Path, tmp_path: Path
) -> None:
    archive = str(official)
    inventory = inventory_with(cluster, tmp_path, kafka__archive=archive)
    done = deploy(inventory)
    assert done.code == 0, done.last_words
    assert "kafka.service is stale" in done.text
    unpacked = artifacts(connect.load(inventory)).kafka.path
    java = f"java -cp '{unpacked}/libs/*' kafka.Kafka --version"
    for host in cluster.hosts:
        assert connect.run(host, java).startswith("3.9.2")
        unit = connect.run(host, "cat /etc/standfast/kafka/staged/kafka.service")
        assert f"-cp {unpacked}/libs/*" in unit
    assert deploy(cluster.path).code == 0
