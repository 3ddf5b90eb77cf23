"""For a drill with a topic of its own: the topic, records in it, the judgement, the healing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import connect
from cluster.model import Cluster
from drills.ground import Ground
from drills.judge import checker, readback
from drills.stream import Stream
from drills.wait import NotYet, wait_until
from lab.machine import Lab
from standfast.ledger import Ledger
from standfast.union import FeedTotal, Total, Verdict, judge

RATE = 300.0  # records a second


@contextmanager
def topic(name: str, replication: int | list[int], **settings: str) -> Iterator[str]:
    """A topic of its own, for as long as the drill takes: three partitions with so many replicas,
    or one on these brokers.
    """
    from confluent_kafka.admin import NewTopic

    _delete(name)
    config = {key.replace("_", "."): value for key, value in settings.items()}
    if isinstance(replication, int):
        made = NewTopic(name, num_partitions=3, replication_factor=replication, config=config)
    else:
        made = NewTopic(name, 1, replica_assignment=[replication], config=config)
    admin = connect.admin()
    for future in admin.create_topics([made]).values():
        future.result(15)
    try:
        yield name
    finally:
        _delete(name)


def _delete(name: str) -> None:
    """Delete a topic, if it is there; the controller may be one that was just elected."""
    from confluent_kafka import KafkaException

    def gone() -> bool:
        admin = connect.admin()  # a new one: what an old one knows is from before the fault
        try:
            if name not in admin.list_topics(timeout=5).topics:
                return True
            for future in admin.delete_topics([name], operation_timeout=10).values():
                future.result(15)
        except KafkaException as error:
            raise NotYet(error.args[0].str()) from None
        raise NotYet("it is still there")

    wait_until(gone, 60, f"{name} to be gone", every=1)


def judged(found: FeedTotal, ledger: Ledger) -> Verdict:
    """What the drills and the demo judge by."""
    return judge(Total(feeds={ledger.feed: found}), ledger)


def lost(name: str, stream: Stream) -> list[str]:
    """What the judge of `make drills` calls lost."""
    readback.write(name, stream.feed, stream.folder)
    return checker.lost(checker.load(stream.folder))


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
