"""A feed's records as the log has them, read from its first offset to its last, for the judge.

`log.bin` holds for each record three numbers (offset, sequence, a hash of the key), `log.json` says
which of them are of which partition, and whether all could be read.
"""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import connect

SECONDS = 180.0


@dataclass(frozen=True)
class Read:
    """A partition: each record's offset, sequence and key's hash, in the order of the log."""

    offsets: array[int]
    sequences: array[int]
    keys: array[int]


def write(topic: str, feed: str, folder: Path, seconds: float = SECONDS) -> dict[str, object]:
    """Read `topic`, and leave log.bin and log.json; returns what log.json says.

    Raises OSError where the topic cannot be asked for at all; a partition that could not be read to
    its end within `seconds` is named.
    """
    from confluent_kafka import KafkaException, TopicPartition

    from standfast.feed import FEED_HEADER, SEQUENCE_HEADER

    consumer = connect.consumer("drill-judge")
    deadline = time.monotonic() + seconds
    found: dict[int, Read] = {}
    left: dict[int, int] = {}
    mine = feed.encode()
    try:
        for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            first, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            found[number] = Read(array("q"), array("q"), array("q"))
            if end > first:
                left[number] = end
        consumer.assign([TopicPartition(topic, number, 0) for number in left])
        while left and time.monotonic() < deadline:
            for message in consumer.consume(5000, 1.0):
                number, offset = message.partition(), message.offset()
                if message.error() or number is None or offset is None:
                    continue
                headers = dict(message.headers() or ())
                if headers.get(FEED_HEADER) == mine:
                    read = found[number]
                    read.offsets.append(offset)
                    read.sequences.append(int(headers[SEQUENCE_HEADER] or b"-1"))
                    read.keys.append(crc32(message.key() or b""))
                if offset + 1 >= left.get(number, 0):
                    left.pop(number, None)
    except KafkaException as error:
        raise OSError(f"kafka: {topic} cannot be read: {error.args[0].str()}") from None
    finally:
        consumer.close()
    about = {
        "topic": topic,
        "feed": feed,
        "counts": {str(number): len(read.offsets) for number, read in sorted(found.items())},
        "unread": {str(number): end for number, end in left.items()},
    }
    with (folder / "log.bin").open("wb") as file:
        for _, read in sorted(found.items()):
            for numbers in (read.offsets, read.sequences, read.keys):
                numbers.tofile(file)
    (folder / "log.json").write_text(json.dumps(about) + "\n")
    return about


def load(folder: Path) -> tuple[Mapping[int, Read], Mapping[str, object]]:
    """What `write` left. Raises OSError, ValueError."""
    about = json.loads((folder / "log.json").read_text())
    found = {}
    with (folder / "log.bin").open("rb") as file:
        for number, count in about["counts"].items():
            parts = []
            for _ in range(3):
                numbers = array("q")
                numbers.fromfile(file, count)
                parts.append(numbers)
            found[int(number)] = Read(*parts)
    return found, about
