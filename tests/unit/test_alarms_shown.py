"""The alarms of the last hour are shown by the status, and are no verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.explain import Cause
from cluster.notes import alarms
from cluster.snapshot import machine, snapshot
from cluster.verdict import verdict
from standfast.alerts import Book, Line
from tasks import look
from tests.unit import snapshots_base as captured
from tests.unit import verify_base

LAB = verify_base.lab()


def with_alarms(**of: list[tuple[str, float, str]]) -> dict[str, Any]:
    """The answers of a healthy cluster; (cause, seconds ago, sentence) by host."""
    answers = captured.answers("healthy")
    for host, entries in of.items():
        answers["machines"][host]["alarms"] = [
            {"cause": c, "sentence": s, "at": answers["at"] - ago, "unit": "kafka.service"}
            for c, ago, s in entries
        ]
    return answers


def noted(**of: list[tuple[str, float, str]]) -> list[Cause]:
    return alarms(LAB, snapshot(with_alarms(**of)))


def test_an_alarm_is_said_with_what_to_do_and_costs_no_redundancy() -> None:
    found = noted(kafka1=[("gate-kafka", 720, "broker 1 must not start")])
    assert found == [
        Cause(
            "alarm gate-kafka on kafka1, 12 min ago: broker 1 must not start",
            "journalctl -p crit -u kafka.service on kafka1",
            "full",
        )
    ]


def test_the_verdict_is_full_though_there_was_an_alarm() -> None:
    seen = snapshot(with_alarms(kafka1=[("a", 5, "it burns")]))
    found = verdict(LAB, seen, {}, {})
    assert found.state == "full"
    assert found.causes[-1].what == "alarm a on kafka1, 5 s ago: it burns"


def test_one_cause_on_two_hosts_is_one_note_with_the_last_sentence() -> None:
    found = noted(kafka1=[("disk", 30, "old")], witness1=[("disk", 10, "new")])
    assert [cause.what for cause in found] == ["alarm disk on kafka1 and witness1, 10 s ago: new"]
    assert found[0].do.endswith("on witness1")


def test_the_newest_alarm_comes_first_and_what_is_over_an_hour_old_is_left_out() -> None:
    found = noted(kafka1=[("a", 3590, "…"), ("b", 3610, "…"), ("c", 3, "…")])
    assert [cause.what.split()[1] for cause in found] == ["c", "a"]


def test_a_long_sentence_is_cut() -> None:
    assert len(noted(kafka1=[("a", 3, "x" * 900)])[0].what) < 200


def test_answers_from_before_there_were_alarms_are_still_read() -> None:
    assert snapshot(captured.answers("healthy")).machines["kafka1"].alarms == ()


def test_what_the_alert_service_keeps_is_what_the_status_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(since=1.0).take(Line("a", "it burns", 5.0, "kafka.service"), "c", receiver=False)
    path = tmp_path / "state.json"
    path.write_text(json.dumps(book.as_json()))
    monkeypatch.setattr(look, "ALERTS", path)
    seen = machine({**captured.answers("healthy")["machines"]["kafka1"], "alarms": look.alarms()})
    assert [(a.cause, a.sentence, a.at, a.unit) for a in seen.alarms] == [
        ("a", "it burns", 5.0, "kafka.service")
    ]


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"causes": {"a": {}}}'])
def test_a_missing_or_damaged_file_is_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "state.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr(look, "ALERTS", path)
    assert look.alarms() == []
