"""What a replay writes into: a file of JSON lines, or another topic.

A line of the file is one record; a key or value that is no UTF-8 text stands as {"base64": …}:

    {"topic", "partition", "offset", "timestamp", "key", "value", "headers": [[name, value]]}
"""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import connect
from standfast.errors import Failure, UserError

if TYPE_CHECKING:
    from confluent_kafka import Message

REPLAYED_HEADER = "standfast-replayed"  # "topic/partition/offset" of the record it is a copy of
SILENCE = 60.0  # seconds without an acknowledgement, after which no more is sent
BOUNDED = {
    "queue.buffering.max.kbytes": "65536",  # what waits to be sent: 1 GiB by default
    "message.max.bytes": "10485760",  # the topic decides what is too large, not the library
}


class Into(ABC):
    """Takes records one by one; `written` counts what arrived, `refused` what did not, by reason.

    Leaving the block gives up what `finish` has not made lasting.
    """

    def __init__(self, name: str) -> None:
        """`name` is how messages call it."""
        self.name = name
        self.written = 0
        self.refused: Counter[str] = Counter()

    @abstractmethod
    def write(self, message: Message) -> None:
        """Take a record. Raises Failure or OSError where no more can be taken."""

    @abstractmethod
    def finish(self) -> None:
        """Returns when all of it lasts. Raises as write does."""

    @abstractmethod
    def left(self) -> str:
        """What there is of a replay that was not finished, for a sentence."""

    def close(self) -> None:  # noqa: B027 - a topic has nothing to clear away
        """Give up what is not finished; never raises."""

    def __enter__(self) -> Into:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def line(message: Message) -> bytes:
    """A record as one line, in ASCII."""
    from standfast.records import readable

    kind, at = message.timestamp()
    record = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": at if kind else None,
        "key": readable(message.key()),
        "value": readable(message.value()),
        "headers": [[name, readable(value)] for name, value in _headers(message)],
    }
    return json.dumps(record).encode() + b"\n"


def _headers(message: Message) -> list[tuple[str, bytes | None]]:
    carried: Any = message.headers() or ()
    return list(carried)


class IntoFile(Into):
    """A file. It has its name only when it is whole, and on the disk."""

    def __init__(self, path: Path) -> None:
        """Raises UserError where there is such a file already, or none can be."""
        super().__init__(str(path))
        self._path, self._partial = path, path.with_name(path.name + ".partial")
        if os.path.lexists(path):
            raise UserError(str(path), "is there already: name another file, or take it away")
        try:
            self._file = self._partial.open("xb")
        except FileExistsError:
            what = "is there: another replay writes it, or one was killed: then take it away"
            raise UserError(str(self._partial), what) from None
        except OSError as error:
            raise UserError(str(path), f"cannot be written: {error.strerror}") from error

    def write(self, message: Message) -> None:
        """See Into."""
        try:
            self._file.write(line(message))
        except OSError as error:
            raise self._failed(error) from error
        self.written += 1

    def finish(self) -> None:
        """See Into."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._partial.rename(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._failed(error) from error

    def left(self) -> str:
        """See Into."""
        return "nothing is left of it"

    def close(self) -> None:
        """See Into."""
        with suppress(OSError):  # a full disk
            self._file.close()
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> Failure:
        what = f"cannot be written: {error.strerror}: make room, or name another file"
        return Failure(str(self._partial), what)


class IntoTopic(Into):
    """A topic: acknowledged by every copy that is in sync, and each record marked as replayed."""

    def __init__(self, name: str, same: bool) -> None:
        """`same`: a record goes into the partition of the number that it had, else by its key."""
        from standfast.clients import default_settings

        super().__init__(name)
        self._same = same
        self._producer = connect.producer({**default_settings("producer"), **BOUNDED})
        self._sent = self._answered = 0
        self._heard = time.monotonic()

    def write(self, message: Message) -> None:
        """See Into."""
        from confluent_kafka import KafkaException

        place = f"{message.topic()}/{message.partition()}/{message.offset()}"
        more: dict[str, Any] = {"partition": message.partition()} if self._same else {}
        kind, at = message.timestamp()
        if kind:
            more["timestamp"] = at
        if self._sent == self._answered:
            self._heard = time.monotonic()  # nothing was waited for until now
        while True:
            try:
                self._producer.produce(
                    self.name,
                    message.value(),
                    message.key(),
                    headers=[*_headers(message), (REPLAYED_HEADER, place.encode())],
                    on_delivery=self._delivered,
                    **more,
                )
                break
            except BufferError:
                self._serve(0.1)  # the cluster sets the pace
            except KafkaException as error:
                if error.args[0].name() == "_FATAL":
                    raise OSError(f"kafka: {self.name}: {error.args[0].str()}") from error
                self.refused[error.args[0].str()] += 1
                return
        self._sent += 1
        self._serve(0)

    def finish(self) -> None:
        """See Into."""
        while self._answered < self._sent:
            self._serve(0.2)

    def left(self) -> str:
        """See Into."""
        mark = f"each with a header {REPLAYED_HEADER}"
        return f"{self.written:,} records at least are in {self.name}, {mark}"

    def _serve(self, seconds: float) -> None:
        self._producer.poll(seconds)
        waiting = self._sent - self._answered
        if waiting and time.monotonic() - self._heard > SILENCE:
            what = f"of {waiting:,} records nothing was heard for {SILENCE:.0f} s"
            raise OSError(f"kafka: {self.name}: {what}")

    def _delivered(self, error: Any, _: Message) -> None:
        self._answered += 1
        self._heard = time.monotonic()
        if error is None:
            self.written += 1
        else:
            self.refused[error.str()] += 1
