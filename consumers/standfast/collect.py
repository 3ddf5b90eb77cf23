"""Read topics into a durable sink: nothing lost, and nothing twice.

Poll a batch; store it in one transaction; only then commit its offsets to Kafka. A crash at
any instant makes a batch be read again, and the sink leaves out what it holds.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from standfast import clients
from standfast.collectconfig import Config, load
from standfast.deadletters import DeadLetters
from standfast.errors import Failure, UserError
from standfast.positions import Positions
from standfast.records import Record, record_of, unfit
from standfast.sinks import Refused, Sink, TooSlow, Unavailable, Written
from standfast.supervision import Sparing, Starts, Stop, Watchdog, alarm, notify, say
from standfast.topicids import TopicIds

if TYPE_CHECKING:
    import argparse

    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

PAUSE_FIRST, PAUSE_LONGEST = 0.5, 15.0  # seconds between attempts at a sink that is away
SAY_AGAIN = 30.0
# A batch that fails its checksum, or cannot be unpacked; the library would go on behind it.
DAMAGED = ("_BAD_MSG", "_BAD_COMPRESSION", "_NOT_IMPLEMENTED")
HEALTHY_SECONDS = 30.0  # who runs for so long is not crash-looping, however idle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `standfast collect`."""
    parser.add_argument("config", type=Path, metavar="collector.toml")


def run(args: argparse.Namespace) -> int:
    """Collect until SIGTERM."""
    config = load(args.config)
    if not config.state.is_dir():
        raise UserError(str(config.state), "is not a directory; the state is kept there")
    stop, watchdog = Stop().install(), Watchdog()
    starts = Starts(config.state / "starts.json")
    crashes = starts.begin()
    if crashes >= Starts.LIMIT:
        session = int(config.consumer.get("session.timeout.ms", "45000")) / 1000
        say(
            f"{crashes} starts without progress: staying away for {2 * session:.0f} s, "
            "so that the others take these partitions",
            priority=3,
        )
        stop.wait(2 * session, watchdog, "staying away after a crash loop")
    if not stop:
        Collector(config, stop, watchdog, starts).run()
    starts.progress()  # stopped because it was asked to
    return 0


class Collector:
    """One member of the group, its sink, and what lies between them."""

    def __init__(self, config: Config, stop: Stop, watchdog: Watchdog, starts: Starts) -> None:
        self.config, self.stop, self.watchdog, self.starts = config, stop, watchdog, starts
        self.topics = config.topics + ([config.canary] if config.canary else [])
        self.sink: Sink = config.open_sink()
        self.ids = TopicIds(config.bootstrap, self.topics)
        self.letters = DeadLetters(config.producer, config.bootstrap, config.dead_letter)
        self.consumer: Consumer = clients.consumer(
            config.consumer,
            config.bootstrap,
            group_id=config.group,
            group_instance_id=f"{config.name}-{config.instance}",
            on_commit=self.committed,
        )
        self.positions: Positions = Positions(self.consumer)
        self.held: list[Message] = []  # read, not stored yet
        self.waiting = False  # for the sink: the assignment is paused
        self.counts: Counter[str] = Counter()
        self.said = Sparing(SAY_AGAIN)
        self.began = time.monotonic()

    def run(self) -> None:
        """The loop: poll, store, commit, until a stop is asked for."""
        config = self.config
        self.consumer.subscribe(
            self.topics, on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost
        )
        while not self.stop:
            self.held = self.sound(
                self.consumer.consume(config.batch_records, config.batch_seconds)
            )
            self.watchdog.ready()
            if self.held:
                self.store()
            self.positions.commit()
            self.begin_anew()
            if time.monotonic() - self.began > HEALTHY_SECONDS:
                self.starts.progress()
            self.watchdog.progress(self.status)
        notify("STOPPING=1")
        self.positions.commit(wait=True)
        self.consumer.close()
        self.sink.close()
        say(f"stopped: {self.status()}")

    def store(self) -> None:
        """Store what is held: in one transaction where the sink takes it, else in smaller ones."""
        size, pause = len(self.held), PAUSE_FIRST
        while self.held:
            part = self.held[:size]
            try:
                self.keep(part)
            except Refused:
                size = len(part) // 2  # one of its records is at fault: which?
                continue
            except Unavailable as reason:
                if self.stop:
                    say(f"stopped with {len(self.held)} records read and not stored: {reason}")
                    self.held = []
                    break
                if isinstance(reason, TooSlow):
                    size = max(1, len(part) // 2)
                self.wait(str(reason), pause)
                pause = min(PAUSE_LONGEST, pause * 2)
                continue
            self.positions.stored(part)
            self.held = self.held[len(part) :]
            self.starts.progress()
            self.watchdog.progress(self.status)
            size, pause = size * 2, PAUSE_FIRST
            self.resume("going on: the records are stored again")
        self.resume("going on with other partitions")

    def keep(self, part: list[Message]) -> None:
        """Bring messages into the sink, or those it cannot take into the dead-letter topic.

        Raises Unavailable, and Refused where it is one of several records that is refused.
        """
        config = self.config
        good: list[Record] = []
        dead: list[tuple[Record, str]] = []
        for message in part:
            record = record_of(message, self.ids.of(message.topic() or ""))
            ours = record.topic == config.canary
            reason = None if ours else unfit(record, config.max_record_bytes, config.format)
            if reason is None:
                good.append(record)
            else:
                dead.append((record, reason))
        if good:
            try:
                self.count(self.sink.write(good))
            except Refused as refusal:
                if len(good) > 1:
                    raise
                dead.append((good[0], f"refused by the sink: {refusal}"))
        if dead:
            self.bury(dead)

    def bury(self, dead: list[tuple[Record, str]]) -> None:
        """Dead letters: confirmed by the brokers, then noted in the sink for the audit."""
        known = self.sink.known_dead([record for record, _ in dead])
        dead = [(record, reason) for record, reason in dead if record.id not in known]
        if not dead:
            return
        self.letters.send(dead)
        self.sink.dead(dead)
        self.counts["dead letters"] += len(dead)
        record, reason = dead[0]
        say(
            f"{len(dead)} dead letters to {self.config.dead_letter}, the first: {record.topic}/"
            f"{record.partition} offset {record.offset}: {reason}",
            priority=4,
        )

    def count(self, written: Written) -> None:
        """Add up, and raise the alarm for what should never be."""
        self.counts.update(new=written.new, seen=written.seen, repeats=written.repeats)
        for record in written.conflicts:
            self.alarm(
                "conflict", record, "came with another content than is stored: both are kept"
            )
        for record in written.clashes:
            number = f"{record.feed} number {record.sequence}"
            what = f"is {number}, which is stored with another content: both are kept"
            self.alarm("conflict", record, what)

    def alarm(self, cause: str, record: Record, what: str) -> None:
        """An alarm of a record."""
        self.counts["alarms"] += 1
        place = f"{record.topic}/{record.partition} offset {record.offset}"
        alarm(f"{cause}-{record.topic}", f"{place} (topic id {record.topic_id}) {what}")

    def wait(self, reason: str, pause: float) -> None:
        """The sink is away: stay in the group with the assignment paused, for `pause` seconds."""
        if not self.waiting:
            self.waiting = True
            self.consumer.pause(self.consumer.assignment())
        if self.said.now("waiting", reason):
            say(f"waiting with {len(self.held)} records: {reason}", priority=4)
        deadline = time.monotonic() + pause
        while not self.stop and self.held and (left := deadline - time.monotonic()) > 0:
            self.held += self.sound(self.consumer.consume(100, min(0.2, left)))
            self.positions.commit()
            self.watchdog.progress(self.status)

    def resume(self, why: str) -> None:
        """End a wait, if there was one."""
        if self.waiting:
            self.waiting = False
            self.said.over("waiting")
            self.consumer.resume(self.consumer.assignment())
            say(why)

    def sound(self, messages: list[Message]) -> list[Message]:
        """The messages that are records, without those that follow a damaged one."""
        good: list[Message] = []
        damaged: set[tuple[str | None, int | None]] = set()
        for message in messages:
            error = message.error()
            place = message.topic(), message.partition()
            if error is None and place in damaged:
                continue
            if error is None and not self.positions.beyond_end(message):
                good.append(message)
            elif error is None or error.name() in DAMAGED:
                # The library would skip it. The record may be whole on another replica: go back,
                # and ask again, until somebody lets another broker lead.
                damaged.add(place)
                self.positions.go_back(message)
                if self.said.now("damaged", str(place)):
                    what = error.str() if error else f"offset {message.offset()} is past its end"
                    where = f"{place[0]}/{place[1]} is damaged at its leader"
                    alarm(f"damaged-{place[0]}", f"{where}: {what}")
            elif error.fatal() or error.name() == "_FATAL":  # a message's error has the name alone
                raise Failure("kafka", f"{error.str()}: this consumer cannot go on")
            elif self.said.now(error.name(), "said"):
                say(f"kafka: {error.str()}", priority=4)
        if any(self.positions.goes_back(message) for message in good):
            self.ids.doubt()
        return good

    def begin_anew(self) -> None:
        """Read a topic that was made anew from its beginning: no offset of the old one counts."""
        for topic in self.ids.changed():
            self.positions.to_beginning(topic)

    def committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Kafka's answer to a commit."""
        self.positions.committed(error, partitions)

    def assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The group gave us partitions."""
        consumer.assign(partitions)
        if self.waiting and partitions:
            consumer.pause(partitions)
        say(f"assigned: {_named(partitions)}")

    def revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The group takes partitions back: commit what is stored, forget what is not."""
        self.positions.commit(wait=True)
        self.forget(partitions)

    def lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The partitions are another's already: a commit would be refused."""
        say(f"lost: {_named(partitions)}", priority=4)
        self.forget(partitions)

    def forget(self, partitions: list[TopicPartition]) -> None:
        """What is held of these partitions is read again by their next owner."""
        gone = {(p.topic, p.partition) for p in partitions}
        self.held = [m for m in self.held if (m.topic(), m.partition()) not in gone]
        self.positions.forget(gone)

    def status(self) -> str:
        """One line: what was stored, and how far behind the log this is."""
        counts = ", ".join(f"{number} {what}" for what, number in self.counts.items() if number)
        waiting = "waiting for the sink; " if self.waiting else ""
        return f"{waiting}{counts or 'nothing yet'}; lag {self.positions.lag()}"


def _named(partitions: list[TopicPartition]) -> str:
    return ", ".join(f"{p.topic}/{p.partition}" for p in partitions) or "nothing"
