"""A broker's copies of its partitions, as they lie on its disk: how far they go, and whether they
are what it acknowledged.

Nothing in Kafka asks that before a start: a broker whose disk was emptied, or whose log has a
flipped bit, becomes leader all the same while it is in the in-sync set, and the whole copies
truncate themselves to it.

  standfast copies trades-0 …     print of each {"epoch", "end", "high", "fault"}, as JSON
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from standfast.segments import Damaged, batches, checkpoint, end_of, segments

if TYPE_CHECKING:
    import argparse

CLEAN = ".kafka_cleanshutdown"  # where it lies, Kafka recovers nothing at its start


@dataclass(frozen=True)
class Fault:
    """What is wrong with a copy ("trades-0"). `since` is the first segment that cannot be kept,
    None where what is there is whole, and something is missing.
    """

    partition: str
    why: str
    since: Path | None = None

    def __str__(self) -> str:
        return f"{self.partition}: {self.why}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("partitions", nargs="+", metavar="TOPIC-NUMBER")
    folder = Path("/var/lib/kafka/data")
    parser.add_argument("--data", type=Path, default=folder, metavar="DIR", help=f"({folder})")


def run(args: argparse.Namespace) -> int:
    """Print how far each copy goes; "fault" is why it cannot be used, "" where it can."""
    data, found = Data(args.data), {}
    for partition in args.partitions:
        fault = data.fault(partition, compacted=True, flushed=False)
        epoch, end, why = -1, 0, fault.why if fault else ""
        if not why:
            try:
                epoch, end = data.tail(partition)
            except (Damaged, OSError) as error:
                why = str(error)
        high = data.high(partition)
        found[partition] = {"epoch": epoch, "end": end, "high": high, "fault": why}
    print(json.dumps(found))
    return 0


class Data:
    """A broker's data directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._high = checkpoint(folder / "replication-offset-checkpoint")
        self._flushed = checkpoint(folder / "recovery-point-offset-checkpoint")

    def fault(
        self, partition: str, compacted: bool, flushed: bool, everything: bool = False
    ) -> Fault | None:
        """What is wrong with the copy of `partition`, None where nothing is.

        Read are the segments that Kafka's own recovery would read, the last one in any case; with
        `everything` all. A compacted topic has gaps in its offsets, another has none. One that is
        not flushed record by record may end early after a power cut: that was accepted.
        """
        folder = self.folder / partition
        found = segments(folder) if folder.is_dir() else []
        if not found:
            what = "is not there" if not folder.is_dir() else "holds no segment"
            return Fault(partition, f"its directory {what}")
        recovered = self._flushed.get(partition, 0)
        bases = [int(path.stem) for path in found]
        for number, path in enumerate(found):
            last = number == len(found) - 1
            follows = None if last else bases[number + 1]
            read = everything or last or (follows is not None and follows > recovered)
            try:
                end = _read(path) if read else end_of(path) if not compacted else None
            except Damaged as damage:
                return Fault(partition, f"{path.name}: {damage}", path)
            except OSError as error:
                return Fault(partition, f"{path.name}: {error.strerror}", path)
            if follows is None or end is None:
                continue
            if end > follows or (end < follows and not compacted):
                why = f"{path.name} ends at offset {end}, the next segment begins at {follows}"
                return Fault(partition, why, found[number + 1])
        high = self._high.get(partition, 0)
        if flushed and end is not None and end < high:
            return Fault(partition, f"it ends at offset {end}, and was acknowledged up to {high}")
        return None

    def tail(self, partition: str) -> tuple[int, int]:
        """The epoch of the copy's last batch (-1: it has none), and the offset after it. Raises
        Damaged, OSError.
        """
        found = segments(self.folder / partition)
        for path in reversed(found):
            last = None
            for batch in batches(path):
                last = batch
            if last is not None:
                return last.epoch, last.last + 1
        return -1, int(found[0].stem) if found else 0

    def high(self, partition: str) -> int:
        """The high watermark that the copy last knew, as far as it noted it (every 5 s)."""
        return self._high.get(partition, 0)

    def partitions(self) -> list[str]:
        """The copies that are there, by name."""
        there = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(
            path.name for path in there if path.is_dir() and path.name.rpartition("-")[2].isdigit()
        )

    def mend(self, fault: Fault, aside: Path) -> str:
        """Take what is damaged out of the copy, so that Kafka fetches it anew; says what it did.

        Only for a copy that is in no in-sync set. Raises OSError.
        """
        # Without it Kafka looks at the end of each log, and cuts what is torn.
        (self.folder / CLEAN).unlink(missing_ok=True)
        if fault.since is None:
            return f"{fault}: what is missing is fetched from its leader"
        to = aside / fault.partition / time.strftime("%Y%m%dT%H%M%S")
        to.mkdir(parents=True, exist_ok=True)
        moved = 0
        for path in sorted(fault.since.parent.iterdir()):
            name = path.name.partition(".")[0]
            if path.is_file() and name.isdigit() and int(name) >= int(fault.since.stem):
                shutil.move(path, to / path.name)
                moved += path.suffix == ".log"
        return f"{fault}: {moved} segments from {fault.since.name} on were moved to {to}"


def _read(path: Path) -> int:
    """The offset after a segment's last batch, every batch read and checked. Raises Damaged."""
    end = int(path.stem)
    for batch in batches(path):
        end = batch.last + 1
    return end
