"""Where records are kept: what every sink promises.

A batch is one transaction. A record's key is (topic id, partition, offset): what is there
already is left out, and what is there with another content is kept beside it as a conflict.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from standfast import schema
from standfast.errors import UserError
from standfast.records import Key, Record, headers_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

CANARY_DAYS = 7
RACES = 5  # how often a batch is judged anew because another collector wrote the same keys


class Unavailable(Exception):
    """The sink cannot take anything now: down, full, locked. Try again later."""


class Raced(Unavailable):
    """Another collector stored some of the same records since we looked: judge them again."""


class TooSlow(Unavailable):
    """The sink did not take so much in the time there is: try with less."""


class Refused(Exception):
    """The sink is well, and will not take this batch: one of its records is at fault."""


@dataclass(slots=True)
class Written:
    """What became of a batch, in records."""

    new: int = 0
    seen: int = 0  # stored before, with the same content
    repeats: int = 0  # new, but the feed had sent them under another offset already
    conflicts: list[Record] = field(default_factory=list)  # the key is taken by another content
    clashes: list[Record] = field(default_factory=list)  # the feed's number is: stored as new


@dataclass(slots=True)
class Judged:
    """A batch, sorted by what is to be done: rows are (record, repeat)."""

    rows: list[tuple[Record, int]] = field(default_factory=list)
    written: Written = field(default_factory=Written)


Content = tuple[bytes | None, bytes | None]
Row = tuple[Any, ...]
T = TypeVar("T")


def judge(
    batch: Iterable[Record],
    hashes: Mapping[Key, bytes],
    numbers: Mapping[tuple[str, int], Content],
) -> Judged:
    """What to do with each record, given what the sink holds. Pure.

    `hashes`: the content hash of each key of the batch that is stored. `numbers`: key and value
    of each (feed, sequence) of the batch that is stored as a first.
    """
    stored, known = dict(hashes), dict(numbers)
    result = Judged()
    written = result.written
    for record in batch:
        there = stored.get(record.id)
        if there is not None:
            if bytes(there) == record.sha256:
                written.seen += 1
            else:
                written.conflicts.append(record)
            continue
        stored[record.id] = record.sha256
        repeat = 0
        if record.feed is not None and record.sequence is not None:
            content = (record.key, record.value)
            first = known.setdefault((record.feed, record.sequence), content)
            if first is not content:
                repeat = 1 if first == content else 2
        result.rows.append((record, repeat))
        written.new += 1
        written.repeats += repeat == 1
        if repeat == 2:
            written.clashes.append(record)
    return result


class Sink(ABC):
    """A durable place for records. Not safe for several threads."""

    def __init__(self, consumer: str, host: str, canary: str | None) -> None:
        """`consumer` and `host` sign what is stored; `canary` is the topic of its own table."""
        self.consumer, self.host, self.canary = consumer, host, canary
        self._pruned = 0.0

    @abstractmethod
    def open(self) -> None:
        """Connect and make the tables where there are none. Raises Unavailable, UserError."""

    @abstractmethod
    def close(self) -> None:
        """Let go; never raises. The next write opens it again."""

    @abstractmethod
    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """Stream what a query finds, with flat memory; ? stands for a parameter.

        For a sink opened to read: all queries see the sink as it was when it was opened.
        """

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _commit(self) -> None: ...

    @abstractmethod
    def _execute(self, query: str, parameters: Sequence[Any]) -> list[Row]: ...

    @abstractmethod
    def _insert(self, query: str, rows: list[Row]) -> int:
        """Insert all rows; how many were inserted."""

    @abstractmethod
    def _first_of_feed(
        self, feed: str, sequences: list[int]
    ) -> Iterable[tuple[int, bytes | None, bytes | None]]: ...

    @abstractmethod
    def _failure(self, error: Exception) -> Exception | None:
        """Unavailable, TooSlow or Refused for a driver's error, None for one that is a bug."""

    def _bounded(self) -> AbstractContextManager[None]:
        """Around a transaction: raises where it takes too long."""
        return nullcontext()

    def write(self, batch: Sequence[Record]) -> Written:
        """Store a batch in one transaction; when this returns it is on disk, and once.

        Raises Unavailable (or TooSlow) or Refused; then nothing of the batch is stored.
        """
        records = [record for record in batch if record.topic != self.canary]
        canaries = [record for record in batch if record.topic == self.canary]
        return self._transaction(lambda: self._store(records, canaries))

    def dead(self, letters: Sequence[tuple[Record, str]]) -> None:
        """Note (record, reason) of what is in the dead-letter topic. Raises as write does."""
        now = _now()
        rows: list[Row] = []
        for r, reason in letters:
            said = reason.replace("\0", "?")[:1000]
            place = (r.topic_id, r.topic, r.partition, r.offset)
            rows.append((*place, said, r.feed, r.sequence, r.timestamp_ms, now, self.host))
        self._transaction(lambda: self._insert(schema.INSERT_DEAD, rows))

    def known_dead(self, records: Sequence[Record]) -> set[Key]:
        """Which of the records `dead` noted before. Raises as write does."""
        return self._transaction(
            lambda: {r.id for r in records if self._execute(schema.DEAD, r.id)}
        )

    def _transaction(self, work: Callable[[], T]) -> T:
        for attempt in range(RACES):
            try:
                self.open()
                with self._bounded():
                    self._begin()
                    result = work()
                    self._commit()
                return result
            except Exception as error:
                # Closing rolls back: whatever happened, nothing half-done stays.
                self.close()
                known = isinstance(error, Unavailable | UserError)
                failure = error if known else self._failure(error)
                if failure is None:
                    raise
                if not isinstance(failure, Raced) or attempt == RACES - 1:
                    raise failure from error
        raise AssertionError("unreachable")

    def _store(self, records: list[Record], canaries: list[Record]) -> Written:
        now = _now()
        judged = judge(records, self._hashes(records), self._numbers(records))
        rows: list[Row] = [(*_columns(r), now, self.host, repeat) for r, repeat in judged.rows]
        if rows and self._insert(schema.INSERT_RECORD, rows) != len(rows):
            # A zombie of a takeover: it and its heir read the same records for a moment.
            raise Raced("another collector is writing the same records")
        odd: list[Row] = [(*_columns(r), now, self.host) for r in judged.written.conflicts]
        if odd:
            self._insert(schema.INSERT_CONFLICT, odd)
        if canaries:
            self._canaries(canaries, now)
        return judged.written

    def _hashes(self, records: list[Record]) -> dict[Key, bytes]:
        spans: dict[tuple[str, int], tuple[int, int]] = {}
        for r in records:
            first, last = spans.get((r.topic_id, r.partition), (r.offset, r.offset))
            spans[r.topic_id, r.partition] = min(first, r.offset), max(last, r.offset)
        found: dict[Key, bytes] = {}
        for (topic_id, partition), span in spans.items():
            for offset, digest in self._execute(schema.HASHES, (topic_id, partition, *span)):
                found[topic_id, partition, offset] = digest
        return found

    def _numbers(self, records: list[Record]) -> dict[tuple[str, int], Content]:
        wanted: dict[str, list[int]] = {}
        for r in records:
            if r.feed is not None and r.sequence is not None:
                wanted.setdefault(r.feed, []).append(r.sequence)
        return {
            (feed, sequence): (key, value)
            for feed, sequences in wanted.items()
            for sequence, key, value in self._first_of_feed(feed, sequences)
        }

    def _canaries(self, canaries: list[Record], now: int) -> None:
        rows: list[Row] = []
        for r in canaries:
            token = (r.key or b"").decode("ascii", "replace")[:100].replace("\0", "?")
            broker = int(r.value) if r.value and r.value.isdigit() and len(r.value) < 10 else None
            rows.append((token, r.partition, r.offset, broker, now, self.consumer, self.host))
        self._insert(schema.INSERT_CANARY, rows)
        if time.monotonic() - self._pruned > 3600:
            self._execute(schema.PRUNE_CANARY, (now - CANARY_DAYS * 86_400_000,))
            self._pruned = time.monotonic()


def check_version(found: list[Row], place: str) -> bool:
    """Whether the schema's version is noted. Raises UserError where it is another one."""
    versions = [row[0] for row in found]
    if versions and versions != [schema.VERSION]:
        raise UserError(
            place,
            f"its schema is version {max(versions)}, this program's is {schema.VERSION}: "
            "install the version of standfast that made it, or name another sink",
        )
    return bool(versions)


def _columns(r: Record) -> Row:
    """The columns that records and conflicts have in common, in the order of the INSERTs."""
    place = (r.topic_id, r.topic, r.partition, r.offset)
    origin = (r.timestamp_ms, r.event_time, r.feed, r.sequence, r.sha256)
    return (*place, r.key, r.value, headers_json(r.headers), *origin)


def _now() -> int:
    return time.time_ns() // 1_000_000
