"""Make the cluster's topics what the list says."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import operation

import roles
from roles.topics.facts import TopicDifferences

LIST = "/etc/standfast/topics/staged/topics.toml"


def differences() -> str | None:
    """How the topics differed when the deploy began, as JSON; None where nobody could say."""
    tool = f"{roles.artifacts().host.link}/bin/standfast"
    listed = roles.rendered()["topics"].files["topics.toml"]
    return roles.once(host, TopicDifferences, tool=tool, topics=listed)


@operation()
def apply(tool: str) -> Iterator[str]:
    """Create missing topics, alter settings, add partitions; what cannot be had so fails with a
    sentence.
    """
    if differences() == "[]":
        host.noop("the topics are as listed")
        return
    yield f"{tool} topics {LIST} --apply"
