"""The judge is fed with histories that break each rule, and must say so."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drills.judge import checker, copies
from drills.judge.checker import RULES, Acknowledged, History
from drills.judge.readback import Read

AT = 1_700_000_000_000


def acknowledged(*of: tuple[int, int]) -> dict[int, Acknowledged]:
    """(sequence, offset) of partition 0, one a second."""
    book = Acknowledged()
    for n, (sequence, offset) in enumerate(of):
        book.sequences.append(sequence)
        book.offsets.append(offset)
        book.at.append(AT + 1000 * n)
    return {0: book}


def log(*of: tuple[int, int], keys: dict[int, int] | None = None) -> dict[int, Read]:
    """(sequence, offset) of partition 0."""
    named = [(keys or {}).get(sequence, 7) for sequence, _ in of]
    sequences, offsets = (array("q", numbers) for numbers in zip(*of, strict=True))
    return {0: Read(offsets, sequences, array("q", named))}


FIVE = [(n, 10 + n) for n in range(1, 6)]
SINK = {"missing": 0, "missing_sequences": "", "twice": 0, "conflicts": 0, "beyond": [[1, 9]]}


def look(seconds: float, isr: list[int] | None = None, **more: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {"at": AT + int(1000 * seconds), "through": True, "voters": {}}
    if isr is not None:
        seen["isr"] = {"trades/0": {"leader": 1, "isr": isr, "version": len(isr), "mtime": AT}}
    return {**seen, **more}


GOOD = History(
    acknowledged=acknowledged(*FIVE),
    log=log(*FIVE, (6, 16)),  # the last one was not acknowledged: it may be there
    observed=[look(-5, [1, 2, 3], min_isr={"trades": 2}), look(60)],
    sinks={"sinks": {"collector": SINK}, "unasked": {}},
    copies={"differences": [], "tree_differences": []},
)


def sink(**more: Any) -> dict[str, Any]:
    return {"sinks": {"collector": {**SINK, **more}}, "unasked": {}}


def leads(name: str, zxid: str) -> dict[str, list[str]]:
    return {name: ["leader", zxid]}


def minutes(*voters: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [look(n, voters=of) for n, of in enumerate(voters)]


ALONE = [look(-5, [1], min_isr={"trades": 2}), look(60)]

BROKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "a record is not in the log": ("lost", {"log": log(*FIVE[:2], *FIVE[3:])}),
    "the last one is not": ("lost", {"log": log(*FIVE[:4])}),
    "two changed places after something was sent again": (
        "reordered",
        {
            "log": log((1, 11), (3, 12), (2, 13)),
            "acknowledged": acknowledged((1, 11), (3, 12), (2, 13)),
            "again": {2, 3},
        },
    ),
    "one lies elsewhere than it was told": (
        "divergent offsets",
        {
            "log": log((1, 11), (2, 12), (4, 14), (5, 15), (3, 19), keys={n: n for n in range(6)}),
            "acknowledged": acknowledged((1, 11), (3, 13)),
        },
    ),
    "one lies in another partition": (
        "divergent offsets",
        {"log": {**log(*FIVE[:2], *FIVE[3:]), 1: log((3, 13))[0]}},
    ),
    "two lead for a minute": (
        "two quorums",
        {"observed": minutes(*[leads("a", "0x400000005") | leads("b", "0x400000005")] * 60)},
    ),
    "a sink lacks one": ("unseen", {"sinks": sink(missing=1, missing_sequences="3")}),
    "a sink skipped one that nobody was told of": ("unseen", {"sinks": sink(beyond=[])}),
    "a host was not asked": ("unseen", {"sinks": {"sinks": {}, "unasked": {"kafka1": "dead"}}}),
    "a sink has one twice": ("twice", {"sinks": sink(twice=1)}),
    "a sink has another content": ("twice", {"sinks": sink(conflicts=1)}),
    "two of a key changed places": (
        "reordered",
        {"log": log((1, 11), (3, 12), (2, 13)), "acknowledged": acknowledged((1, 11))},
    ),
    "another record lies there": (
        "divergent offsets",
        {"acknowledged": acknowledged((1, 12), (2, 11)), "log": log((1, 11), (2, 12))},
    ),
    "one offset was given twice": (
        "divergent offsets",
        {"acknowledged": acknowledged((1, 11), (2, 11)), "log": log((1, 11), (2, 12))},
    ),
    "two copies differ": ("copies differ", {"copies": {"differences": ["trades-0: differ"]}}),
    "two trees differ": ("trees differ", {"copies": {"tree_differences": ["/config: other"]}}),
    "an old leader commits on": (
        "two quorums",
        {
            "observed": minutes(
                leads("kafka1", "0x400000005"),
                leads("kafka1", "0x400000005") | leads("kafka2", "0x500000001"),
                leads("kafka1", "0x400000006") | leads("kafka2", "0x500000002"),
            )
        },
    ),
    "acknowledged with one copy where two were wanted": ("below min ISR", {"observed": ALONE}),
}
FINE: dict[str, dict[str, Any]] = {
    "nothing happened": {},
    "an acknowledgement without an offset": {"acknowledged": acknowledged((1, -1), (2, 12))},
    "another key was overtaken": {
        "log": log((1, 11), (3, 12), (2, 13), keys={3: 8}),
        "acknowledged": acknowledged((1, 11)),
    },
    "one was sent again": {
        "log": log(*FIVE, (3, 16)),
        "again": {3},
    },
    "an old leader did not notice yet": {
        "observed": [
            *ALONE[:0],
            look(-9, [1, 2, 3], min_isr={"trades": 2}),
            *minutes(
                leads("kafka1", "0x400000005"),
                leads("kafka1", "0x400000009") | leads("kafka2", "0x500000001"),
                leads("kafka1", "0x400000009") | leads("kafka2", "0x500000002"),
                leads("kafka2", "0x500000003"),
            ),
        ]
    },
    "alone, where one was enough": {"observed": [look(-5, [1], min_isr={"trades": 1}), look(60)]},
    "alone before, and whole when it was acknowledged": {
        "observed": [look(-9, [1], min_isr={"trades": 2}), look(-5), look(-4, [1, 2]), look(60)]
    },
    "what nobody saw is not known": {
        "observed": [look(-5, [1], min_isr={"trades": 2}), {"at": AT, "voters": {}}, look(60)]
    },
}


@pytest.mark.parametrize("case", FINE)
def test_a_history_without_a_fault_is_good(case: str) -> None:
    history = replace(GOOD, **FINE[case])
    assert {name: rule(history) for name, rule in RULES.items() if rule(history)} == {}


@pytest.mark.parametrize("case", BROKEN)
def test_a_history_that_breaks_a_rule_is_caught_by_that_rule(case: str) -> None:
    rule, changes = BROKEN[case]
    history = replace(GOOD, **changes)
    assert [name for name, look in RULES.items() if look(history)] == [rule]


def test_every_rule_is_seen_to_fail() -> None:
    assert {rule for rule, _ in BROKEN.values()} == set(RULES)


SEEN = replace(
    GOOD,
    observed=[look(0, [1, 2, 3], min_isr={"trades": 2}), *(look(n) for n in range(1, 6))],
    copies={**GOOD.copies, "partitions": {"trades-0": {}}, "trees": {"kafka1": "a"}},
)
BLIND: dict[str, tuple[str, dict[str, Any]]] = {
    "no record": ("nothing was acknowledged", {"acknowledged": {}}),
    "no log": ("the log of partitions [0]", {"log": {}}),
    "no sink": ("none was asked", {"sinks": {"sinks": {}, "unasked": {}}}),
    "no copy": ("the copies", {"copies": {"trees": {"kafka1": "a"}}}),
    "no tree": ("trees", {"copies": {"partitions": {"trades-0": {}}}}),
    "a recorder that ended at once": (
        "nothing for 55 s",
        {
            "acknowledged": {
                0: Acknowledged(
                    array("q", [1, 2]), array("q", [11, 12]), array("q", [AT, AT + 60_000])
                )
            }
        },
    ),
    "a registry that never answered": (
        "in 0 of 6 looks",
        {"observed": [{"at": AT + 1000 * n, "voters": {}} for n in range(6)]},
    ),
    "no min ISR": ("never read", {"observed": [look(n, [1]) for n in range(6)]}),
}


def test_what_was_looked_at_is_not_called_blind() -> None:
    assert checker.not_looked_at(SEEN) == []


@pytest.mark.parametrize("case", BLIND)
def test_what_nobody_looked_at_is_said(case: str) -> None:
    words, changes = BLIND[case]
    assert words in " ".join(checker.not_looked_at(replace(SEEN, **changes)))


@pytest.mark.parametrize("changes", [{"log": {}}, {"log": log(*FIVE[:2]), "unread": {0}}])
def test_a_log_that_was_not_read_is_not_called_lost(changes: dict[str, Any]) -> None:
    assert checker.lost(replace(GOOD, **changes)) == []


def test_a_copy_that_lost_its_beginning_is_seen() -> None:
    found = {"trades-0": {"kafka1": copy(), "kafka2": copy(), "kafka3": copy(first=5)}}
    assert "begin at different offsets" in " ".join(copies.beginnings(found))


def test_what_could_not_be_looked_at_is_not_good(tmp_path: Path) -> None:
    verdict = checker.judge(tmp_path)
    assert not verdict.good
    assert len([p for p in verdict.problems if p.startswith("not looked at")]) >= 4


# --- the copies ---


def copy(**more: Any) -> dict[str, Any]:
    return {"first": 0, "end": 9, "digest": "a", "damage": "", **more}


NONE = copy(first=None, end=0)
COPIES: dict[str, tuple[dict[str, Any], str]] = {
    "one ends before": (copy(end=8, digest="b"), "differ in their end"),
    "one holds another": (copy(digest="b"), "differ in their digest"),
    "one is damaged": (copy(damage="0.log: fails its checksum"), "fails its checksum"),
    "one is empty": (NONE, "2 of 3 copies hold records"),
}


@pytest.mark.parametrize("case", COPIES)
def test_copies_that_differ_are_seen(case: str) -> None:
    other, words = COPIES[case]
    found = {"trades-0": {"kafka1": copy(), "kafka2": copy(), "kafka3": other}}
    assert words in " ".join(copies.differences(found, {"trades-0": 3}))


def test_equal_copies_and_empty_ones_are_well() -> None:
    same = {f"kafka{n}": copy() for n in (1, 2, 3)}
    none = {f"kafka{n}": NONE for n in (1, 2, 3)}
    assert copies.differences({"a-0": same, "b-0": none}, {"a-0": 3, "b-0": 3}) == []


def test_what_retention_took_on_one_host_first_is_no_difference() -> None:
    assert copies.common([copy(first=3), copy(end=7), NONE]) == (3, 7)


@pytest.mark.parametrize(
    ("other", "words"),
    [({"/a": "1 0"}, "/b: missing on kafka2"), ({"/a": "2 1", "/b": "1 0"}, "/a: other data")],
)
def test_trees_that_differ_are_seen(other: dict[str, str], words: str) -> None:
    assert copies.unequal({"kafka1": {"/a": "1 0", "/b": "1 0"}, "kafka2": other}) == [words]


def test_equal_trees_are_well() -> None:
    assert copies.unequal({"kafka1": {"/a": "1 0"}, "kafka2": {"/a": "1 0"}}) == []
