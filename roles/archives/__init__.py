"""The archives: Kafka, ZooKeeper and the hosts' Python, each unpacked in a folder named after
its contents.
"""

from __future__ import annotations

from pathlib import Path

from pyinfra import host
from pyinfra.api import deploy

import roles
from cluster.model import Host, Script
from cluster.render import Artifact
from connect import cluster
from dist.artifacts import host_archive, script_archive
from roles.archives.operations import unpack
from roles.base.facts import Release


@deploy("Install the archives")
def install() -> None:
    unpack(name="Unpack the archives", wanted=_wanted(host.get_fact(Release)))


@roles.or_stop
def _wanted(release: str) -> dict[Artifact, Path]:
    artifacts = roles.artifacts()
    wanted = {
        artifacts.zookeeper: cluster().zookeeper.archive,
        artifacts.host: host_archive(release),
    }
    if isinstance(roles.machine(), Host):
        wanted[artifacts.kafka] = cluster().kafka.archive
        for consumer in cluster().consumers.values():
            if isinstance(consumer, Script) and consumer.requirements:
                wanted[artifacts.scripts[consumer.name]] = script_archive(consumer, release)
    return wanted
