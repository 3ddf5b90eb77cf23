"""Bring PostgreSQL up on its configuration."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import operation

from roles.postgresql.facts import Serving


@operation()
def listening(version: str, folder: str, address: str) -> Iterator[str]:
    """Restart PostgreSQL where it does not run what is configured: decided by what is seen, not by what was changed."""
    if host.get_fact(Serving, folder=folder, address=address):
        host.noop("PostgreSQL runs what is configured")
        return
    yield f"systemctl restart postgresql@{version}-main"
    ready = "timeout 30 sh -c 'until pg_isready -q; do sleep 0.2; done'"
    yield f"{ready} || {{ echo 'PostgreSQL did not answer within 30 s: journalctl -u postgresql@{version}-main' >&2; exit 1; }}"
