"""Whether PostgreSQL runs what is configured, and lets the sink's user in."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import FactBase, MaskString, QuoteString, StringCommand


class Serving(FactBase[bool]):
    """True where PostgreSQL listens on `address` and started after its files in `folder` last
    changed.
    """

    default = bool

    def command(self, folder: str, address: str) -> str:
        return (
            f"ss -Hltn 'sport = :5432' | grep -qE '(0\\.0\\.0\\.0|{address}):5432' && "
            f'[ -z "$(find {folder} -newer /run/postgresql/.s.PGSQL.5432.lock)" ] && '
            "echo yes || true"
        )

    def process(self, output: Iterable[str]) -> bool:
        return "yes" in output


class LogsIn(FactBase[bool]):
    """True where `user` can log in with `password` over TCP, as the collectors do."""

    default = bool

    def command(self, user: str, password: str) -> StringCommand:
        secret = MaskString(f"PGPASSWORD={password}")
        login = ("psql -h 127.0.0.1 -d postgres -tAc 'SELECT 1' -U", QuoteString(user))
        return StringCommand("env", secret, *login, "2>/dev/null || true")

    def process(self, output: Iterable[str]) -> bool:
        return "1" in output
