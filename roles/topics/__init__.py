"""The topics, made and altered over Kafka's protocol by one host for all.

Not by pyinfra's own process: librdkafka's threads stand still under gevent.
"""

from __future__ import annotations

from pyinfra import host, inventory
from pyinfra.api import deploy

import roles
from roles.sets.operations import activate
from roles.topics.operations import apply


@deploy("Topics")
def start() -> None:
    activate(name="Put the topics' list in place", wanted=roles.rendered()["topics"])
    if host.name == inventory.get_group("kafka")[0].name:
        apply(
            name="Create and alter the topics", tool=f"{roles.artifacts().host.path}/bin/standfast"
        )
