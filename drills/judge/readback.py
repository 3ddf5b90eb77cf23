"""A feed's records as the log has them, read from its first offset to its last, for the judge.

`log.bin` holds for each record three numbers (offset, sequence, a hash of the key), `log.json` says
which of them are of which partition, and whether all could be read.
"""

from __future__ import annotations

import json
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
    from standfast.feed import FEED_HEADER, SEQUENCE_HEADER

    log, mine = connect.topic_log(topic, seconds), feed.encode()
    found: dict[int, Read] = {}
    for message in log:
        headers = dict(message.headers() or ())
        if headers.get(FEED_HEADER) != mine:
            continue
        number, offset = message.partition(), message.offset()
        assert number is not None and offset is not None
        read = found.setdefault(number, _nothing())
        read.offsets.append(offset)
        read.sequences.append(int(headers[SEQUENCE_HEADER] or b"-1"))
        read.keys.append(crc32(message.key() or b""))
    found |= {number: _nothing() for number in log.ends if number not in found}
    about = {
        "topic": topic,
        "feed": feed,
        "counts": {str(number): len(read.offsets) for number, read in sorted(found.items())},
        "unread": {str(number): why for number, why in log.unread.items()},
    }
    with (folder / "log.bin").open("wb") as file:
        for _, read in sorted(found.items()):
            for numbers in (read.offsets, read.sequences, read.keys):
                numbers.tofile(file)
    (folder / "log.json").write_text(json.dumps(about) + "\n")
    return about


def _nothing() -> Read:
    return Read(array("q"), array("q"), array("q"))


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
