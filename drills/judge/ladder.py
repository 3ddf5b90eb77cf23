"""The ladder's figures out of a list of faults, held against their targets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table
from rich.text import Text

from drills.ground import Entry

DEATHS = ("silent death", "power cut")


@dataclass(frozen=True)
class Rung:
    """One line of the ladder: which faults are meant, what is measured, the targets (seconds)."""

    name: str
    meant: Callable[[Entry], bool]
    figure: Callable[[Entry], float]
    median: float | None = None
    worst: float | None = None


@dataclass(frozen=True)
class Figure:
    """What was measured on one rung: seconds."""

    rung: Rung
    count: int
    median: float
    worst: float

    @property
    def reached(self) -> bool:
        """Both within their targets, or none set."""
        middle = self.rung.median is None or self.median <= self.rung.median
        return middle and (self.rung.worst is None or self.worst <= self.rung.worst)


def _pause(entry: Entry) -> float:
    return entry.pause


def _sshd(entry: Entry) -> float:
    return entry.since_sshd or 0.0


def _stored(entry: Entry) -> float:
    """How long the sink of the consumer itself stood still, or where it is none, the worst."""
    return entry.stored.get(entry.unit, max(entry.stored.values(), default=0.0))


def _first_sink(entry: Entry) -> float:
    """Of the collector whose coordinator is among the aims."""
    return next(iter(entry.stored.values()), 0.0)


def _taken_over(with_coordinator: bool) -> Callable[[Entry], bool]:
    return lambda e: (
        e.rung == "machine" and e.kind in DEATHS
        and ("coordinator" in e.aimed) == with_coordinator
    )  # fmt: skip


def _death(rung: str) -> Callable[[Entry], bool]:
    return lambda e: e.rung == rung and e.kind in DEATHS


def _single(kind: str, *units: str) -> Callable[[Entry], bool]:
    return lambda e: e.kind == kind and e.unit in units and "at the same time" not in e.note


def rungs(collectors: Sequence[str]) -> list[Rung]:
    """Every line of the ladder, in its order."""
    return [
        Rung("a consumer's kill -9 (its sink)", _single("kill -9", *collectors), _stored, 3, 3),
        Rung("a consumer's crash loop (its sink)",
             _single("crash loop", *collectors), _stored, 15, 15),
        Rung("a broker's kill -9", _single("kill -9", "kafka"), _pause, 1.5, 1.5),
        Rung("one machine's death", _death("machine"), _pause, 8, None),
        Rung("a dead machine's consumers taken over", _taken_over(False), _first_sink, 10, 20),
        Rung("the same, with their coordinator dead", _taken_over(True), _first_sink, None, 20),
        Rung("the second machine's death", _death("second machine"), _pause, 9, None),
        Rung("two machines at once", _death("two machines"), _pause, 11, 14),
        Rung("all three, after sshd answers",
             lambda e: e.rung == "all machines" and e.kind in DEATHS and e.since_sshd is not None,
             _sshd, 30, 30),
        Rung("a return", lambda e: e.kind == "return", _pause),
    ]  # fmt: skip


def figures(entries: Sequence[Entry], collectors: Sequence[str]) -> list[Figure]:
    """Median and worst of every rung that something happened on. What did not heal in time counts
    with what it cost until then.
    """
    found = []
    for rung in rungs(collectors):
        values = [rung.figure(e) for e in entries if rung.meant(e)]
        if values:
            found.append(Figure(rung, len(values), median(values), max(values)))
    return found


def table(found: Sequence[Figure]) -> Table:
    """As a table that fits a narrow terminal too."""
    shown = Table(title="The ladder", title_style="bold")
    shown.add_column("pause (seconds)", overflow="fold")
    for name in ("times", "median", "worst", "targets", ""):
        shown.add_column(name, justify="right", overflow="fold")
    for one in found:
        aims = [f"{aim:g}" if aim is not None else "-" for aim in (one.rung.median, one.rung.worst)]
        word = Text("reached", "green") if one.reached else Text("missed", "bold yellow")
        if aims == ["-", "-"]:
            word = Text("")
        shown.add_row(
            one.rung.name, str(one.count), f"{one.median:.1f}", f"{one.worst:.1f}",
            " / ".join(aims), word,
        )  # fmt: skip
    return shown
