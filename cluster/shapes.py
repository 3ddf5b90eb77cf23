"""The shape of each entry of an inventory: its keys, their types and ranges.

An entry is checked by itself, so that one mistake does not hide the next. What entries have to do
with each other is checked in cluster/checks.py.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from cluster.problems import Problem, did_you_mean, shown
from cluster.sizes import parse_heap, parse_size

RESERVED = ("alert", "base", "guardian", "host", "kafka", "postgresql", "probe", "standfast",
            "topics", "zookeeper")  # fmt: skip


class Shape(BaseModel):
    """An entry: unknown keys are refused, no type is guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _matching(pattern: str, what: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {what}")
        return text

    return check


def _address(text: str) -> str:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError("must be an IPv4 address such as 10.0.0.11") from None
    if address.is_loopback:
        raise ValueError("must be an address that the other machines reach, not loopback")
    nobodys = (address.is_unspecified, address.is_multicast, address.is_link_local)
    if any(nobodys) or address.is_reserved:
        raise ValueError("must be the address of one machine")
    return text


def _size(value: object) -> int:
    return parse_size(value)


def _heap(text: str) -> str:
    parse_heap(text)
    return text


def _relative(text: str) -> str:
    if not text or text.startswith(("/", "~")) or ".." in text.split("/"):
        raise ValueError("must be a path inside the repository, such as inventory/scripts/mine.py")
    return text


def _single_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be one line of text")
    return text


def _setting(value: object) -> str:
    """A setting's value as its file has it: true, 5 and [a, b] are `true`, `5` and `a,b`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return ",".join(_setting(item) for item in value)
    if isinstance(value, dict):
        raise ValueError("must be one value; write a setting's name whole, with its dots")
    if value is None or not isinstance(value, str | int | float):
        raise ValueError("must be a value")
    text = str(value)
    if text != text.strip() or not (text.isprintable() or not text) or "\\" in text:
        raise ValueError("must be one line without backslashes or blanks at its ends")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not text.isascii() or " " in text:
        raise ValueError("must be an address such as https://hooks.example.com/…")
    return text


def _words(value: object) -> object:
    """A command as its words."""
    if isinstance(value, str) or value == []:
        raise ValueError("must be a list of words, such as [fence_ipmilan, --ip, 10.0.1.11]")
    return tuple(value) if isinstance(value, list) else value


def _or_empty(value: object) -> object:
    return {} if value is None else value


Text = Annotated[str, AfterValidator(_single_line)]
Address = Annotated[str, AfterValidator(_address)]
Size = Annotated[int, BeforeValidator(_size)]
Heap = Annotated[str, AfterValidator(_heap)]
Relative = Annotated[str, AfterValidator(_relative)]
Port = Annotated[int, Field(ge=1024, le=65535, description="a port of 1024 to 65535")]
BrokerId = Annotated[int, Field(ge=0, le=1000, description="the broker's number, 0 to 1000")]
VoterId = Annotated[int, Field(ge=1, le=255, description="the voter's number, 1 to 255")]
Value = Annotated[str, BeforeValidator(_setting)]
Settings = Annotated[dict[str, Value], BeforeValidator(_or_empty)]
USER = _matching(r"[a-z_][a-z0-9_-]{0,31}", "a user's name such as ops")
User = Annotated[str, AfterValidator(USER)]
TopicNames = Annotated[list[str], Field(min_length=1, description="a list of topics")]
ADDRESS = Field(description="an IPv4 address such as 10.0.0.11")
DISK = Field(default=None, description="a size such as 500GB")
Fence = Annotated[tuple[Text, ...], BeforeValidator(_words)]


class Ssh(Shape):
    user: User = Field(description="the user to log in as")
    port: int = Field(default=22, ge=1, le=65535)
    config: Text | None = None
    known_hosts: Text | None = None


class Promise(Shape):
    retention_days: int = Field(ge=1, le=3650, description="a number of days such as 7")
    outage_days: int = Field(ge=0, le=3650, description="a number of days such as 7")
    bytes_per_day: Size = Field(description="a size such as 20GB")
    disk: Size = Field(description="the size of the file system under /var/lib/kafka, such as 2TB")


class Ports(Shape):
    kafka: Port = 9092
    zookeeper: Port = 2181
    zookeeper_peer: Port = 2888
    zookeeper_election: Port = 3888


class Host(Shape):
    address: Address = ADDRESS
    broker_id: BrokerId
    zookeeper_id: VoterId
    disk: Size | None = DISK
    fence: Fence = ()


class Witness(Shape):
    address: Address = ADDRESS
    zookeeper_id: VoterId
    disk: Size | None = DISK
    fence: Fence = ()


class Database(Shape):
    address: Address = ADDRESS
    disk: Size | None = DISK


class Server(Shape):
    heap: Heap = Field(description="the JVM's heap, such as 4G")
    archive: Text = Field(description="the path of an archive, such as build/dist/kafka-3.9.2.tar")
    settings: Settings = Field(default_factory=dict)


class Topic(Shape):
    partitions: int = Field(ge=1, le=10000, description="a number of partitions such as 6")
    replication: int = Field(default=3, ge=1)
    settings: Settings = Field(default_factory=dict)


class SqliteSink(Shape):
    kind: Literal["sqlite"]


class PostgresqlSink(Shape):
    kind: Literal["postgresql"]
    host: Text = Field(description="the database's address")
    port: int = Field(default=5432, ge=1, le=65535)
    database: Text = Field(description="the database's name")
    user: Text = Field(description="the user to log in as")
    password_file: Text = Field(description="the path of a file with the password")


class Feed(Shape):
    settings: Settings = Field(default_factory=dict)


class Collector(Shape):
    topics: TopicNames
    sink: str = Field(description="the name of one of `sinks`")
    dead_letter: str = Field(description="the topic for records that the sink cannot take")
    settings: Settings = Field(default_factory=dict)


class Script(Shape):
    command: list[Text] = Field(min_length=1)
    files: list[Relative] = Field(default_factory=list)
    requirements: Relative | None = None
    topics: TopicNames
    watchdog: bool = False
    settings: Settings = Field(default_factory=dict)


class Alert(Shape):
    """Exactly one of the two, which cluster.checks sees to."""

    command: list[Text] | None = Field(default=None, min_length=1)
    webhook: Annotated[Text, AfterValidator(_url)] | None = None


class AcceptRisk(Shape):
    setting: Text = Field(description="the path of the setting, such as promise.retention_days")
    reason: str = Field(description="why the risk is taken")


S = TypeVar("S", bound=Shape)


def fit(shape: type[S], raw: object, path: str, problems: list[Problem]) -> S | None:
    """`raw` as `shape`; None where it does not fit. Every problem found is added to `problems`."""
    if not isinstance(raw, Mapping):
        keys = ", ".join(shape.model_fields)
        problems.append(Problem(path, f"must be a mapping with {keys}; is {shown(raw)}"))
        return None
    raw = dict(raw)
    known = shape.model_fields
    for key in [key for key in raw if key not in known]:
        del raw[key]
        hint = did_you_mean(key, known) or f"; known here: {', '.join(known)}"
        problems.append(Problem(f"{path}.{key}", f"unknown key{hint}"))
    try:
        return shape.model_validate(raw)
    except ValidationError as error:
        problems.extend(_problem(e, path, shape) for e in error.errors(include_url=False))
        return None


def values(raw: object) -> dict[str, str]:
    """The `settings` of an entry, as far as each value can be one; fit() tells of the others."""
    settings = raw.get("settings") if isinstance(raw, Mapping) else None
    found: dict[str, str] = {}
    for name, value in settings.items() if isinstance(settings, Mapping) else ():
        try:
            found[str(name)] = _setting(value)
        except ValueError:
            continue
    return found


def _problem(error: ErrorDetails, path: str, shape: type[Shape]) -> Problem:
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    kind, value, limits = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        should = shape.model_fields[str(error["loc"][0])].description
        return Problem(path, "is missing" + (f"; should be {should}" if should else ""))
    words: dict[str, str] = {
        "int_type": "must be a whole number",
        "string_type": "must be text",
        "bool_type": "must be true or false",
        "list_type": "must be a list",
        "dict_type": "must be a mapping",
        "literal_error": f"must be {limits.get('expected', '')}".replace("'", ""),
        "greater_than_equal": f"must be at least {limits.get('ge')}",
        "less_than_equal": f"must be at most {limits.get('le')}",
        "too_short": "must name at least one",
        "value_error": str(limits.get("error", "")),
    }
    must = words.get(kind, error["msg"])
    return Problem(path, f"{must}, is {shown(value) if value != [] else 'empty'}")
