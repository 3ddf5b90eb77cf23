"""Which topic a name stands for now: a topic made anew has the same name and another id."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from standfast import clients
from standfast.sinks import Unavailable
from standfast.supervision import alarm

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_SECONDS = 5.0  # how often the brokers are asked again …
HURRY_SECONDS = 0.3  # … and how often while an id is wanted
ANSWER_SECONDS = 1.0
PATIENCE_SECONDS = 1.0


class TopicIds:
    """The ids of some topics, asked for in the background: no call here waits."""

    def __init__(self, bootstrap: Sequence[str], topics: Sequence[str]) -> None:
        self._admin = clients.admin(bootstrap)
        self._topics = list(topics)
        self._ids: dict[str, str] = {}
        self._answered: dict[str, float] = {}  # when the question was asked that was answered
        self._asked: dict[str, Any] | None = None
        self._asked_at = -LOOK_SECONDS
        self._trust_from = 0.0  # of what is not answered yet, nothing is
        self._changed: set[str] = set()

    def of(self, topic: str) -> str:
        """The topic's id, waited for a moment. Raises Unavailable while it is not known."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        self.look()
        while self._answered.get(topic, -1.0) < self._trust_from and time.monotonic() < deadline:
            time.sleep(0.01)  # an answer takes some milliseconds: after each assignment, no more
            self.look()
        if self._answered.get(topic, -1.0) < self._trust_from:
            raise Unavailable(f"the id of topic {topic} is not known yet")
        return self._ids[topic]

    def doubt(self) -> None:
        """A topic may have been made anew: trust only what is asked from now on."""
        self._trust_from = time.monotonic()

    def changed(self) -> set[str]:
        """The topics that were made anew since the last call."""
        self.look()
        changed, self._changed = self._changed, set()
        return changed

    def look(self) -> None:
        """Take an answer that came; ask again when it is time."""
        if self._asked is not None and all(future.done() for future in self._asked.values()):
            for topic, future in self._asked.items():
                self._take(topic, future)
            self._asked = None
        wanted = any(self._answered.get(t, -1.0) < self._trust_from for t in self._topics)
        now = time.monotonic()
        if self._asked is None and now - self._asked_at >= (
            HURRY_SECONDS if wanted else LOOK_SECONDS
        ):
            from confluent_kafka import TopicCollection

            self._asked_at = now
            self._asked = self._admin.describe_topics(
                TopicCollection(self._topics), request_timeout=ANSWER_SECONDS
            )

    def _take(self, topic: str, future: Any) -> None:
        from confluent_kafka import KafkaException

        try:
            found = str(future.result().topic_id)
        except KafkaException:
            return  # asked again soon; what is known stays good until it is doubted
        before = self._ids.get(topic)
        self._ids[topic] = found
        self._answered[topic] = self._asked_at
        if before is not None and before != found:
            what = f"topic {topic} was made anew: its id was {before} and is {found}"
            alarm(f"anew-{topic}", what)
            self._changed.add(topic)
