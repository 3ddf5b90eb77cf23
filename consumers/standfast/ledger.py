"""The feed's ledger: which records the cluster has acknowledged, on disk.

A text file. Lines that begin with # say what the feed is and where a run began; every other
line is one acknowledgement:

    # standfast-ledger 1 {"feed": "trades-1f0c2a9b", "topic": "trades", "source": "generator 1"}
    # run 1 1700000000000
    1 4 0 1700000000123 12.4        sequence, partition, offset, when (Unix ms), latency (ms)

The offset is -1 where the broker had the record already and did not say where. `# again` says
that from here on records may have been sent a second time, as they may in a run after the first.

What stands in it was flushed to disk before anybody was told. A last line that a crash tore
off is not an acknowledgement; such a record is sent again, under the same number.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from standfast.errors import UserError
from standfast.ranges import Gather, Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAGIC = "# standfast-ledger 1 "
LINE = re.compile(rb"(\d+ \d+ -?\d+ \d+ \d+\.\d+|# (run|again) \d+ \d+)\n")


@dataclass(slots=True)
class Acknowledgement:
    """One line: `at` in Unix milliseconds, `latency` in milliseconds, `run` counts from 1.

    `again`: the feed had cause to send this one twice.
    """

    sequence: int
    partition: int
    offset: int
    at: int
    latency: float
    run: int
    again: bool


@dataclass(slots=True)
class Ledger:
    """What a ledger says as a whole. `end` is where its last complete line ends, in bytes.

    `once`: what was acknowledged before the feed had any cause to send something twice.
    """

    feed: str
    topic: str
    source: str
    runs: int = 0
    acknowledged: Ranges = field(default_factory=Ranges)
    once: Ranges = field(default_factory=Ranges)
    end: int = 0


def read_ledger(path: Path) -> Ledger:
    """The ledger at `path` as a whole, read in one pass with flat memory.

    Raises UserError where there is none, it is not one, or it is damaged before its end.
    """
    everything, once = Gather(), Gather()
    ledger = read_head(path)
    for line in acknowledgements(path, ledger):
        everything.add(line.sequence)
        if not line.again:
            once.add(line.sequence)
    ledger.acknowledged, ledger.once = everything.ranges(), once.ranges()
    return ledger


def read_head(path: Path) -> Ledger:
    """Whose ledger it is, and nothing of what it holds. Raises UserError where it is none."""
    try:
        with path.open("rb") as file:
            line = file.readline()
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}") from error
    try:
        if not line.startswith(MAGIC.encode()) or not line.endswith(b"\n"):
            raise ValueError
        head = json.loads(line[len(MAGIC) :])
        return Ledger(str(head["feed"]), str(head["topic"]), str(head["source"]), end=len(line))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(str(path), "is not a ledger of standfast's feed") from error


def acknowledgements(path: Path, ledger: Ledger | None = None) -> Iterator[Acknowledgement]:
    """Each acknowledgement in the order they were written; `ledger` gets its `runs` and `end`.

    A torn end (an incomplete last line, or unwritten blocks after a power cut) is left out.
    Raises UserError where lines that are whole follow one that is not.
    """
    ledger = ledger or read_head(path)
    torn, again = 0, False
    with path.open("rb") as file:
        file.seek(ledger.end)
        for number, raw in enumerate(file, start=2):
            if torn and _whole(raw):
                raise UserError(f"{path}:{torn}", "is damaged: keep the file, and begin another")
            if not _whole(raw):
                torn = torn or number
                continue
            ledger.end += len(raw)
            parts = raw.split()
            if parts[0] == b"#":
                ledger.runs = int(parts[2])
                again = again or ledger.runs > 1 or parts[1] == b"again"
                continue
            sequence, partition, offset, at = map(int, parts[:4])
            yield Acknowledgement(
                sequence, partition, offset, at, float(parts[4]), ledger.runs, again
            )


def _whole(raw: bytes) -> bool:
    return LINE.fullmatch(raw) is not None


class LedgerWriter:
    """Appends acknowledgements; what was added counts once `sync` has returned.

    Not safe for several threads. Another feed on the same file is refused (flock).
    """

    def __init__(self, path: Path, feed: str, topic: str, source: str, resume: bool) -> None:
        """Begin the ledger at `path`, or go on with it where `resume`.

        Raises UserError where it exists and resume is false, where it belongs to another topic
        or source, or where another feed holds it.
        """
        self.path = path
        self._file: BinaryIO | None = None
        started = path.exists() and path.stat().st_size > 0 and not _torn_header(path)
        if started and not resume:
            raise UserError(
                str(path),
                "exists already: go on from it with --resume, or name another ledger",
            )
        try:
            file = path.open("r+b" if path.exists() else "x+b")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(str(path), "another feed is writing it") from error
        except OSError as error:
            raise UserError(str(path), f"cannot be written: {error.strerror}") from error
        self._file = file
        if started:
            self.ledger = read_ledger(path)
            for name, mine in (("topic", topic), ("source", source)):
                theirs = getattr(self.ledger, name)
                if theirs != mine:
                    raise UserError(
                        str(path), f"is of another {name}: {theirs!r} there, {mine!r} here"
                    )
        else:
            self.ledger = Ledger(feed, topic, source)
        file.truncate(self.ledger.end)
        file.seek(self.ledger.end)
        if not started:
            head = json.dumps({"feed": feed, "topic": topic, "source": source})
            file.write(f"{MAGIC}{head}\n".encode())
        self.ledger.runs += 1
        self._mark("run")
        _sync_directory(path.parent)

    def add(self, lines: Iterable[str]) -> None:
        """Append lines of "sequence partition offset at latency"; not on disk yet."""
        assert self._file is not None
        self._file.write("".join(f"{line}\n" for line in lines).encode())

    def again(self) -> None:
        """From here on records may have been sent a second time. On disk when this returns."""
        self._mark("again")

    def _mark(self, what: str) -> None:
        now = time.time_ns() // 1_000_000
        self.add([f"# {what} {self.ledger.runs} {now}"])
        self.sync()

    def sync(self) -> None:
        """Flush to the disk. Raises OSError where that fails: then nothing of it counts."""
        assert self._file is not None
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _torn_header(path: Path) -> bool:
    """A feed was killed before its ledger's first line was whole: nothing was sent yet."""
    head = path.read_bytes()[:4096]
    return b"\n" not in head and MAGIC.encode().startswith(head[: len(MAGIC)])


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(slots=True)
class LedgerPauses:
    """How long acknowledgements stood still, by the ledger's times (seconds)."""

    longest: float = 0.0
    longest_at: int = 0  # Unix ms: when the longest one ended
    by_partition: dict[int, float] = field(default_factory=dict)
    slowest: float = 0.0  # the slowest single acknowledgement


def pauses(lines: Iterable[Acknowledgement]) -> LedgerPauses:
    """The longest pauses within runs: what lies between two runs is not the cluster's."""
    result = LedgerPauses()
    last: dict[int, int] = {}
    previous: Acknowledgement | None = None
    for line in lines:
        if previous is None or previous.run != line.run:
            last.clear()
        elif (pause := (line.at - previous.at) / 1000) > result.longest:
            result.longest, result.longest_at = pause, line.at
        if line.partition in last:
            pause = (line.at - last[line.partition]) / 1000
            before = result.by_partition.get(line.partition, 0.0)
            result.by_partition[line.partition] = max(before, pause)
        last[line.partition] = line.at
        result.slowest = max(result.slowest, line.latency / 1000)
        previous = line
    return result
