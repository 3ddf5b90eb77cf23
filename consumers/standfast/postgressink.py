"""The sink in PostgreSQL: one database for all collectors. Every call is bounded in time."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from standfast import schema
from standfast.errors import UserError
from standfast.sinks import Raced, Refused, Row, Sink, TooSlow, Unavailable, check_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import psycopg

BOUND = 4.0  # seconds for one transaction: well under the watchdog's ten
# A machine that dies without a word leaves its transaction open, and its records locked: the server
# is to notice within seconds too, or who takes over stands still until the machine is back.
LET_GO = (
    "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3 "
    f"-c tcp_user_timeout={int(BOUND * 1000)} -c idle_in_transaction_session_timeout=10s"
)
MAKE_TABLES_LOCK = 7_130_511  # an advisory lock: three collectors may start at once


class PostgresSink(Sink):
    """Records in PostgreSQL, committed synchronously."""

    def __init__(
        self,
        connect: Mapping[str, object],
        consumer: str,
        host: str,
        canary: str | None = None,
        create: bool = True,
    ) -> None:
        """`connect`: libpq's host, port, dbname, user, passfile; `create` false: only to read."""
        super().__init__(consumer, host, canary)
        self._connect, self._create = dict(connect), create
        self._connection: psycopg.Connection[Row] | None = None
        self._overdue = False

    @property
    def name(self) -> str:
        """How messages call it."""
        return "postgresql://{user}@{host}:{port}/{dbname}".format(**self._connect)

    def open(self) -> None:
        """See Sink."""
        if self._connection is not None:
            return
        import psycopg

        try:
            connection = psycopg.connect(
                **self._connect,  # type: ignore[arg-type]
                autocommit=True,
                connect_timeout=3,
                keepalives_idle=2,
                keepalives_interval=1,
                keepalives_count=3,
                tcp_user_timeout=int(BOUND * 1000),
                application_name=f"standfast {self.consumer} {self.host}",
                # No sequential scans: new tables have no statistics, and a look-up of a batch
                # would read the whole table until the first ANALYZE.
                options=f"-c statement_timeout={int(BOUND * 1000) if self._create else 0} "
                f"-c synchronous_commit=on -c enable_seqscan=off {LET_GO}",
            )
            self._connection = connection
            if self._create:
                with self._bounded():
                    self._make()
            else:  # one snapshot for all that is read
                self._execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
                check_version(self._execute("SELECT version FROM standfast_schema", ()), self.name)
        except psycopg.Error as error:
            self.close()
            raise Unavailable(f"{self.name}: {_line(error)}") from error
        except UserError:
            self.close()
            raise

    def _make(self) -> None:
        assert self._connection is not None
        with self._connection.transaction():
            self._execute("SELECT pg_advisory_xact_lock(?)", (MAKE_TABLES_LOCK,))
            if self._execute("SELECT to_regclass('standfast_schema')", ()) == [(None,)]:
                for statement in schema.TABLES:
                    self._execute(statement.format(bytes="BYTEA", int="BIGINT"), ())
                self._execute(f"CREATE VIEW events AS {schema.EVENTS}", ())
            if not check_version(
                self._execute("SELECT version FROM standfast_schema", ()), self.name
            ):
                self._execute("INSERT INTO standfast_schema VALUES (?)", (schema.VERSION,))

    def close(self) -> None:
        """See Sink."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Cut the connection where the server does not answer in time, however it hangs.

        The server's own time-out does not help where the server itself stands still.
        """
        assert self._connection is not None
        handle = os.dup(self._connection.fileno())

        def cut() -> None:
            self._overdue = True
            with suppress(OSError), socket.socket(fileno=os.dup(handle)) as line:
                line.shutdown(socket.SHUT_RDWR)

        self._overdue = False
        timer = threading.Timer(BOUND + 0.5, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            os.close(handle)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """See Sink."""
        self.open()
        assert self._connection is not None
        with self._connection.cursor("rows") as cursor:
            cursor.itersize = 10_000
            yield from cursor.execute(_numbered(query), parameters)

    def _begin(self) -> None:
        self._execute("BEGIN", ())

    def _commit(self) -> None:
        self._execute("COMMIT", ())

    def _execute(self, query: str, parameters: Sequence[Any]) -> list[Row]:
        assert self._connection is not None
        cursor = self._connection.execute(_numbered(query), parameters)
        return cursor.fetchall() if cursor.description else []

    def _insert(self, query: str, rows: list[Row]) -> int:
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            cursor.executemany(_numbered(query), rows)  # libpq's pipeline: one round trip
            return cursor.rowcount

    def _first_of_feed(
        self, feed: str, sequences: list[int]
    ) -> Iterable[tuple[int, bytes | None, bytes | None]]:
        return [
            (sequence, key, value)
            for sequence, key, value in self._execute(
                "SELECT sequence, key, value FROM records WHERE feed = ? AND repeat = 0 "
                "AND sequence = ANY(?::bigint[])",
                (feed, sequences),
            )
        ]

    def _failure(self, error: Exception) -> Exception | None:
        import psycopg

        said = f"{self.name}: {_line(error)}"
        if self._overdue or isinstance(error, psycopg.errors.QueryCanceled):
            self._overdue = False
            return TooSlow(f"{self.name}: no answer within {BOUND:.0f} s")
        if isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
            return Raced(said)
        refused = (
            psycopg.DataError,
            psycopg.IntegrityError,
            psycopg.errors.ProgramLimitExceeded,
            UnicodeEncodeError,
        )
        if isinstance(error, refused):
            return Refused(_line(error))
        if isinstance(error, psycopg.Error):
            return Unavailable(said)
        return None


@cache
def _numbered(query: str) -> Any:
    """The query with psycopg's placeholders."""
    return query.replace("?", "%s")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
