"""Make the cluster's topics what the list says."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import operation

from roles.topics.facts import differences

LIST = "/etc/standfast/topics/staged/topics.toml"


@operation()
def apply(tool: str) -> Iterator[str]:
    """Create missing topics, alter settings, add partitions; what cannot be had so fails with a
    sentence.
    """
    if differences(host) == "[]":
        host.noop("the topics are as listed")
        return
    yield f"{tool} topics {LIST} --apply"
