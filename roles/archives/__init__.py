"""The archives: Kafka, ZooKeeper and the hosts' Python, each unpacked in a folder named after its SHA-256."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

import roles
from cluster.model import Host
from dist.artifacts import host_archive
from roles.archives.operations import unpack
from roles.base.facts import Release


@deploy("Install the archives")
def install() -> None:
    artifacts, cluster = roles.artifacts(), roles.connect.cluster()
    python = host_archive(host.get_fact(Release))
    wanted = {artifacts.zookeeper: cluster.zookeeper.archive, artifacts.host: python}
    if isinstance(roles.machine(), Host):
        wanted[artifacts.kafka] = cluster.kafka.archive
        for name, artifact in artifacts.scripts.items():
            wanted[artifact] = script_archive(cluster.consumers[name], host.get_fact(Release))
    unpack(name="Unpack the archives", wanted=wanted)
