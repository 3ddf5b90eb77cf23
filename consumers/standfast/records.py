"""A record as the sink keeps it, and what can be said of it without any sink. Pure."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, cast

from standfast.feed import EVENT_TIME_HEADER, FEED_HEADER, SEQUENCE_HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message

Headers = list[tuple[str, bytes | None]]
Key = tuple[str, int, int]  # topic id, partition, offset: what makes a record one record

LARGEST = 2**63 - 1
LONGEST_FEED = 200  # characters of a feed's id


@dataclass(slots=True)
class Record:
    """One record of the log. Times in Unix milliseconds; `sha256` is of key, value, headers."""

    topic_id: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int | None
    event_time: int | None
    feed: str | None
    sequence: int | None
    sha256: bytes

    @property
    def id(self) -> Key:
        """What makes it this record and no other."""
        return self.topic_id, self.partition, self.offset


def record_of(message: Message, topic_id: str) -> Record:
    """The record in a message without error."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None
    carried = cast("Sequence[tuple[str, bytes | None]]", message.headers() or ())
    headers = list(carried)
    key, value = message.key(), message.value()
    kind, timestamp = message.timestamp()
    known = dict(headers)
    feed, sequence = _feed(known.get(FEED_HEADER)), _number(known.get(SEQUENCE_HEADER))
    if feed is None or sequence is None:
        feed = sequence = None  # one without the other tells nothing
    return Record(
        topic_id,
        topic,
        partition,
        offset,
        key,
        value,
        headers,
        timestamp if kind else None,  # 0: not available
        _number(known.get(EVENT_TIME_HEADER)),
        feed,
        sequence,
        content_hash(key, value, headers),
    )


def content_hash(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """SHA-256 over key, value and headers, each with its length: no two contents read alike."""
    digest = sha256()
    for part in (key, value):
        digest.update(_measured(part))
    for name, content in headers:
        digest.update(_measured(name.encode("utf-8", "surrogateescape")) + _measured(content))
    return digest.digest()


def headers_json(headers: Headers) -> str:
    """[[name, text], …] in ASCII; bytes that are no UTF-8 text stand as {"base64": …}."""
    return json.dumps([[name, readable(value)] for name, value in headers])


def unfit(record: Record, max_bytes: int, form: str | None) -> str | None:
    """Why the record is not to be stored, None if it is. `form` is None or "json"."""
    size = len(record.key or b"") + len(record.value or b"")
    size += sum(len(name) + len(value or b"") for name, value in record.headers)
    if size > max_bytes:
        return f"too large: {size} bytes, max_record_bytes is {max_bytes}"
    if form == "json":
        try:
            if not isinstance(json.loads(record.value or b""), dict):
                return "not a JSON object"
        except (ValueError, RecursionError) as error:
            return f"not JSON: {error}"
    return None


def dead_letter_headers(record: Record, reason: str) -> Headers:
    """The original headers, and ahead of them why and from where the record comes."""
    said: Sequence[tuple[str, object]] = (
        ("reason", reason),
        ("topic", record.topic),
        ("topic-id", record.topic_id),
        ("partition", record.partition),
        ("offset", record.offset),
        ("timestamp", record.timestamp_ms),
    )
    return [(f"standfast-dead-{name}", str(value).encode()) for name, value in said] + [
        *record.headers
    ]


def _measured(part: bytes | None) -> bytes:
    return b"\xff" * 8 if part is None else len(part).to_bytes(8, "big") + part


def readable(value: bytes | None) -> object:
    """For JSON: the text where the bytes are UTF-8, {"base64": …} where not, None for none."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _number(value: bytes | None) -> int | None:
    if value is None or not value.isdigit() or len(value) > 19:
        return None
    number = int(value)
    return number if number <= LARGEST else None


def _feed(value: bytes | None) -> str | None:
    if not value or len(value) > LONGEST_FEED:
        return None
    try:
        text = value.decode("ascii")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
