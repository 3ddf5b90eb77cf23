"""What `fab status` prints, of what real clusters answered: the screen in any width, and --json."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from cluster.due import Due
from cluster.overview import HostView, Lag, LastRoll, Process
from cluster.snapshot import snapshot
from tasks.status import Status, as_object, judged, rendered, show
from tasks.statusview import behind, process, span
from tests.unit import snapshots_base as captured
from tests.unit import verify_base

LAB = verify_base.lab()
SETS = {name: verify_base.sets(name) for name in LAB.voters}
KEYS = {
    "at", "causes", "cluster", "due", "groups", "headline", "hosts", "last_roll", "next",
    "not_staged", "state", "unrendered",
}  # fmt: skip
HOST = {
    "address", "broker", "controller", "disk", "hosted", "in_sync", "leads", "processes",
    "registered", "unasked", "zookeeper",
}  # fmt: skip


def status(name: str) -> Status:
    return judged(LAB, SETS, "", captured.seen(name))


def drawn(shown: Status, width: int = 100, terminal: bool = False) -> str:
    """The screen, without escapes."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
    if terminal:
        show(console, shown)
        return file.getvalue()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", file)
        show(console, shown)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
@pytest.mark.parametrize("name", captured.names())
def test_the_screen_keeps_to_its_width_and_hides_nothing(name: str, width: int) -> None:
    shown = status(name)
    text = drawn(shown, width)
    assert max(map(len, text.splitlines())) <= width
    # Words of a sentence, wherever it was broken.
    words = text.split()
    assert not [w for w in shown.verdict.headline.split() if w not in words]
    assert not [w for cause in shown.verdict.causes for w in cause.do.split() if w not in words]
    for host in LAB.voters:
        assert host in words
    assert "…" not in text


def test_a_healthy_cluster_fits_on_a_small_terminal() -> None:
    assert len(drawn(status("healthy"), 80).splitlines()) < 24


def test_a_pipe_gets_no_spaces_at_the_ends_of_lines() -> None:
    lines = drawn(status("machine-dead")).splitlines()
    assert [line.rstrip() for line in lines] == lines
    assert "\x1b" not in "".join(lines)


def test_a_terminal_sees_the_same_words() -> None:
    shown = status("machine-dead")
    assert drawn(shown).split() == drawn(shown, terminal=True).split()


def test_the_next_thing_to_do_stands_under_the_first_cause() -> None:
    lines = drawn(status("machine-dead")).splitlines()
    assert lines[0].startswith("degraded: one more machine may not die")
    assert lines[1] == "- kafka2 answers to nothing: off, cut off or hung"
    assert lines[2] == "  next: switch kafka2 on, or mend the network"


def test_what_nobody_knows_is_a_question_mark_and_no_number() -> None:
    rows = {line.split("  ")[0]: line for line in drawn(status("all-down")).splitlines()}
    for title in ("Kafka", "leads", "in sync", "disk days left"):
        assert rows[title].split(title)[1].split() == ["?", "?", "?"]
    assert rows["collector"].split()[1:] == ["?", "?"]


def test_many_causes_do_not_push_the_hosts_off_the_screen() -> None:
    shown = status("healthy")
    cause = status("machine-dead").verdict.causes[0]
    many = tuple(replace(cause, what=f"cause {n}", do=f"do {n}") for n in range(20))
    text = drawn(replace(shown, verdict=replace(shown.verdict, causes=many)))
    assert "cause 7" in text
    assert "cause 8" not in text
    assert "and 12 more: fab status --json" in text


# --- cells ---


def test_a_length_of_time_is_short() -> None:
    spans = [span(s) for s in (0, 95, 120, 7199, 7200, 172_799, 172_800, 1e7)]
    assert spans == ["0s", "95s", "2m", "119m", "2h", "47h", "2d", "115d"]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Process("u", "active", 300.0, 0, False), "5m"),
        (Process("u", "active", 300.0, 2, False), "5m (2)"),
        (Process("u", "active", 300.0, 2, True), "5m (2) stale"),
        (Process("u", "failed", None, 2, False), "failed"),
        (Process("u", "", None, 0, False), "none"),
    ],
)
def test_a_process_in_a_cell(found: Process, text: str) -> None:
    assert process(found).plain == text


@pytest.mark.parametrize(
    ("found", "records", "seconds"),
    [
        (Lag(0, 0.0), "0", "0"),
        (Lag(12_345, 61.4), "12,345", "61"),
        (Lag(5, None), "5", "?"),
        (Lag(5, 1.0, 2), "5 + ? in 2", "1"),
        (Lag(None, None, complaint="why"), "?", "?"),
    ],
)
def test_a_lag_in_cells(found: Lag, records: str, seconds: str) -> None:
    assert tuple(cell.plain for cell in behind(found)) == (records, seconds)


# --- what is below ---


def test_a_stale_process_is_marked_and_named() -> None:
    shown = status("healthy")
    step = Due("kafka1", "kafka", "kafka.service", "restart", "b", "a", ("x: 1 -> 2",))
    steps = {("kafka1", "kafka"): step}
    seen = captured.seen("healthy")
    from cluster.overview import overview

    shown = replace(shown, steps=steps, overview=overview(LAB, seen, steps))
    lines = drawn(shown).splitlines()
    assert any(line.startswith("  kafka") and line.count("stale") == 1 for line in lines)
    assert "stale      not known of kafka2" in drawn(status("machine-dead")).splitlines()


@pytest.mark.parametrize(
    ("event", "over", "words"),
    [("end", True, "100s ago: it did"), ("step", False, "100s ago: not over; last: it did")],
)
def test_the_last_roll_says_when_how_and_by_whom(event: str, over: bool, words: str) -> None:
    shown = status("healthy")
    roll = LastRoll("x", shown.at - 100, "ops@desk, process 7, 2026-01-01", event, "it did", over)
    text = drawn(replace(shown, overview=replace(shown.overview, last_roll=roll)), 160)
    assert f"{words} (ops@desk)" in text


def test_where_nothing_can_be_rendered_the_rest_is_said_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = replace(LAB.kafka, archive=LAB.path.parent / "no-such-archive.tar")
    sets, why = rendered(replace(LAB, kafka=missing))
    assert why
    assert {s.unit for s in sets["kafka1"]} == {
        "zookeeper.service", "kafka.service",
        "standfast-probe.service", "standfast-alert.service", "standfast-guardian.service",
        *(f"consumer-{name}.service" for name in LAB.consumers),
    }  # fmt: skip
    shown = judged(LAB, sets, why, captured.seen("healthy"))
    assert shown.verdict.state == "full"
    assert f"stale      not known: {why.split()[0]}" in drawn(shown, 160)
    found = as_object(shown)
    assert (found["due"], found["not_staged"], found["unrendered"]) == (None, None, why)


# --- JSON ---


@pytest.mark.parametrize("name", captured.names())
def test_the_json_has_the_same_keys_whatever_is_dead(name: str) -> None:
    found: dict[str, Any] = json.loads(json.dumps(as_object(status(name))))
    assert set(found) == KEYS
    assert found["hosts"].keys() == LAB.voters.keys()
    assert all(set(host) == HOST for host in found["hosts"].values())
    assert found["groups"].keys() == LAB.consumers.keys()
    assert found["state"] in ("full", "degraded", "last stand", "down")


def test_the_docstring_documents_every_key() -> None:
    from tasks import status as module

    text = module.__doc__ or ""
    disk = as_object(status("healthy"))["hosts"]["kafka1"]["disk"]
    names = {*KEYS, *HOST, *disk, *vars(Lag(None, None)), *vars(Process("", "", None, 0, False))}
    assert not [name for name in names if name not in text]


def test_the_json_counts_what_the_screen_shows() -> None:
    found = as_object(status("consumer-down"))
    assert found["groups"]["collector"]["records"] == 12
    host = found["hosts"]["kafka2"]
    assert host["processes"]["collector"]["state"] == "inactive"
    assert host["in_sync"] == host["hosted"] == 24
    assert HostView(**host).leads == host["leads"]


def test_an_empty_answer_is_drawn_too() -> None:
    shown = judged(LAB, SETS, "", snapshot({"at": 1.0}))
    assert shown.verdict.state == "down"
    assert "?" in drawn(shown, 60)
