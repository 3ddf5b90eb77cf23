"""The controller's one door: which inventory, and every connection to its hosts and its cluster.

Every command begins with `begin()`: it loads the inventory that INVENTORY names, says on its first
line what it
acts on, and enters the lab's network where the hosts are a lab's.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from cluster.inventory import InventoryError, load
from cluster.model import Cluster
from lab.machine import LabError, enter

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient
    from fabric import Connection
    from paramiko import Channel
    from pyinfra.api.host import Host

    from standfast.topiclog import TopicLog

ROOT = Path(__file__).resolve().parent
CONNECT_SECONDS = 3
T = TypeVar("T")


def die(message: str, code: int = 1) -> NoReturn:
    """End with one message on stderr: 1 where something failed, 2 where what was asked makes no
    sense.
    """
    for line in message.splitlines():
        print(f"standfast: {line}", file=sys.stderr)
    sys.exit(code)


@cache
def cluster() -> Cluster:
    """The cluster that INVENTORY names (default: the lab). Ends with every problem of the file,
    and exit 2.
    """
    path = Path(os.environ.get("INVENTORY") or ROOT / "inventory" / "lab.yml")
    try:
        return load(path)
    except InventoryError as error:
        die(str(error), code=2)


@cache
def begin(doing: str, file: object = None) -> Cluster:
    """Say what is acted on, and enter its network. Returns the cluster."""
    found = cluster()
    shown = os.path.relpath(found.path)
    names = " ".join(found.machines)
    print(f"standfast: {doing} {found.name} ({shown}): {names}", file=sys.stderr, flush=True)
    if found.lab:
        try:
            enter(found.lab)
        except LabError as error:
            die(str(error))
    return found


def without_delay(host: Host) -> None:
    """Send pyinfra's commands at once: paramiko leaves Nagle's algorithm on, 45 ms a command in
    place of 3.
    """
    transport = host.connector.client.get_transport()
    transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def ssh(name: str) -> Connection:
    """A connection to the machine `name`, opened lazily, that refuses a host key it does not
    know.
    """
    import paramiko
    from fabric import Config, Connection

    settings, machine = cluster().ssh, cluster().machines[name]
    config = Config(runtime_ssh_path=str(settings.config) if settings.config else None)
    connection = Connection(
        name if settings.config else machine.address,
        user=settings.user,
        config=config,
        connect_timeout=CONNECT_SECONDS,
        # A host that stands still takes connections, and never says a word on them.
        connect_kwargs=dict.fromkeys(("banner_timeout", "auth_timeout"), CONNECT_SECONDS),
    )
    # fabric adds unknown keys by itself and never reads known_hosts (fabric issue 2071).
    if settings.known_hosts:
        connection.client.load_host_keys(str(settings.known_hosts))
    else:
        connection.client.load_system_host_keys()
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    return connection


@cache
def _kept(name: str) -> dict[str, Connection]:
    """The open connection to a machine, where there is one; whoever finds it dead replaces it."""
    return {}


@cache
def _opening(name: str) -> threading.Lock:
    return threading.Lock()


def _connected(name: str) -> Connection:
    """The open connection to a machine, or a new one. One that the machine no longer knows (it was
    switched off, and on) is found before anything is run over it.
    """
    import paramiko

    kept = _kept(name)
    with _opening(name):
        if connection := kept.get("ssh"):
            try:
                connection.transport.open_session(timeout=CONNECT_SECONDS).close()
                return connection
            except (OSError, EOFError, AttributeError, paramiko.SSHException):
                kept.pop("ssh").close()
        connection = ssh(name)
        connection.open()
        transport = connection.transport
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What a dead machine leaves unanswered fails, in place of waiting for minutes.
        wait = 1000 * CONNECT_SECONDS
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, wait)
        kept["ssh"] = connection
        return connection


def run(name: str, command: str, seconds: float = 30) -> str:
    """What `command` prints on the machine `name`, as root. Raises OSError with one sentence
    where it fails or takes longer than `seconds`.
    """
    try:
        # in_stream: fabric would hand this process's own input to the remote command.
        result = _connected(name).sudo(
            command, hide=True, warn=True, timeout=seconds, in_stream=False
        )
    except Exception as error:  # fabric, paramiko and socket raise each their own
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise OSError(f"{name}: cannot be asked over SSH: {why}") from error
    if result.exited:
        shown = command if len(command) < 200 else f"{command[:60]}…"
        raise OSError(f"{name}: `{shown}` ended with {result.exited}: {result.stderr.strip()}")
    return str(result.stdout)


def session(name: str) -> Channel:
    """A bare session on the machine `name`, for what outlasts a command. Raises OSError."""
    import paramiko

    try:
        return _connected(name).transport.open_session(timeout=CONNECT_SECONDS)
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise OSError(f"{name}: cannot be asked over SSH: {error}") from error


def each(names: Iterable[str], work: Callable[[str], T]) -> dict[str, T | OSError]:
    """`work(name)` for every machine at once; a machine that cannot be asked has its OSError as
    its answer.
    """

    def guarded(name: str) -> T | OSError:
        try:
            return work(name)
        except OSError as error:
            return error

    names = list(names)
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        return dict(zip(names, pool.map(guarded, names), strict=True))


# --- the cluster, over Kafka's and ZooKeeper's own protocols; never from pyinfra's process ---


def zookeeper_answer(address: str, word: str, timeout: float = CONNECT_SECONDS) -> str:
    """What the ZooKeeper at "host:port" answers to a four-letter word. Raises OSError; `timeout`
    in seconds.
    """
    from standfast import clients

    end, answer = time.monotonic() + timeout, b""
    with clients.connection(address, timeout) as sock:
        sock.sendall(word.encode())
        while chunk := sock.recv(65536):
            answer += chunk
            sock.settimeout(max(0.01, end - time.monotonic()))
    return answer.decode("utf-8", "replace")


def broker_answer(address: str, timeout: float = CONNECT_SECONDS) -> dict[int, str]:
    """The brokers that the broker at "host:port" knows, by id as "host:port". Raises OSError."""
    from standfast import questions

    return questions.kafka_metadata(address, timeout).brokers


def registry(
    timeout: float = 2 * CONNECT_SECONDS, addresses: list[str] | None = None
) -> dict[str, object]:
    """What ZooKeeper holds of Kafka: {path: content} of the brokers, the cluster's id, the
    controller and the guardians' record. The voters at `addresses` are asked (default: any).

    Raises OSError with one sentence where ZooKeeper cannot be asked.
    """
    from kazoo.exceptions import KazooException, NoNodeError
    from kazoo.handlers.threading import KazooTimeoutError

    from standfast import clients

    voters = addresses or cluster().zookeeper_connect.split(",")
    client = clients.zookeeper(voters, timeout=timeout)
    found: dict[str, object] = {}
    try:
        client.start(timeout=timeout)
        brokers = [f"/brokers/ids/{n}" for n in client.get_children("/brokers/ids")]
        for path in [*brokers, "/cluster/id", "/controller", "/standfast/last-stand"]:
            try:
                found[path] = json.loads(client.get(path)[0])
            except NoNodeError:
                continue
    except NoNodeError:
        return found
    except (KazooException, KazooTimeoutError, ValueError) as error:
        raise OSError(f"ZooKeeper cannot be asked: {error or type(error).__name__}") from error
    finally:
        client.stop()
        client.close()
    return found


def admin(bootstrap: list[str] | None = None) -> AdminClient:
    """An administrative client of the cluster's Kafka; `bootstrap`: by way of these brokers."""
    from standfast import clients

    return clients.admin(bootstrap or cluster().bootstrap.split(","))


def producer(settings: dict[str, str]) -> Producer:
    """A producer with `settings`, librdkafka's names."""
    from standfast import clients

    return clients.producer(settings, cluster().bootstrap.split(","))


def consumer(group: str, bootstrap: list[str] | None = None, **more: str) -> Consumer:
    """A client that looks at a consumer group's positions and at records, and changes neither: it
    joins no group, and never commits. `more` are further settings, with _ in place of the dots.
    """
    from standfast import clients

    settings = clients.default_settings("consumer")
    quiet = {"enable_auto_commit": "false", "enable_auto_offset_store": "false"}
    brokers = bootstrap or cluster().bootstrap.split(",")
    return clients.consumer(settings, brokers, group_id=group, **quiet, **more)


def topic_log(
    topic: str, seconds: float, since: int | None = None, until: int | None = None, **more: Any
) -> TopicLog:
    """A topic's records, to be read once; `more` are TopicLog's further fields."""
    from standfast.topiclog import TopicLog

    reading = consumer("standfast-reading", enable_partition_eof="true")
    return TopicLog(reading, topic, seconds, since, until, **more)
