"""How a cluster's topics differ from the list that was rendered for its hosts."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.observed import TopicsSeen
from cluster.render import FileSet
from standfast import topicplan


def differences(sets: Iterable[FileSet], seen: TopicsSeen) -> list[topicplan.Change]:
    """What the topics that were seen lack; `sets` are a broker's."""
    listed = next(s.files["topics.toml"] for s in sets if s.service == "topics")
    actual = {
        topic.name: topicplan.Actual(tuple(p.replicas for p in topic.partitions), topic.own)
        for topic in seen.topics.values()
    }
    return topicplan.differences(topicplan.parse(listed), actual)
