"""What is wrong with an inventory: every problem with its place, told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """`path` is the place inside the inventory (`topics.trades.partitions`), "" for all of it."""

    path: str
    message: str

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        return "".join(char if char.isprintable() else " " for char in text)  # one line, always


class InventoryError(Exception):
    """An inventory that cannot be used; str() is one line a problem, each with the file's name."""

    def __init__(self, problems: Iterable[Problem], file: Path | str) -> None:
        self.problems = list(problems)
        self.file = file
        super().__init__("\n".join(f"{file}: {problem}" for problem in self.problems))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The words `; did you mean X?` where a known name is near, otherwise nothing."""
    by_lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.75)
    return f"; did you mean {by_lower[near[0]]}?" if near else ""


def shown(value: object) -> str:
    """A value as a message shows it: bare, on one line, not longer than 60 characters."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = " ".join(str(value).split()) if str(value).strip() else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
