"""The one door to the cluster: every client of Kafka or ZooKeeper on a host is made here.

What all connections have in common (addresses, time-outs, later TLS and identities) is thereby
in one place. The client libraries are imported where they are used: `import standfast.clients`
costs nothing.
"""

from __future__ import annotations

import logging
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from standfast.errors import UserError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient
    from kazoo.client import KazooClient

T = TypeVar("T")

# What an administrative client needs to notice a machine that died silently. It asks the
# controller, and finds a new one only by refreshing its metadata: by default after five minutes.
ADMIN_SETTINGS = {
    "socket.timeout.ms": "5000",
    "socket.connection.setup.timeout.ms": "1500",
    "reconnect.backoff.max.ms": "1000",
    "topic.metadata.refresh.interval.ms": "2000",
}


def read_properties(path: Path) -> dict[str, str]:
    """Settings of a `name=value` file; blank lines and lines that begin with # are comments.

    Raises UserError with the file and the line where one is malformed or set twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(str(path), f"cannot be read: {error}") from error
    return parse_properties(text, str(path))


def parse_properties(text: str, place: str) -> dict[str, str]:
    """As read_properties, of a text; `place` is what an error names."""
    settings: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise UserError(f"{place}:{number}", f"should be name=value, is {line!r}")
        if name in settings:
            raise UserError(f"{place}:{number}", f"{name} is set a second time; keep one line")
        settings[name] = value
    return settings


def default_settings(kind: str) -> dict[str, str]:
    """The settings shipped with this package; `kind` is "producer" or "consumer"."""
    name = f"settings/{kind}.properties"
    return parse_properties((files("standfast") / name).read_text(encoding="utf-8"), name)


def producer(settings: Mapping[str, str], bootstrap: Sequence[str], **more: Any) -> Producer:
    """A producer. `more` are further settings, with _ in place of the dots."""
    from confluent_kafka import Producer

    return _made(Producer, settings, bootstrap, more)


def consumer(settings: Mapping[str, str], bootstrap: Sequence[str], **more: Any) -> Consumer:
    """A consumer; needs group_id. `more` are further settings, with _ in place of the dots."""
    from confluent_kafka import Consumer

    return _made(Consumer, settings, bootstrap, more)


def admin(bootstrap: Sequence[str], **more: Any) -> AdminClient:
    """An administrative client."""
    from confluent_kafka.admin import AdminClient

    return _made(AdminClient, ADMIN_SETTINGS, bootstrap, more)


def zookeeper(hosts: Sequence[str], timeout: float = 6.0, steadfast: bool = False) -> KazooClient:
    """A ZooKeeper client, not started; `timeout` is its session time-out in seconds.

    A steadfast one connects again for ever, at most half a second apart (kazoo's own pauses grow to
    an hour), and tries the servers in their order.
    """
    from kazoo.client import KazooClient

    again = {"max_tries": -1, "delay": 0.05, "max_delay": 0.5}
    return KazooClient(
        hosts=",".join(hosts),
        timeout=timeout,
        logger=log("zookeeper"),
        randomize_hosts=not steadfast,
        connection_retry=again if steadfast else None,
    )


def connection(address: str, timeout: float) -> socket.socket:
    """A bare connection to "host:port", for a question of a few bytes; `timeout` in seconds."""
    import socket

    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=timeout)


def _made(
    kind: Callable[..., T],
    settings: Mapping[str, str],
    bootstrap: Sequence[str],
    more: Mapping[str, Any],
) -> T:
    from confluent_kafka import KafkaException

    conf: dict[str, Any] = dict(settings)
    conf["bootstrap.servers"] = ",".join(bootstrap)
    conf.setdefault("client.id", "standfast")
    for name, value in more.items():  # callbacks (on_commit) keep their names
        conf[name if callable(value) else name.replace("_", ".")] = value
    try:
        return kind(conf, logger=log("kafka"))
    except KafkaException as error:
        raise UserError("kafka client settings", error.args[0].str()) from error


class _Sparse(logging.Filter):
    """Lets the same kind of line through once in 30 seconds: a dead broker is news once."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        # librdkafka's lines begin with their facility: "FAIL [client] [thrd:broker]: what".
        kind = record.getMessage().partition(" ")[0]
        now = time.monotonic()
        if now - self._last.get(kind, -30.0) < 30.0:
            return False
        self._last[kind] = now
        return True


def log(name: str) -> logging.Logger:
    """Where a library of this package speaks: stderr, the same kind of line once in 30 s."""
    logger = logging.getLogger(f"standfast.{name}")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.addFilter(_Sparse())
        logger.setLevel(logging.WARNING)
        logger.propagate = False
    return logger
