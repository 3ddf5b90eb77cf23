"""What the feed command sends: rows of a CSV or JSON-lines file, or made-up trades.

A source yields rows with their numbers: the number is the record's sequence number, and the
same row has the same number whenever the source is read again.
"""

from __future__ import annotations

import csv
import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from standfast.errors import UserError
from standfast.trades import trade

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = 1 << 16  # bytes of a file's beginning that tell whether it is the same file


@dataclass(slots=True)
class Row:
    """One record to be, or why it cannot be one: then `problem` names the line."""

    sequence: int
    key: bytes | None = None
    value: bytes | None = None
    event_time: int | None = None
    problem: str | None = None


def generated(seed: int, number: int) -> Iterator[Row]:
    """`number` trades of the series `seed`, without end where it is 0."""
    for sequence in count(1) if number == 0 else range(1, number + 1):
        key, value = trade(seed, sequence)
        yield Row(sequence, key, value)


def csv_rows(lines: BinaryIO, name: str, key: str | None, event_time: str | None) -> Iterator[Row]:
    """Each row of a CSV with a header line, as a JSON object of texts. The first row is number 1.

    Raises UserError where the header line lacks a column that is asked for.
    """
    text = (line.decode("utf-8", "surrogateescape") for line in lines)
    reader = csv.reader(text, strict=True)
    columns = next(reader, [])
    for wanted in (key, event_time):
        if wanted is not None and wanted not in columns:
            raise UserError(name, f"has no column {wanted!r}; it has {', '.join(columns)}")

    def rows() -> Iterator[Row]:
        for sequence in count(1):
            row = Row(sequence)
            try:
                cells = next(reader, None)
                if cells is None:
                    return
                if len(cells) != len(columns):
                    raise ValueError(f"has {len(cells)} columns, the header line {len(columns)}")
                _fill(row, dict(zip(columns, cells, strict=True)), key, event_time)
            except (ValueError, csv.Error) as error:
                row.problem = f"{name}:{reader.line_num}: {_said(error)}"
            yield row

    return rows()


def json_rows(lines: BinaryIO, name: str, key: str | None, event_time: str | None) -> Iterator[Row]:
    """Each line of a file of JSON objects, its bytes unchanged. The first line is number 1."""
    for sequence, line in enumerate(lines, start=1):
        row = Row(sequence)
        try:
            content = json.loads(line)
            if not isinstance(content, dict):
                raise ValueError("is not a JSON object")
            _fill(row, content, key, event_time)
            row.value = line.rstrip(b"\r\n")
        except ValueError as error:
            row.problem = f"{name}:{sequence}: {_said(error)}"
        yield row


def _fill(row: Row, content: dict[str, object], key: str | None, event_time: str | None) -> None:
    if key is not None:
        if content.get(key) in (None, ""):
            raise ValueError(f"has no {key!r} to be its key")
        row.key = str(content[key]).encode()
    if event_time is not None:
        row.event_time = unix_ms(content.get(event_time))
    row.value = json.dumps(content, ensure_ascii=False).encode()


def _said(error: Exception) -> str:
    return "is not UTF-8" if isinstance(error, UnicodeError) else str(error)


def unix_ms(value: object) -> int:
    """Milliseconds of a whole number (already milliseconds) or an ISO 8601 time (UTC if bare)."""
    try:
        return int(str(value))
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"event time {value!r} is neither milliseconds nor ISO 8601") from error
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1000)


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """A file by its name, standard input by "-". Raises UserError where it cannot be read."""
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below, after what it yields to
    except OSError as error:
        raise UserError(path, f"cannot be read: {error.strerror}") from error
    with file:
        yield file


def identity(path: str, known: str | None = None) -> str:
    """What tells this input from another: the beginning of the file, by its hash.

    `known` is an earlier identity: the same length of the file is hashed, which may have grown.
    """
    if path == "-":
        return "standard input"
    with opened(path) as file:
        length = PREFIX
        if known and known.startswith("file "):
            length = int(known.split()[1])
        start = file.read(length)
        return f"file {len(start)} {sha256(start).hexdigest()[:32]}"
