"""PostgreSQL for the lab's sink; production brings its own."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy
from pyinfra.operations import files, postgres

import roles
from cluster.model import PostgresqlSink
from cluster.releases import RELEASES
from connect import cluster
from roles.base.facts import Release
from roles.postgresql.facts import LogsIn
from roles.postgresql.operations import listening


@deploy("PostgreSQL")
def configure() -> None:
    version = RELEASES[host.get_fact(Release)].postgresql
    folder = f"/etc/postgresql/{version}/main"
    address = roles.machine().address
    sinks = [
        s for s in cluster().sinks.values() if isinstance(s, PostgresqlSink) and s.host == address
    ]
    files.template(
        name="Listen, and flush before saying that it is stored",
        src="templates/postgresql/standfast.conf.j2",
        dest=f"{folder}/conf.d/standfast.conf",
        mode="644",
    )
    for sink in sinks:
        for machine in cluster().hosts.values():
            files.line(
                name=f"Let {sink.user} in from {machine.name}",
                path=f"{folder}/pg_hba.conf",
                line=f"host {sink.database} {sink.user} {machine.address}/32 scram-sha-256",
            )
    listening(name="Serve what is configured", version=version, folder=folder, address=address)
    for sink in sinks:
        # pyinfra cannot compare a password and would set it each time: so the sink's user tries to
        # log in.
        postgres.role(
            name=f"Create the role {sink.user}",
            role=sink.user,
            password=sink.password(),
            _sudo_user="postgres",
            _if=lambda sink=sink: not host.get_fact(LogsIn, sink.user, sink.password()),
        )
        postgres.database(
            name=f"Create the database {sink.database}",
            database=sink.database,
            owner=sink.user,
            _sudo_user="postgres",
        )
