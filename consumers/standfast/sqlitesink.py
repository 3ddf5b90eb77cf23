"""The sink in a SQLite file on this host: the lab's default, and what tests use."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from standfast import schema
from standfast.errors import UserError
from standfast.sinks import Refused, Row, Sink, Unavailable, check_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path


class SqliteSink(Sink):
    """Records in one SQLite file on this host: WAL, and flushed to the disk at each commit."""

    def __init__(
        self, path: Path, consumer: str, host: str, canary: str | None = None, create: bool = True
    ) -> None:
        """`create` false: only to read, and UserError where the file does not exist."""
        super().__init__(consumer, host, canary)
        self._path, self._create = path, create
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """See Sink."""
        if self._connection is not None:
            return
        if not self._create and not self._path.exists():
            raise UserError(str(self._path), "there is no sink here")
        try:
            connection = sqlite3.connect(self._path, timeout=3.0, isolation_level=None)
            self._connection = connection
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # the disk has it, not the page cache
            if self._create:
                self._make(connection)
            else:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")  # one snapshot for all that is read
                check_version(self._execute("SELECT version FROM standfast_schema", ()), self.name)
        except sqlite3.Error as error:
            self.close()
            raise Unavailable(f"{self._path}: {error}") from error

    @property
    def name(self) -> str:
        """How messages call it."""
        return str(self._path)

    def _make(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for statement in schema.TABLES:
            connection.execute(statement.format(bytes="BLOB", int="INTEGER"))
        connection.execute(f"CREATE VIEW IF NOT EXISTS events AS {schema.EVENTS}")
        if not check_version(self._execute("SELECT version FROM standfast_schema", ()), self.name):
            connection.execute("INSERT INTO standfast_schema VALUES (?)", (schema.VERSION,))
        connection.execute("COMMIT")

    def close(self) -> None:
        """See Sink."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                return  # it is let go of all the same

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """See Sink."""
        self.open()
        assert self._connection is not None
        yield from self._connection.execute(query, parameters)

    def _begin(self) -> None:
        self._execute("BEGIN IMMEDIATE", ())

    def _commit(self) -> None:
        self._execute("COMMIT", ())

    def _execute(self, query: str, parameters: Sequence[Any]) -> list[Row]:
        assert self._connection is not None
        return self._connection.execute(query, parameters).fetchall()

    def _insert(self, query: str, rows: list[Row]) -> int:
        assert self._connection is not None
        return self._connection.executemany(query, rows).rowcount

    def _first_of_feed(
        self, feed: str, sequences: list[int]
    ) -> Iterable[tuple[int, bytes | None, bytes | None]]:
        return self._execute(
            "SELECT sequence, key, value FROM records WHERE feed = ? AND repeat = 0 "
            "AND sequence IN (SELECT value FROM json_each(?))",
            (feed, json.dumps(sequences)),
        )

    def _failure(self, error: Exception) -> Exception | None:
        refused = (
            sqlite3.DataError,
            sqlite3.IntegrityError,
            sqlite3.InterfaceError,
            sqlite3.ProgrammingError,
            OverflowError,
            UnicodeEncodeError,
        )
        if isinstance(error, refused):
            return Refused(str(error))
        if isinstance(error, sqlite3.Error):
            return Unavailable(f"{self._path}: {error}")
        return None
