"""The dead-letter topic: where a record goes that the sink cannot take, with its reason."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from standfast import clients
from standfast.records import Key, Record, dead_letter_headers
from standfast.sinks import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIRM_SECONDS = 3.0  # how long one call waits; what is in flight is waited for by the next
LARGEST = "10485760"  # so that a record the topics took is not refused here for its headers


class DeadLetters:
    """Produces dead letters; they are confirmed by the brokers before anything is committed."""

    def __init__(self, settings: Mapping[str, str], bootstrap: Sequence[str], topic: str) -> None:
        self._settings, self._bootstrap, self._topic = settings, bootstrap, topic
        self._producer: Any = None  # made at the first dead letter: most collectors have none
        self._in_flight: set[Key] = set()
        self._confirmed: set[Key] = set()
        self._error: str | None = None

    def send(self, letters: Sequence[tuple[Record, str]]) -> None:
        """Produce (record, reason) and wait until the brokers have them.

        Raises Unavailable where that does not happen soon. A call with the same records again
        goes on waiting for what is in flight, and does not send it twice.
        """
        if self._producer is None:
            self._producer = clients.producer(
                self._settings, self._bootstrap, message_max_bytes=LARGEST, linger_ms="0"
            )
        self._error = None
        for record, reason in letters:
            if record.id not in self._in_flight | self._confirmed:
                self._produce(record, reason, record.value)
        deadline = time.monotonic() + CONFIRM_SECONDS
        wanted = {record.id for record, _ in letters}
        while not wanted <= self._confirmed and time.monotonic() < deadline:
            self._producer.poll(0.1)
        if not wanted <= self._confirmed:
            why = self._error or "not confirmed yet"
            raise Unavailable(f"dead-letter topic {self._topic}: {why}")
        self._confirmed -= wanted

    def _produce(self, record: Record, reason: str, value: bytes | None) -> None:
        headers = dead_letter_headers(record, reason)
        if value is None and record.value is not None:
            size = len(record.value)
            headers.insert(1, ("standfast-dead-value-left-out", b"%d bytes" % size))

        def delivered(error: Any, _message: Any) -> None:
            self._in_flight.discard(record.id)
            if error is None:
                self._confirmed.add(record.id)
            elif error.name() == "MSG_SIZE_TOO_LARGE" and value is not None:
                # The original stays where it is in its topic; here is word of it.
                self._produce(record, reason, None)
            else:
                self._error = error.str()

        try:
            self._producer.produce(
                self._topic, value, record.key, headers=headers, on_delivery=delivered
            )
            self._in_flight.add(record.id)
        except BufferError:
            self._error = "the producer's queue is full"  # the next call goes on
