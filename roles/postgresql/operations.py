"""Bring PostgreSQL up on its configuration."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import operation

from roles import until
from roles.postgresql.facts import Serving


@operation()
def listening(version: str, folder: str, address: str) -> Iterator[str]:
    """Restart PostgreSQL where it does not run what is configured: decided by what is seen, not
    by what was changed.
    """
    if host.get_fact(Serving, folder=folder, address=address):
        host.noop("PostgreSQL runs what is configured")
        return
    yield f"systemctl restart postgresql@{version}-main"
    unit = f"postgresql@{version}-main"
    yield until("pg_isready -q", 30, f"PostgreSQL did not answer within 30 s: journalctl -u {unit}")
