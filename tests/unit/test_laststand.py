"""Nobody is taken for off but by a fence command that succeeded, or by the operator's word."""

from __future__ import annotations

import io
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from cluster.model import Cluster
from cluster.narrow import Narrow, Refused, Sight, last_stand
from tasks import laststand, refill
from tests.unit.inventory_base import loaded, problems

DEAD = ("kafka1", "kafka2")


def cluster(root: Path, **fences: str) -> Cluster:
    """Three voters; `fences` are the hosts' commands, as YAML."""
    hosts = "".join(f"  {name}: {{fence: {words}}}\n" for name, words in fences.items())
    return loaded(root, "witnesses: REMOVED", f"hosts:\n{hosts}" if hosts else "")


def fenced(of: Cluster, off: str = "", yes: bool = False) -> str:
    """What is printed; SystemExit where it is refused."""
    out = io.StringIO()
    console = Console(file=out, width=120)
    words = [word for word in off.split(",") if word]
    laststand._fenced(of, console, Narrow(("kafka3",), DEAD, 1, 1), words, yes)
    return out.getvalue()


def test_a_command_that_succeeds_is_believed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    of = cluster(tmp_path, kafka1=f"[touch, {mark}]", kafka2="['true']")
    said = fenced(of, yes=True)
    assert mark.exists()
    assert "kafka1: is off" in said
    assert "kafka2: is off" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("[sh, -c, 'echo no such plug >&2; exit 3']", "ended with 3: no such plug"),
        ("[no-such-program-at-all]", "No such file"),
        ("[sleep, '30']", "timed out"),
    ],
)
def test_a_command_that_fails_ends_it(
    words: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(laststand, "FENCE", 0.3)
    began = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        fenced(cluster(tmp_path, kafka1=words, kafka2="['true']"), yes=True)
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "kafka1 could not be fenced" in said
    assert why in said
    assert "take hosts.kafka1.fence out" in said
    assert time.monotonic() - began < 5


def test_without_a_command_the_operators_word_counts(tmp_path: Path) -> None:
    fenced(cluster(tmp_path), off="kafka2,kafka1")


def test_who_has_a_command_need_not_be_named(tmp_path: Path) -> None:
    of = cluster(tmp_path, kafka1="['true']")
    assert "kafka1: is off" in fenced(of, off="kafka2", yes=True)


def test_one_that_is_not_named_ends_it_before_anybody_is_switched_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"
    of = cluster(tmp_path, kafka1=f"[touch, {mark}]")
    with pytest.raises(SystemExit):
        fenced(of, off="kafka1", yes=True)
    assert "--off does not name kafka2" in capsys.readouterr().err
    assert not mark.exists()


def test_without_a_terminal_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("kafka1 kafka2\n"))
    for of in (cluster(tmp_path), cluster(tmp_path, kafka1="['true']", kafka2="['true']")):
        with pytest.raises(SystemExit) as ended:
            fenced(of)
        assert ended.value.code == 2
        assert "--off kafka1,kafka2" in capsys.readouterr().err


def test_who_types_ctrl_d_names_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(*_: object) -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(Console, "input", nothing)
    for of in (cluster(tmp_path), cluster(tmp_path, kafka1="['true']", kafka2="['true']")):
        with pytest.raises(SystemExit) as ended:
            fenced(of)
        assert ended.value.code == 1
        assert "nothing was changed" in capsys.readouterr().err
    assert not refill.confirmed(Console(file=io.StringIO()), "bring them?")


def test_one_that_still_answers_may_be_fenced_and_must_be_silent_then(tmp_path: Path) -> None:
    of = cluster(tmp_path, kafka1="['true']")
    well = Sight(holds=True, epoch=3, zxid=7)
    cut = Sight(complaint="no route", answers=frozenset({2181}))
    seen = {"kafka1": cut, "kafka2": Sight(complaint="it answers to nothing"), "kafka3": well}
    assert isinstance(last_stand(of, "kafka3", seen), Narrow)
    after = last_stand(of, "kafka3", seen, fenced=True)
    assert isinstance(after, Refused)
    assert "kafka1 lives" in after.why
    without = last_stand(cluster(tmp_path), "kafka3", seen)
    assert isinstance(without, Refused)


def test_a_command_is_a_list_of_words(tmp_path: Path) -> None:
    found = problems(tmp_path, "hosts: {kafka1: {fence: fence_ipmilan --off}}")
    assert any("hosts.kafka1.fence" in problem and "list of words" in problem for problem in found)
