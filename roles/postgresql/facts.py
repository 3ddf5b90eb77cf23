"""Whether PostgreSQL runs with the configuration that lies on its host."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import FactBase


class Serving(FactBase[bool]):
    """True where PostgreSQL listens on `address` and started after its files in `folder` last changed."""

    default = bool

    def command(self, folder: str, address: str) -> str:
        return (
            f"ss -Hltn 'sport = :5432' | grep -qE '(0\\.0\\.0\\.0|{address}):5432' && "
            f"[ -z \"$(find {folder} -newer /var/run/postgresql/.s.PGSQL.5432.lock)\" ] && echo yes || true"
        )

    def process(self, output: Iterable[str]) -> bool:
        return "yes" in output
