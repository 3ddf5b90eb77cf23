"""What is the same on several hosts, told once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar


@dataclass(frozen=True)
class Told:
    """Something that is said of `hosts`."""

    hosts: tuple[str, ...]


T = TypeVar("T", bound=Told)


def folded(rows: Iterable[T]) -> list[T]:
    """Rows that differ in nothing but their hosts become one, with the hosts of all, in order."""
    hosts: dict[T, list[str]] = {}
    for row in rows:
        hosts.setdefault(replace(row, hosts=()), []).extend(row.hosts)
    return [replace(row, hosts=tuple(of)) for row, of in hosts.items()]
