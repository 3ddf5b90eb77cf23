"""An example of a consumer of your own: it says each trade that is worth LARGE or more.

The inventory's `consumers:` names it, and it runs on every host: supervised, restarted for ever,
killed where it stands still for ten seconds. What it must do for that is all here: read with the
settings it was given, commit only what is done, tell of progress, stop when asked to.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal, DecimalException
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from standfast import clients
from standfast.supervision import Starts, Stop, Watchdog, say

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

LARGE = Decimal(250_000)


def worth(value: bytes | None) -> tuple[str, Decimal]:
    """The trade's id, and its price times its quantity. Raises ValueError where it is no trade."""
    try:
        trade = json.loads(value or b"")
        return str(trade["trade_id"]), Decimal(trade["price"]) * int(trade["quantity"])
    except (ValueError, KeyError, TypeError, DecimalException) as error:
        raise ValueError(f"no trade: {type(error).__name__} {error}") from error


def look_at(message: Message) -> None:
    """Say it if the trade is large. A record that is no trade is said too, and blocks nothing."""
    place = f"{message.topic()}/{message.partition()} offset {message.offset()}"
    try:
        trade_id, amount = worth(message.value())
    except ValueError as error:
        say(f"{place}: {error}", priority=4)
        return
    if amount >= LARGE:
        say(f"{place}: trade {trade_id} is worth {amount}")


def commit(consumer: Consumer, done: list[Message]) -> None:
    """Commit what is done, with the messages themselves: their leader's epoch goes along.

    What cannot be committed (the partitions are another's by now) is simply read again.
    """
    try:
        for message in done:
            consumer.store_offsets(message=message)
        if done:
            consumer.commit()
    except KafkaException as error:
        say(f"not committed, and so read again: {error}", priority=4)


def committed(error: KafkaError | None, _partitions: list[TopicPartition]) -> None:
    """Kafka's answer to a commit."""
    if error is not None:
        say(f"not committed, and so read again: {error}", priority=4)


def main() -> None:
    """Read until SIGTERM."""
    given = os.environ  # what the unit says: see templates/consumers/consumer.service.j2
    settings = clients.read_properties(Path(given["STANDFAST_CONSUMER"]))
    stop, watchdog = Stop().install(), Watchdog()
    starts = Starts(Path(given["STANDFAST_STATE"]) / "starts.json")
    crashes = starts.begin()
    if crashes >= Starts.LIMIT:
        # A static member keeps its partitions while it crash-loops: stay away, so that others can.
        session = int(settings["session.timeout.ms"]) / 1000
        say(f"{crashes} starts without progress: staying away for {2 * session:.0f} s", priority=3)
        stop.wait(2 * session, watchdog, "staying away after a crash loop")
    consumer = clients.consumer(
        settings,
        given["STANDFAST_BOOTSTRAP"].split(","),
        group_id=given["STANDFAST_NAME"],
        group_instance_id=f"{given['STANDFAST_NAME']}-{given['STANDFAST_INSTANCE']}",
        on_commit=committed,
    )
    consumer.subscribe(given["STANDFAST_TOPICS"].split(","))
    while not stop:
        found = consumer.consume(500, 1.0)
        if any(m.error() is not None and m.error().name() == "_FATAL" for m in found):
            raise SystemExit("this member cannot go on: systemd starts it anew")
        messages = [m for m in found if m.error() is None]
        for message in messages:
            look_at(message)
        commit(consumer, messages)
        if messages:
            starts.progress()
        watchdog.ready()
        watchdog.progress()
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as error:  # nothing was stored since, or nobody answers
        say(f"at the end: {error}")
    consumer.close()
    starts.progress()


if __name__ == "__main__":
    main()
