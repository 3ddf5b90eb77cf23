"""The topics, made and altered over Kafka's protocol by one host for all.

Not by pyinfra's own process: librdkafka's threads stand still under gevent.
"""

from __future__ import annotations

import json

from pyinfra import host, inventory
from pyinfra.api import deploy

import roles
from cluster.refused import of_topics
from roles import sets
from roles.sets.operations import activate
from roles.topics.operations import apply, differences


def hold_against_what_is_there() -> None:
    """Stop before anything is changed on any host where a topic cannot be altered as asked."""
    if _is_first():
        found = of_topics(json.loads(differences() or "[]"))
        if found:
            sets.refuse([str(refusal) for refusal in found])


@deploy("Topics")
def start() -> None:
    activate(name="Put the topics' list in place", wanted=roles.rendered()["topics"])
    if _is_first():
        apply(
            name="Create and alter the topics", tool=f"{roles.artifacts().host.path}/bin/standfast"
        )


def _is_first() -> bool:
    return bool(host.name == inventory.get_group("kafka")[0].name)
