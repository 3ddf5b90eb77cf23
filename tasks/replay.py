"""`fab refill --into`: replay a time range of a topic's log, into a file or another topic.

The log's time is not monotonic across leaders: a margin more is read on either side, and each
record is judged by its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

import connect
import tasks
from cluster.model import Cluster
from standfast.audit import MARGIN, SILENCE
from standfast.errors import StandfastError, UserError
from standfast.topiclog import ANSWER
from tasks.audit import moment
from tasks.auditview import clock
from tasks.refill import confirmed
from tasks.replayinto import Into, IntoFile, IntoTopic

if TYPE_CHECKING:
    from standfast.topiclog import TopicLog

ENDS = 60.0  # seconds for the brokers to say where each partition begins and ends
BATCH = 1000  # records that are held at a time
STEP = 500  # records between two steps of the bar
TO_TOPIC = "topic:"


@dataclass(frozen=True)
class Asked:
    """A topic, and from when until before when (Unix ms, None for no bound)."""

    topic: str
    since: int | None
    until: int | None

    def holds(self, at: int) -> bool:
        """Whether a record of this time (Unix ms) is asked for."""
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


@dataclass
class Span:
    """When (Unix ms) the earliest and the latest record that was replayed was stored."""

    first: int | None = None
    last: int | None = None

    def add(self, at: int) -> None:
        """One more."""
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)


def main(
    topic: str, since: str, until: str, into: str, rate: float, yes: bool, collector: str
) -> int:
    """Replay; returns the exit code: 0 all is there, 1 not, 2 asked nonsense, 130 Ctrl-C."""
    cluster, console = connect.begin("replay of"), tasks.console()
    try:
        asked = read(topic, since, until, into, rate, collector)
    except (UserError, ValueError) as error:
        connect.die(f"refill: {error}", code=2)
    left = ""
    try:
        with opened(cluster, console, asked, into, yes) as target:
            try:
                return replay(console, asked, target, rate)
            except (StandfastError, OSError, KeyboardInterrupt):
                left = f"; {target.left()}"
                raise
    except StandfastError as error:
        connect.die(f"refill: {error}{left}", error.exit_code)
    except OSError as error:
        connect.die(f"refill: {error}{left}\nnext: fab status; then the same command again")
    except KeyboardInterrupt:
        connect.die(f"refill: interrupted{left}", code=130)


def read(topic: str, since: str, until: str, into: str, rate: float, collector: str) -> Asked:
    """What is asked for. Raises UserError or ValueError where it makes no sense."""
    if collector:
        what = "makes no sense with --into: it replays a topic's log, whatever any sink holds"
        raise UserError("--collector", what)
    if not topic or not (since or until):
        what = "needs --topic, and --since or --until: of which topic, and which time?"
        raise UserError("--into", what)
    if into in ("", TO_TOPIC):
        raise UserError("--into", "should be a file, or topic:NAME")
    if into == TO_TOPIC + topic:
        raise UserError("--into", f"would write {topic} into itself: name another topic, or a file")
    if rate < 0:
        raise UserError("--rate", f"must be over 0 records a second, is {rate:g}")
    asked = Asked(topic, moment(since), moment(until))
    if asked.since is not None and asked.until is not None and asked.since >= asked.until:
        raise UserError("--until", f"{until} is not later than --since {since}")
    return asked


def opened(cluster: Cluster, console: Console, asked: Asked, into: str, yes: bool) -> Into:
    """What is written into. Raises UserError where there is no such topic, or the file is there
    already; OSError where the brokers do not answer.
    """
    name = into.removeprefix(TO_TOPIC)
    if name != into:
        found = _topics({asked.topic, name})
        _known(found, asked.topic, "--topic")
        _known(found, name, "--into", "; make deploy creates those of the inventory")
        question = f"write records of {asked.topic} into {name}?"
        if not (yes or cluster.is_lab or confirmed(console, question)):
            connect.die("refill: nothing was changed")
        return IntoTopic(name, same=found[name] == found[asked.topic])
    path = Path(into)
    if not os.path.lexists(path):  # said first, and without a broker
        _known(_topics({asked.topic}), asked.topic, "--topic")
    return IntoFile(path)


def _topics(wanted: set[str]) -> Mapping[str, int]:
    """How many partitions each topic has. A broker that has just started may not know them yet: it
    is asked three times for those that are wanted.
    """
    from confluent_kafka import KafkaException

    found: dict[str, int] = {}
    for _ in range(3):
        try:
            answer = connect.admin().list_topics(timeout=ANSWER).topics
        except KafkaException as error:
            why = error.args[0].str()
            raise OSError(f"kafka: no broker says which topics there are: {why}") from error
        found |= {n: len(t.partitions) for n, t in answer.items() if t.error is None}
        if wanted <= set(found):
            break
        time.sleep(0.5)
    return {name: number for name, number in found.items() if not name.startswith("__")}


def _known(found: Mapping[str, int], name: str, option: str, more: str = "") -> None:
    if name not in found:
        there = ", ".join(sorted(found)) or "none"
        raise UserError(f"{option}: {name}", f"no such topic; there are {there}{more}")


# --- the replay itself ---


def replay(console: Console, asked: Asked, target: Into, rate: float) -> int:
    """Read, write, and say what became of it; returns the exit code. Raises Failure, OSError."""
    log = connect.topic_log(
        asked.topic,
        ENDS,
        None if asked.since is None else max(0, asked.since - MARGIN),
        None if asked.until is None else asked.until + MARGIN,
        silence=SILENCE,
        batch=BATCH,
    )
    span = copied(console, log, asked, target, rate)
    begin = begins(log)
    target.finish()  # from here on nothing can go wrong with it any more
    refused = sum(target.refused.values())
    words = f"{target.written:,} records of {asked.topic}"
    if span.first is not None:
        words += f", stored {clock(span.first)} to {clock(span.last)},"
    said = [Text(f"{words} are in {target.name}", "bold red" if refused else "bold green")]
    for why, number in target.refused.most_common():
        said.append(Text(f"{number:,} were refused: {why}", "red"))
    said += [Text(sentence, "yellow") for sentence in older(asked, begin)]
    for text in said:
        console.print(text, soft_wrap=True)
    return 1 if refused else 0


def copied(console: Console, log: TopicLog, asked: Asked, target: Into, rate: float) -> Span:
    """Hand over each record that is asked for, with a bar on a terminal. Raises OSError where not
    all of the log could be read, and what the target raises.
    """
    span, handed, began = Span(), 0, time.monotonic()
    with (
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
        closing(iter(log)) as records,
    ):
        bar = progress.add_task(f"reading {log.topic}", total=None)
        for number, message in enumerate(records, start=1):
            if log.unread:
                break  # of some partitions not even the end is known: it will never be whole
            if number % STEP == 1:
                total = sum(log.ends.values()) - sum(log.starts.values())
                progress.update(bar, completed=number, total=total)
            kind, at = message.timestamp()
            if not kind or not asked.holds(at):
                continue
            target.write(message)
            span.add(at)
            handed += 1
            if rate:  # the throttle: no faster than asked for
                time.sleep(max(0.0, began + handed / rate - time.monotonic()))
    log.whole()
    return span


# --- what is older than the log ---


def begins(log: TopicLog) -> dict[int, int | None]:
    """When (Unix ms) the first record was stored that the log still has, of each partition of which
    it deleted some; None where it has none any more. What cannot be read is left out.
    """
    from confluent_kafka import KafkaException, TopicPartition

    found: dict[int, int | None] = {}
    consumer = connect.consumer("standfast-reading", enable_partition_eof="true")
    try:
        for number, first in log.firsts.items():
            if first <= 0:
                continue
            consumer.assign([TopicPartition(log.topic, number, first)])
            for message in consumer.consume(1, ANSWER / 2):
                error = message.error()
                if error is None:
                    found[number] = message.timestamp()[1]
                elif error.name() == "_PARTITION_EOF":
                    found[number] = None
    except KafkaException:
        return found
    finally:
        consumer.close()
    return found


def older(asked: Asked, begin: Mapping[int, int | None]) -> list[str]:
    """What to say where more is asked for than the log still has. Pure."""
    late = [at for at in begin.values() if at is not None and at > (asked.since or 0)]
    empty = [f"{asked.topic}/{number}" for number, at in begin.items() if at is None]
    said = []
    if late:
        first, last = clock(min(late)), clock(max(late))
        more = f", and in some partitions as late as {last}" if last != first else ""
        said.append(f"the log begins at {first}{more}: what is older can no longer be had")
    if empty:
        said.append(f"the log has deleted all that was in {', '.join(empty)}")
    return said
