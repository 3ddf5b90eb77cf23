"""Judges a run's history: each rule a function, history in, sentences out. Pure but for `load`.

What was not acknowledged is indeterminate: it may be there or not, and counts neither way. What
could not be looked at is a problem of its own, never a good answer.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from drills.judge import readback
from drills.judge.readback import Read
from standfast.errors import UserError
from standfast.ledger import acknowledgements
from standfast.ranges import Ranges

MARGIN = 1000  # ms by which looks, the ledger's clock and an answer on its way may be apart
GRACE = 10_000  # ms in which one of two leaders must have noticed that it is none
HOLE = 10_000  # ms without a look, after which the recorder cannot be said to have looked on


@dataclass
class Acknowledged:
    """A partition of the ledger, in its order: sequences, offsets (-1: not said), Unix ms."""

    sequences: array[int] = field(default_factory=lambda: array("q"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    at: array[int] = field(default_factory=lambda: array("q"))


@dataclass
class History:
    """A run: the ledger and the log by partition, what the feed sent `again` (sequences), the
    recorder's looks, the sinks' and the copies' comparison; `topic` is the ledger's.
    """

    topic: str = "trades"
    acknowledged: dict[int, Acknowledged] = field(default_factory=dict)
    log: Mapping[int, Read] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)
    observed: Sequence[Mapping[str, Any]] = ()
    sinks: Mapping[str, Any] = field(default_factory=dict)
    copies: Mapping[str, Any] = field(default_factory=dict)
    unread: set[int] = field(default_factory=set)  # partitions whose log was not read to its end
    unknown: list[str] = field(default_factory=list)


class Verdict(dict[str, Any]):
    """What the judge says: `rules` by name, each with its sentences."""

    @property
    def problems(self) -> list[str]:
        """Every sentence, with its rule."""
        rules = {**self["rules"], "not looked at": self["unknown"]}
        return [f"{rule}: {sentence}" for rule, said in rules.items() for sentence in said]

    @property
    def good(self) -> bool:
        """Nothing is wrong, and everything was looked at."""
        return not self.problems


def judge(folder: Path) -> Verdict:
    """Judge the evidence in a folder."""
    history = load(folder)
    count = sum(len(of.sequences) for of in history.acknowledged.values())
    return Verdict(
        rules={name: rule(history) for name, rule in RULES.items()},
        unknown=[*history.unknown, *not_looked_at(history)],
        acknowledged=count,
        in_log=sum(len(read.offsets) for read in history.log.values()),
        looks=len(history.observed),
    )


# --- the rules ---


def lost(history: History) -> list[str]:
    """Acknowledged, and not in the log."""
    most = max((max(of.sequences, default=0) for of in history.acknowledged.values()), default=0)
    there = bytearray(most + 1)
    for read in history.log.values():
        for sequence in read.sequences:
            if 0 <= sequence <= most:
                there[sequence] = 1
    gone = sorted(
        sequence
        for number, of in history.acknowledged.items()
        if number in history.log and number not in history.unread
        for sequence in of.sequences
        if not there[sequence]
    )
    return [f"{len(gone)} records: sequences {Ranges.of(gone).text()[:300]}"] if gone else []


def unseen(history: History) -> list[str]:
    """In the log, and in a sink not even after healing: acknowledged or not."""
    found = [f"{host} was not asked: {why}" for host, why in _of(history, "unasked").items()]
    told = Ranges.of(s for of in history.acknowledged.values() for s in of.sequences)
    untold = Ranges.of(s for read in history.log.values() for s in read.sequences) - told
    for name, sink in _of(history, "sinks").items():
        if sink["missing"]:
            found.append(f"{name}: {sink['missing']} records: {sink['missing_sequences'][:300]}")
        if skipped := untold - Ranges((first, last) for first, last in sink["beyond"]):
            words = f"{len(skipped)} records of the log, which nobody was told of"
            found.append(f"{name}: {words}: {skipped.text()[:300]}")
    return found


def twice(history: History) -> list[str]:
    """In a sink more than once, or under one key with two contents."""
    return [
        f"{name}: {sink[what]} {words}"
        for name, sink in _of(history, "sinks").items()
        for what, words in (("twice", "records twice"), ("conflicts", "with another content"))
        if sink[what]
    ]


def reordered(history: History) -> list[str]:
    """Records of one key that lie in the log in another order than they were sent in."""
    found = []
    for number, read in sorted(history.log.items()):
        newest: dict[int, int] = {}
        seen: set[int] = set()
        for offset, sequence, key in zip(read.offsets, read.sequences, read.keys, strict=True):
            before = newest.get(key, -1)
            # Only a second copy may come late, and only where the feed had cause to send again.
            if sequence < before and sequence not in seen:
                found.append(f"{history.topic}/{number} at {offset}: {sequence} after {before}")
            newest[key] = max(before, sequence)
            if history.again:
                seen.add(sequence)
    return _some(found)


def divergent(history: History) -> list[str]:
    """One offset acknowledged for two records, or a record that lies elsewhere than told."""
    found = []
    anywhere = {s for read in history.log.values() for s in read.sequences}
    for number, of in sorted(history.acknowledged.items()):
        read = history.log.get(number)
        told: dict[int, int] = {}
        for sequence, offset in zip(of.sequences, of.offsets, strict=True):
            if offset < 0:
                continue
            place = f"{history.topic}/{number} at {offset}"
            if told.setdefault(offset, sequence) != sequence:
                found.append(f"{place}: acknowledged for {told[offset]} and for {sequence}")
            if read is None:
                continue
            at = bisect_left(read.offsets, offset)
            there = (
                read.sequences[at] if read.offsets[at : at + 1] == array("q", [offset]) else None
            )
            if there not in (None, sequence):
                found.append(f"{place}: {there} in place of {sequence}")
            elif there is None and sequence in anywhere and number not in history.unread:
                found.append(f"{place}: nothing, and {sequence} lies elsewhere")
    return _some(found)


def copies_differ(history: History) -> list[str]:
    """The replicas' logs, after healing."""
    return list(history.copies.get("differences", ()))


def trees_differ(history: History) -> list[str]:
    """The voters' trees, after healing."""
    return list(history.copies.get("tree_differences", ()))


def two_quorums(history: History) -> list[str]:
    """A leader that still commits while a newer epoch is led, or two for longer than GRACE.

    Two that call themselves leader for a moment are no two quorums: one that is cut off notices
    that within its syncLimit, and commits nothing meanwhile.
    """
    found = []
    newest = -1  # the newest epoch that was seen to lead
    last: dict[int, int] = {}  # of an older one, its last transaction when it was first seen since
    together: dict[tuple[str, ...], int] = {}  # since when the same two lead
    for look in history.observed:
        leaders = {
            name: (int(zxid, 16) >> 32, int(zxid, 16) & 0xFFFFFFFF)
            for name, (mode, zxid) in look.get("voters", {}).items()
            if mode == "leader" and zxid
        }
        newest = max([newest, *(epoch for epoch, _ in leaders.values())])
        for name, (epoch, counter) in leaders.items():
            if epoch < newest and counter > last.setdefault(epoch, counter):
                found.append(f"{name} leads epoch {epoch} and commits, while {newest} is led")
        both = tuple(sorted(leaders))
        together = {both: together.get(both, look["at"])} if len(both) > 1 else {}
        if both in together and look["at"] - together[both] > GRACE:
            seconds = (look["at"] - together[both]) / 1000
            found.append(f"{' and '.join(both)} both lead, for {seconds:.0f} s by now")
    return _some(found)


def below_min_isr(history: History) -> list[str]:
    """An acknowledgement while fewer were in sync than the min ISR that was in force."""
    found = []
    for number, of in sorted(history.acknowledged.items()):
        for begin, end, size, least in short_times(history.observed, history.topic, number):
            first = bisect_right(of.at, begin + MARGIN)
            count = bisect_left(of.at, end) - first
            if count > 0:
                place = f"{history.topic}/{number}"
                found.append(f"{place}: {count} with {size} in sync, {least} wanted, at {begin}")
    return _some(found)


def short_times(
    observed: Iterable[Mapping[str, Any]], topic: str, number: int
) -> list[tuple[int, int, int, int]]:
    """When a partition was known to be short of in-sync replicas: (from, to, how many, how many it
    wanted), Unix ms. Only what did not change between looks is known.
    """
    found: list[tuple[int, int, int, int]] = []
    state: Mapping[str, Any] = {}
    least, begin, last = 0, 0, 0

    def close() -> None:
        if state and len(state["isr"]) < least and last > begin:
            found.append((begin, last, len(state["isr"]), least))

    for look in observed:
        if not look.get("through"):
            close()
            begin = last = 0
            continue
        now = look.get("isr", {}).get(f"{topic}/{number}", state)
        wanted = look.get("min_isr", {}).get(topic, least)
        if begin and now == state and wanted == least:
            last = look["at"]
            continue
        close()
        state, least, begin, last = now, wanted, look["at"], look["at"]
    close()
    return found


def not_looked_at(history: History) -> list[str]:
    """What the other rules had nothing to judge by: no answer of theirs is good then."""
    found = []
    if not history.acknowledged:
        found.append("nothing was acknowledged")
    missing = sorted(set(history.acknowledged) - set(history.log))
    if missing:
        found.append(f"the log of partitions {missing}")
    if not _of(history, "sinks"):
        found.append("the sinks: none was asked")
    if not history.copies.get("partitions"):
        found.append("the copies: none was compared")
    if not history.copies.get("trees"):
        found.append("the voters' trees: none was compared")
    return found + _blind(history)


def _blind(history: History) -> list[str]:
    """Where the recorder did not look on while records were acknowledged."""
    times = [of.at for of in history.acknowledged.values() if of.at]
    if not times or not history.observed:
        return []
    begin, end = min(at[0] for at in times), max(at[-1] for at in times)
    what = "what the cluster said of itself"
    found = []
    looks = [begin, *(look["at"] for look in history.observed if begin < look["at"] < end), end]
    hole, since = max((after - before, before) for before, after in pairwise(looks))
    if hole > HOLE:
        found.append(f"{what}: nothing for {hole / 1000:.0f} s from {since}")
    through = sum(1 for look in history.observed if look.get("through"))
    if 2 * through < len(history.observed):
        found.append(f"{what}: the registry in {through} of {len(history.observed)} looks")
    if not any(history.topic in look.get("min_isr", {}) for look in history.observed):
        found.append(f"{what}: the min ISR of {history.topic} was never read")
    return found


RULES = {
    "lost": lost,
    "unseen": unseen,
    "twice": twice,
    "reordered": reordered,
    "divergent offsets": divergent,
    "copies differ": copies_differ,
    "trees differ": trees_differ,
    "two quorums": two_quorums,
    "below min ISR": below_min_isr,
}


# --- the evidence ---


def load(folder: Path) -> History:
    """A run's history; what is missing is said in `unknown`."""
    history = History()
    try:
        ledger = folder / "ledger"
        for line in acknowledgements(ledger):
            of = history.acknowledged.setdefault(line.partition, Acknowledged())
            of.sequences.append(line.sequence)
            of.offsets.append(line.offset)
            of.at.append(line.at)
            if line.again:
                history.again.add(line.sequence)
        history.log, about = readback.load(folder)
        history.topic = str(about["topic"])
        unread = about["unread"]
        if isinstance(unread, dict) and unread:
            history.unread = set(map(int, unread))
            history.unknown.append(f"the log of partitions {unread} to its end")
    except (OSError, ValueError, EOFError, UserError) as error:
        history.unknown.append(f"the ledger and the log: {error}")
    history.sinks = _json(folder / "sinks.json", history.unknown)
    history.copies = _json(folder / "copies.json", history.unknown)
    try:
        with (folder / "observed.jsonl").open() as file:
            history.observed = [json.loads(line) for line in file if line.endswith("\n")]
    except (OSError, ValueError) as error:
        history.unknown.append(f"what the cluster said of itself: {error}")
    if not history.observed and not history.unknown:
        history.unknown.append("what the cluster said of itself: nothing was recorded")
    return history


def _json(path: Path, unknown: list[str]) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        unknown.append(f"{path.name}: {error}")
        return {}
    return found


def _of(history: History, key: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = history.sinks.get(key, {})
    return found


def _some(found: list[str], most: int = 10) -> list[str]:
    return [*found[:most], f"and {len(found) - most} more"] if len(found) > most else found
