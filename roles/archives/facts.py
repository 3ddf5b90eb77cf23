"""Which archives a host holds unpacked."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import FactBase


class Unpacked(FactBase[set[str]]):
    """The folders of archives that were unpacked to their end; each link as "it -> folder"."""

    default = set

    def command(self) -> str:
        return (
            "find /opt/standfast -maxdepth 3 "
            "'(' -name .whole -printf '%h\\n' -o -type l -name current -printf '%p -> %l\\n' ')' "
            "2>/dev/null || true"
        )

    def process(self, output: Iterable[str]) -> set[str]:
        return set(output)
