"""collector.toml: what one collector reads, where it keeps it, and how it is called."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standfast import clients
from standfast.errors import UserError
from standfast.postgressink import PostgresSink
from standfast.sqlitesink import SqliteSink

if TYPE_CHECKING:
    from standfast.sinks import Sink

TYPES: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list of texts",
}


@dataclass(slots=True)
class SinkConfig:
    """Where records are kept; `kind` is "sqlite" or "postgresql"."""

    kind: str
    path: Path | None = None
    connect: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Config:
    """A collector's configuration, checked."""

    name: str
    group: str
    instance: str
    topics: list[str]
    dead_letter: str
    canary: str | None
    bootstrap: list[str]
    state: Path
    consumer: dict[str, str]
    producer: dict[str, str]
    sink: SinkConfig
    batch_records: int = 5000
    batch_seconds: float = 0.2
    max_record_bytes: int = 1_048_576
    format: str | None = None

    def open_sink(self, create: bool = True) -> Sink:
        """The sink, not connected yet; `create` false: only to read."""
        if self.sink.kind == "sqlite":
            assert self.sink.path is not None
            return SqliteSink(self.sink.path, self.name, self.instance, self.canary, create)
        return PostgresSink(self.sink.connect, self.name, self.instance, self.canary, create)


def load(path: Path) -> Config:
    """Read and check a collector.toml. Raises UserError naming the first wrong setting."""
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(str(path), f"is not TOML: {error}") from error
    table = _Table(str(path), raw)
    state = Path(table.take("state", str))
    sink = _Table(f"{path}: sink", table.take("sink", dict))
    config = Config(
        name=table.take("name", str),
        group=table.take("group", str),
        instance=table.take("instance", str),
        topics=table.take("topics", list),
        dead_letter=table.take("dead_letter", str),
        canary=table.take("canary", str, None),
        bootstrap=table.take("bootstrap", list),
        state=state,
        consumer=_settings(path, table, "consumer"),
        producer=_settings(path, table, "producer"),
        sink=_sink(sink, state),
        batch_records=table.take("batch_records", int, 5000),
        batch_seconds=float(table.take("batch_seconds", float, 0.2)),
        max_record_bytes=table.take("max_record_bytes", int, 1_048_576),
        format=table.take("format", str, None),
    )
    table.nothing_else()
    sink.nothing_else()
    if not 1 <= config.batch_records <= 100_000:
        raise UserError(f"{path}: batch_records", "must be 1 to 100000")
    if not 0 < config.batch_seconds <= 5:
        raise UserError(f"{path}: batch_seconds", "must be over 0 and at most 5")
    if config.format not in (None, "json"):
        raise UserError(f"{path}: format", f'must be "json" or left out, is "{config.format}"')
    if config.dead_letter in config.topics:
        raise UserError(f"{path}: dead_letter", "must not be one of the topics that are read")
    return config


def _settings(path: Path, table: _Table, kind: str) -> dict[str, str]:
    name = table.take(kind, str, None)
    if name is None:
        return clients.default_settings(kind)
    return clients.read_properties(path.parent / name)


def _sink(table: _Table, state: Path) -> SinkConfig:
    kind = table.take("kind", str)
    if kind == "sqlite":
        return SinkConfig(kind, path=Path(table.take("path", str, str(state / "sink.db"))))
    if kind != "postgresql":
        raise UserError(f"{table.place}.kind", f'must be "sqlite" or "postgresql", is "{kind}"')
    connect: dict[str, object] = {
        "host": table.take("host", str),
        "port": table.take("port", int, 5432),
        "dbname": table.take("database", str),
        "user": table.take("user", str),
    }
    passfile = table.take("passfile", str, None)
    if passfile is not None:
        connect["passfile"] = passfile
    return SinkConfig(kind, connect=connect)


class _Table:
    """A table of the file, of which every setting must be asked for once."""

    def __init__(self, place: str, raw: dict[str, Any]) -> None:
        self.place = place
        self._left = dict(raw)

    def take(self, name: str, kind: type, *default: Any) -> Any:
        if name not in self._left and default:
            return default[0]
        if name not in self._left:
            raise UserError(f"{self.place}: {name}", "is missing")
        value = self._left.pop(name)
        accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
        if not isinstance(value, accepted) or isinstance(value, bool):
            raise UserError(
                f"{self.place}: {name}", f"must be {TYPES.get(kind, 'a table')}, is {value!r}"
            )
        if isinstance(value, list) and not (value and all(isinstance(v, str) for v in value)):
            raise UserError(f"{self.place}: {name}", f"must be a list of texts, is {value!r}")
        if value == "":
            raise UserError(f"{self.place}: {name}", "must not be empty")
        return value

    def nothing_else(self) -> None:
        if self._left:
            raise UserError(f"{self.place}: {min(self._left)}", "no such setting")
