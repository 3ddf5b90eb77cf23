"""The verification's table, and how its command ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.observed import Finding
from tests.verify.outcome import UNASKED, UNSETTABLE, hold, told
from tests.verify.table import FAILED, PASSED, UNSET, Result, render, summary

ROOT = Path(__file__).resolve().parents[2]
MACHINES = ["kafka1", "kafka2", "a-machine-with-a-long-name"]
WRONG = told([Finding("kafka.service", "active", "failed", "journalctl -u kafka.service")])
RESULTS = [
    Result("services", "active and enabled", "kafka1", PASSED),
    Result("services", "active and enabled", "kafka2", FAILED, WRONG),
    Result("services", "limits as the unit asks", "kafka1", UNSET, f"{UNSETTABLE}20000 files"),
    Result("ensemble", "one leader, all others in sync", "cluster", PASSED),
]


def test_each_check_is_a_row_and_each_machine_a_column() -> None:
    lines = render(RESULTS, MACHINES, 120, plain=False).splitlines()
    assert lines[0].split() == ["cluster", *MACHINES]
    row = next(line for line in lines if "active and enabled" in line)
    assert row.split()[-2:] == ["✓", "✗"]
    assert row.index("✗") > lines[0].index("kafka2")
    assert "Not settable here, so neither passed nor failed:" in lines
    assert "– limits as the unit asks (kafka1): 20000 files" in lines  # noqa: RUF001


def test_a_failure_says_what_was_expected_what_was_found_and_where_to_look() -> None:
    text = render(RESULTS, MACHINES, 120, plain=False)
    assert text.endswith(
        "✗ kafka2: active and enabled\n"
        "    kafka.service\n"
        "      expected  active\n"
        "      found     failed\n"
        "      look at   journalctl -u kafka.service\n"
    )


def test_a_terminal_without_unicode_gets_words() -> None:
    text = render(RESULTS, MACHINES, 120, plain=True)
    assert text.isascii()
    assert "FAIL" in text


@pytest.mark.parametrize("width", [40, 60, 79])
def test_a_narrow_terminal_gets_narrow_lines_and_still_every_name(width: int) -> None:
    text = render(RESULTS, MACHINES, width, plain=False)
    assert max(len(line) for line in text.splitlines()) <= width
    assert all(name in text for name in MACHINES)


def test_a_machine_that_does_not_answer_is_one_line_however_many_checks_it_has() -> None:
    silent = f"{UNASKED}kafka2: no SSH connection (timed out)"
    lost = [Result("services", f"check {n}", "kafka2", FAILED, silent) for n in range(9)]
    text = render(lost, MACHINES, 120, plain=False)
    assert "✗ kafka2: no SSH connection (timed out): 9 checks cannot be asked" in text
    assert text.count("SSH") == 1


def test_the_same_failure_on_three_machines_is_told_once() -> None:
    lost = [Result("services", "active", name, FAILED, WRONG) for name in ("kafka1", "kafka2")]
    text = render(lost, MACHINES, 120, plain=False)
    assert "✗ kafka1, kafka2: active" in text
    assert text.count("journalctl") == 1


def test_the_summary_counts_what_cannot_be_set_apart_from_what_passed() -> None:
    expected = "lab: 2 checks passed, 1 failed, 1 not settable here, in 7.0 s"
    assert summary(RESULTS, "lab", 7.0) == expected


def test_what_cannot_be_set_never_passes_and_never_hides_a_failure() -> None:
    unset = Finding("limit", "2", "1", "a container", settable=False)
    hold([])
    with pytest.raises(pytest.skip.Exception, match="not settable here: limit 1 in place of 2"):
        hold([unset])
    with pytest.raises(pytest.fail.Exception, match="expected  b"):
        hold([unset, Finding("a", "b", "c", "d")])


def command(*args: str, inventory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.verify", *args],
        cwd=ROOT,
        env={**os.environ, "INVENTORY": str(inventory)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_wrong_inventory_ends_with_2_and_says_why(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("name: x\n")
    for inventory in (wrong, tmp_path / "none.yml"):
        done = command(inventory=inventory)
        assert done.returncode == 2
        assert done.stdout == ""
        assert inventory.name in done.stderr
        assert "Traceback" not in done.stderr


def test_a_wrong_option_ends_with_2(tmp_path: Path) -> None:
    done = command("--jsn", inventory=tmp_path / "none.yml")
    assert done.returncode == 2
    assert "unrecognized arguments: --jsn" in done.stderr
