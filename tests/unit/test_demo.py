"""What the demo shows and how it ends, without a lab."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cluster.inventory import load
from drills.closing import closing_table, ladder_table, try_next
from drills.deploys import STAGE
from drills.history import Pause
from drills.result import Fault, Result, in_sink
from drills.screen import Screen
from tests.unit.test_stream_result import ledger, tally

ROOT = Path(__file__).resolve().parent.parent.parent


def shown(what: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def result() -> Result:
    book = ledger((1, 12_345))
    sinks = {"collector": in_sink("collector", [tally([[1, 12_345]])], book)}
    fault = Fault(
        "machine's silent death (the controller)", 0, 9_000, Pause(7.0, {0: 7.4}), 7.9,
        {"collector": Pause(7.0, {0: 9.25})},
    )  # fmt: skip
    return Result(book.feed, 12_345, 12_345, sinks, {}, [fault], 7.0, 7.9)


def rows(text: str) -> dict[str, str]:
    cells = [line.split("│") for line in text.splitlines() if line.startswith("│")]
    return {name.strip(): value.strip() for _, name, value, _ in cells}


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_says_what_became_of_every_record(width: int) -> None:
    found = rows(shown(closing_table(result(), verified=True), width))
    assert found["sent"] == found["acknowledged"] == "12,345"
    assert found["stored by collector (SQLite on each host)"] == "12,345"
    assert (found["missing"], found["twice"]) == ("0", "0")
    assert found["verification"] == "passed"


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_ladder_shows_what_each_fault_cost(width: int) -> None:
    text = shown(ladder_table(result()), width)
    cells = [line.split("│")[1:-1] for line in text.splitlines() if line.startswith("│")]
    assert [cell.strip() for cell in cells[0]][1:] == ["7.4", "8", "9.2"]


def test_the_table_does_not_hide_what_is_missing() -> None:
    sinks = {"collector": in_sink("collector", [tally([[1, 12_000]])], ledger((1, 12_345)))}
    found = rows(shown(closing_table(replace(result(), sinks=sinks), verified=False)))
    assert (found["missing"], found["verification"]) == ("345", "failed")


def test_what_to_try_next_can_be_typed_as_it_stands() -> None:
    text = shown(try_next(load(ROOT / "inventory" / "lab.yml")), 200)
    assert "  make lab-status\n" in text
    assert "  make verify\n" in text
    assert ".venv/bin/python -m lab ssh kafka1 \"bash -lc '" in text
    assert "--bootstrap-server \\$KAFKA " in text


def test_a_line_that_is_too_long_goes_on_under_its_own_beginning() -> None:
    screen = Screen(Console(file=io.StringIO(), width=40))
    screen.say("one two three four five six seven eight nine ten")
    assert isinstance(screen.console.file, io.StringIO)
    first, second = screen.console.file.getvalue().splitlines()[:2]
    assert first.startswith("00:00  one")
    assert second.startswith("       ")


def test_a_deploys_stages_are_told_apart() -> None:
    found = STAGE.search("--> Starting operation: Start Kafka | Start Kafka, and wait until … \n")
    assert found
    assert found[1] == "Start Kafka"


def test_an_inventory_that_is_no_lab_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drills.demo"],
        cwd=ROOT,
        env={**os.environ, "INVENTORY": "inventory/production.example.yml"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "is no lab" in done.stderr
