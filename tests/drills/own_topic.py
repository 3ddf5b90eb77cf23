"""For a drill with a topic of its own: the topic, records in it, the judgement, the healing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import connect
from cluster.model import Cluster
from drills.ground import Ground
from drills.stream import Stream
from drills.wait import wait_until
from lab.machine import Lab
from standfast.ledger import Ledger
from standfast.union import FeedTotal, Total, Verdict, judge

RATE = 300.0  # records a second


@contextmanager
def topic(name: str, replication: int, **settings: str) -> Iterator[str]:
    """A topic of its own, for as long as the control takes."""
    from confluent_kafka.admin import NewTopic

    admin = connect.admin()
    config = {key.replace("_", "."): value for key, value in settings.items()}
    made = NewTopic(name, num_partitions=3, replication_factor=replication, config=config)
    for future in admin.delete_topics([name]).values():
        future.exception(15)  # there mostly is none
    wait_until(lambda: name not in admin.list_topics(timeout=5).topics, 30, f"{name} to be gone")
    for future in admin.create_topics([made]).values():
        future.result(15)
    try:
        yield name
    finally:
        for future in admin.delete_topics([name]).values():
            future.result(30)


def judged(found: FeedTotal, ledger: Ledger) -> Verdict:
    """What the drills and the demo judge by."""
    return judge(Total(feeds={ledger.feed: found}), ledger)


def send(cluster: Cluster, folder: Path, name: str, records: int) -> Stream:
    """A feed that has everything acknowledged, and has ended."""
    stream = Stream(cluster, folder, topic=name, rate=RATE, name="control")
    stream.start(seconds=60)
    wait_until(lambda: stream.acknowledged > records, 60, f"{records} acknowledgements")
    assert stream.stop()
    return stream


def whole(cluster: Cluster, lab: Lab, stream: Stream, folder: Path) -> None:
    """The lab as it was."""
    it = Ground(cluster, lab, stream, folder / "faults.jsonl", print)
    assert not it.heal()
    it.in_sync(180)
