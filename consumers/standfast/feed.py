"""The feed: sends records that must not be lost, and knows which ones are acknowledged.

    from standfast.feed import Feed

    with Feed(["kafka1:9092", "kafka2:9092"], "trades", ledger=Path("trades.ledger")) as feed:
        feed.send(b"ACME", b'{"price": "12.50"}', event_time=1700000000000)

Leaving the block waits until everything is acknowledged, and raises Failure where it is not.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standfast import clients
from standfast.errors import Failure, UserError
from standfast.ledger import LedgerWriter
from standfast.pauses import Pauses
from standfast.ranges import Gather, Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

FEED_HEADER = "standfast-feed"
SEQUENCE_HEADER = "standfast-sequence"
EVENT_TIME_HEADER = "standfast-event-time"  # Unix milliseconds

SYNC_SECONDS = 0.1  # acknowledgements are flushed to the ledger in groups of so long …
SYNC_RECORDS = 5_000  # … or of so many
AGAIN_SECONDS = 0.2  # what the client library gave back is sent again after so long

# A record with one of these can never be sent; all other errors pass.
REFUSALS = ("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD")

# What each setting must be for an acknowledgement to mean what the ledger says.
SAFE = {
    "acks": ({"all", "-1"}, "an acknowledged record may lie on one machine only"),
    "enable.idempotence": ({"true"}, "a retry may double or reorder records"),
    "message.timeout.ms": ({"0"}, "a record is dropped when the cluster is away for so long"),
}


def refuse_risky(settings: Mapping[str, str], accepted: str | None) -> None:
    """Raise UserError where a setting would let a record be lost, unless a reason is given."""
    for name, (safe, why) in SAFE.items():
        value = settings.get(name)
        if value not in safe and not accepted:
            raise UserError(
                f"producer settings: {name}",
                f"must be {min(safe, key=len) if name != 'acks' else 'all'}, is "
                f"{value or 'not set'}: {why} (--accept-risk REASON sends all the same)",
            )


class RecordRefused(Failure):
    """This one record can never be sent; the feed goes on with others."""


@dataclass(slots=True)
class _Record:
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]]


class Feed:
    """One feed to one topic. `send` is for one thread; acknowledgements are taken by another."""

    def __init__(
        self,
        bootstrap: Sequence[str],
        topic: str,
        *,
        ledger: Path | None = None,
        name: str = "feed",
        source: str = "application",
        resume: bool = False,
        settings: Mapping[str, str] | None = None,
        accept_risk: str | None = None,
        drain: float = 30.0,
        stop: Callable[[], object] = lambda: False,
    ) -> None:
        """Begin to feed; nothing is sent yet.

        `ledger`: the file that keeps what was acknowledged; `resume` goes on from it.
        `drain`: seconds that close() waits for what is not acknowledged yet. `stop` is asked
        while send() waits for room: where it says yes, send() gives up.
        Raises UserError for settings or a ledger that would not do.
        """
        self.settings = dict(settings or clients.default_settings("producer"))
        refuse_risky(self.settings, accept_risk)
        self.topic = topic
        self.drain = drain
        self._stop = stop
        self.id = f"{name}-{secrets.token_hex(4)}"
        self._writer: LedgerWriter | None = None
        self.done = Ranges()  # what an earlier run had acknowledged
        if ledger is not None:
            self._writer = LedgerWriter(ledger, self.id, topic, source, resume)
            self.id = self._writer.ledger.feed
            self.done = self._writer.ledger.acknowledged
        self.next_sequence = (self.done.last() or 0) + 1
        self.sent = 0
        self.acknowledged = 0
        self.refused = 0
        self.pauses = Pauses()
        self.error: str | None = None
        self._sent = Gather()
        self._confirmed = Gather()
        self._lines: list[str] = []
        self._numbers: list[int] = []
        self._flying: dict[int, _Record] = {}  # with the client library
        self._again: dict[int, _Record] = {}  # given back by it, to be sent again
        self._again_at = 0.0
        self._noted = False  # in the ledger, that some are sent again
        self._broken = False
        self._closing = threading.Event()
        self._lock = threading.Lock()  # who hands a record to the producer holds it
        self._bootstrap = list(bootstrap)
        self._producer = clients.producer(self.settings, bootstrap)
        self._thread = threading.Thread(target=self._take, name="acknowledgements", daemon=True)
        self._thread.start()

    def check(self, seconds: float = 30.0) -> None:
        """Raise Failure where no broker answers in time, UserError where the topic is unknown."""
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + seconds
        absent = 0
        while absent < 3:  # a broker that has just started may not know its topics yet
            try:
                found = self._producer.list_topics(timeout=min(5.0, seconds)).topics
                if self.topic in found and found[self.topic].error is None:
                    return
                absent += 1
            except KafkaException as error:
                if time.monotonic() >= deadline or self._stop():
                    where = ", ".join(self._bootstrap)
                    what = f"no answer within {seconds:.0f} s: {error.args[0].str()}"
                    raise Failure(where, what) from error
            time.sleep(0.5)
        raise UserError(self.topic, f"no such topic; there are {', '.join(sorted(found))}")

    def send(
        self,
        key: bytes | None,
        value: bytes | None,
        *,
        event_time: int | None = None,
        sequence: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> int:
        """Hand over one record, and return its sequence number. Waits where the queue is full.

        `event_time` is in Unix milliseconds, now where it is None. `sequence` is the next one
        where it is None; given, it is for the caller to keep unique. Raises Failure where the
        feed can send no more.
        """
        number = self.next_sequence if sequence is None else sequence
        when = time.time_ns() // 1_000_000 if event_time is None else event_time
        carried: list[tuple[str, str | bytes | None]] = [
            *headers,
            (FEED_HEADER, self.id.encode()),
            (SEQUENCE_HEADER, b"%d" % number),
            (EVENT_TIME_HEADER, b"%d" % when),
        ]
        self._produce(number, _Record(key, value, carried))
        self.next_sequence = number + 1
        self.sent += 1
        self.pauses.sent()
        self._sent.add(number)
        return number

    def _produce(self, number: int, record: _Record) -> None:
        from confluent_kafka import KafkaException

        while True:
            if self.error:
                raise Failure("feed", self.error)
            try:
                with self._lock:
                    # What was given back goes first, or it would come after what follows it.
                    if not self._again:
                        self._hand_over(number, record)
                        return
            except BufferError:
                pass  # the queue is full: the cluster sets the pace
            except KafkaException as error:
                # Otherwise the topic is unknown for a moment, or the producer is broken.
                if error.args[0].name() in REFUSALS:
                    raise RecordRefused(f"record {number}", error.args[0].str()) from error
            if self._stop():
                raise Failure("feed", f"stopped before record {number} was sent")
            self._closing.wait(0.005)

    def _hand_over(self, number: int, record: _Record) -> None:
        # The sequence number travels with the record to its callback, without a look-up.
        self._producer.produce(
            self.topic,
            record.value,
            record.key,
            headers=record.headers,
            on_delivery=lambda error, message: self._delivered(number, error, message),
        )
        self._flying[number] = record

    def outstanding(self) -> int:
        """How many records were handed over and are not acknowledged yet."""
        return self.sent - self.acknowledged - self.refused

    def missing(self) -> Ranges:
        """The sequence numbers handed over and not acknowledged; final after close."""
        return self._sent.ranges() - self._confirmed.ranges()

    def close(self, drain: float | None = None) -> Ranges:
        """Wait at most `drain` seconds for the rest, and return what is not acknowledged."""
        deadline = time.monotonic() + (self.drain if drain is None else drain)
        while self.outstanding() and not self.error and time.monotonic() < deadline:
            time.sleep(0.01)
        self._closing.set()
        self._thread.join()
        if self._writer is not None:
            self._writer.close()
        self.pauses.end(self.outstanding())
        return self.missing()

    def _delivered(self, number: int, error: Any, message: Any) -> None:
        record = self._flying.pop(number, None)
        if error is None:
            now = time.time_ns() // 1_000_000
            latency = message.latency() * 1000.0
            partition, offset = message.partition(), message.offset()
            self.pauses.acknowledged(partition, latency)
            self._numbers.append(number)
            # A retry that the broker had already: it does not say under which offset.
            offset = -1 if offset is None or offset < 0 else offset
            self._lines.append(f"{number} {partition} {offset} {now} {latency:.1f}")
        elif error.name() in REFUSALS:
            self.refused += 1
            clients.log("feed").error("record %d can never be sent: %s", number, error.str())
        elif record is not None:
            # message.timeout.ms=0 does not cover all: while all brokers start, the library finds
            # the topic without partitions and gives its records back.
            clients.log("feed").warning("given back, to be sent again: %s", error.str())
            self._broken = self._broken or error.fatal()
            self._again[number] = record
            self._noted = False
            self._again_at = time.monotonic() + AGAIN_SECONDS

    def _take(self) -> None:
        """The thread that serves callbacks and flushes the ledger, until close."""
        synced = time.monotonic()
        try:
            while True:
                closing = self._closing.is_set()
                self._producer.poll(0 if closing else 0.05)
                now = time.monotonic()
                if self._again and now >= self._again_at and not closing:
                    with self._lock:
                        self._send_again()
                if self._numbers and (
                    closing or now - synced >= SYNC_SECONDS or len(self._numbers) >= SYNC_RECORDS
                ):
                    self._flush_ledger()
                    synced = now
                if closing and not self._numbers:
                    return
        except OSError as error:
            self.error = f"the ledger cannot be written: {error.strerror}"

    def _send_again(self) -> None:
        """Send what the library gave back, in order, with the numbers it had."""
        from confluent_kafka import KafkaException

        if self._writer is not None and not self._noted:
            self._writer.again()
            self._noted = True
        if self._broken:
            # An idempotent producer that met a fatal error takes nothing more.
            self._producer.purge()
            self._producer.flush(5.0)
            self._again.update(self._flying)
            self._flying.clear()
            self._producer = clients.producer(self.settings, self._bootstrap)
            self._broken = False
        try:
            for number in sorted(self._again):
                self._hand_over(number, self._again[number])
                del self._again[number]
        except (BufferError, KafkaException) as error:
            clients.log("feed").warning("still to be sent again: %s", error)
            self._again_at = time.monotonic() + AGAIN_SECONDS  # the rest a little later

    def _flush_ledger(self) -> None:
        lines, self._lines = self._lines, []
        numbers, self._numbers = self._numbers, []
        if self._writer is not None:
            self._writer.add(lines)
            self._writer.sync()
        for number in numbers:
            self._confirmed.add(number)
        self.acknowledged += len(numbers)

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        missing = self.close()
        if missing and error is None:
            raise Failure("feed", f"{len(missing)} not acknowledged: sequences {missing.text()}")
