"""The verification's results as a table: rows are checks, columns are machines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from tests.verify.outcome import UNASKED, UNSETTABLE

PASSED, FAILED, UNSET = "passed", "failed", "not settable here"
TITLES = {
    "services": "Services",
    "files": "Files",
    "ensemble": "ZooKeeper",
    "brokers": "Kafka's brokers",
    "topics": "Topics",
    "machine": "Machines",
    "canary": "A record through each broker",
}
PRETTY = {PASSED: "✓", FAILED: "✗", UNSET: "–"}  # noqa: RUF001, a dash is meant
PLAIN = {PASSED: "ok", FAILED: "FAIL", UNSET: "-"}


@dataclass(frozen=True)
class Result:
    """A check on one machine ("cluster": on all); `text` says what is wrong with it."""

    group: str
    check: str
    machine: str
    outcome: str
    text: str = ""


def render(results: Sequence[Result], machines: Sequence[str], width: int, plain: bool) -> str:
    """The table, what is not settable, and each failure; in lines of at most `width` characters."""
    marks = PLAIN if plain else PRETTY
    parts = [*_table(results, machines, width, marks), "", *_unset(results, width, marks[UNSET])]
    return "\n".join([*parts, *_failures(results, width, marks[FAILED])]).rstrip() + "\n"


def _table(
    results: Sequence[Result], machines: Sequence[str], width: int, marks: dict[str, str]
) -> list[str]:
    columns = ["cluster", *machines]
    label = max((len(r.check) for r in results), default=0) + 2
    cell = {name: max(len(name), 4) + 2 for name in columns}
    heads = {name: name for name in columns}
    lines = []
    if label + sum(cell.values()) > width:
        # Too narrow for names: numbers, explained above.
        heads = {name: str(n) for n, name in enumerate(columns)}
        mark = max(len(m) for m in marks.values())
        cell = dict.fromkeys(columns, max(mark, len(str(len(columns)))) + 1)
        label = max(12, min(label, width - 2 - sum(cell.values())))
        names = "  ".join(f"{heads[name]}\N{NO-BREAK SPACE}{name}" for name in columns)
        wrapped = textwrap.wrap(names, width, break_on_hyphens=False)
        lines += [line.replace("\N{NO-BREAK SPACE}", " ") for line in wrapped]
    lines.append(" " * (label + 2) + "".join(heads[n].center(cell[n]) for n in columns).rstrip())
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for r in results:
        rows.setdefault((r.group, r.check), {})[r.machine] = marks[r.outcome]
    group = ""
    for (of, check), cells in rows.items():
        if of != group:
            lines.append(TITLES.get(of, of))
            group = of
        first, *more = textwrap.wrap(check, label - 1) or [""]
        line = f"  {first.ljust(label)}"
        lines.append((line + "".join(cells.get(n, "").center(cell[n]) for n in columns)).rstrip())
        lines += [f"    {text}" for text in more]
    return lines


def _unset(results: Sequence[Result], width: int, mark: str) -> list[str]:
    """One line a check: where, and what the first machine says."""
    checks: dict[str, list[Result]] = {}
    for r in results:
        if r.outcome == UNSET:
            checks.setdefault(r.check, []).append(r)
    title = "Not settable here, so neither passed nor failed:"
    lines = _wrapped(title, width, "", "") if checks else []
    for check, found in checks.items():
        where = ", ".join(r.machine for r in found)
        text = f"{mark} {check} ({where}): {found[0].text.removeprefix(UNSETTABLE)}"
        lines += _wrapped(text, width, "", "    ")
    return [*lines, ""] if lines else []


def _failures(results: Sequence[Result], width: int, mark: str) -> list[str]:
    """Each failure with its three lines, once; all that a machine could not be asked as one."""
    lines = []
    silent: dict[str, list[Result]] = {}
    for r in results:
        if r.outcome == FAILED and r.text.startswith(UNASKED):
            silent.setdefault(r.text.removeprefix(UNASKED), []).append(r)
    for why, found in silent.items():
        count = f"{len(found)} check{'s' if len(found) > 1 else ''}"
        lines += _wrapped(f"{mark} {why}: {count} cannot be asked", width, "", "    ")
    same: dict[str, list[Result]] = {}
    for r in results:
        if r.outcome == FAILED and not r.text.startswith(UNASKED):
            same.setdefault(r.text, []).append(r)
    for text, found in same.items():
        where, checks = (dict.fromkeys(getattr(r, n) for r in found) for n in ("machine", "check"))
        lines += _wrapped(f"{mark} {', '.join(where)}: {'; '.join(checks)}", width, "", "    ")
        for line in text.splitlines():
            told = line.startswith("  ")
            lines += _wrapped(line.strip(), width, "      " if told else "    ", " " * 16)
    return lines


def _wrapped(text: str, width: int, first: str, then: str) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )


def summary(results: Sequence[Result], name: str, seconds: float) -> str:
    """One sentence that says how it went."""
    count = {o: sum(r.outcome == o for r in results) for o in (PASSED, FAILED, UNSET)}
    parts = [f"{count[PASSED]} checks passed", f"{count[FAILED]} failed"]
    if count[UNSET]:
        parts.append(f"{count[UNSET]} not settable here")
    return f"{name}: {', '.join(parts)}, in {seconds:.1f} s"
