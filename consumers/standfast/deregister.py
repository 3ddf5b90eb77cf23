"""Take a dead broker's registration out of ZooKeeper, so that the others take over at once.

kafka.service runs this after its main process is gone (ExecStopPost=). Without it everything
waits until the dead broker's session ends, and its next start may die on NodeExists. After an
orderly stop nothing is registered any more, and nothing is done.

What it deletes was registered by the process that died, and by no other:
  - nothing listens on the broker's address any more (a live broker is never deregistered),
  - the registration names this very address, and was made before this command began: while
    ExecStopPost= runs systemd starts no new broker, so whatever is newer came from elsewhere,
  - the controller's node belongs to the same ZooKeeper session.
Both go in one transaction, by version.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from standfast import clients, questions
from standfast.errors import UserError
from standfast.supervision import say

if TYPE_CHECKING:
    import argparse

    from kazoo.client import KazooClient

# How long one ZooKeeper server may take for its answer, in seconds: a local one needs 0.01.
PATIENCE = 0.5


@dataclass(frozen=True)
class Node:
    """A node of ZooKeeper's tree: its JSON (bytes), its data version, its owner's session."""

    data: bytes
    version: int
    session: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--zookeeper",
        required=True,
        metavar="HOST:PORT,…",
        help="the ensemble; the first one is asked first: put the local one there",
    )
    parser.add_argument("--broker-id", required=True, type=int, metavar="N")
    parser.add_argument(
        "--host", required=True, metavar="ADDRESS", help="the broker's advertised address"
    )
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument(
        "--deadline",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="give up after this long, whatever happens (default: 2)",
    )


def run(args: argparse.Namespace) -> int:
    """0 where nothing of the broker is registered any more, and always under systemd."""
    began = time.time()
    servers = [server.strip() for server in args.zookeeper.split(",") if server.strip()]
    for server in servers or [""]:
        if not server.rpartition(":")[0] or not server.rpartition(":")[2].isdecimal():
            raise UserError(
                "--zookeeper", f"should be host:port,host:port,…, is {args.zookeeper!r}"
            )
    if args.deadline <= 0:
        raise UserError("--deadline", f"must be more than 0 seconds, is {args.deadline:g}")
    # A restart must not fail, nor wait, for this: ZooKeeper's own clock is what remains.
    failed = 0 if "SERVICE_RESULT" in os.environ else 1
    alarm = threading.Timer(args.deadline, _give_up, (args.broker_id, args.deadline, failed))
    alarm.daemon = True
    alarm.start()
    # The alarm is for what hangs; what is merely unreachable ends before it, and says why.
    deadline = time.monotonic() + args.deadline - min(0.2, args.deadline / 2)
    address = f"{args.host}:{args.port}"
    done, sentence = deregister(servers, args.broker_id, address, began, deadline)
    alarm.cancel()
    say(f"deregister: {sentence}", 6 if done else 4)
    return 0 if done else failed


def judge(
    registration: Node | None, controller: Node | None, broker_id: int, address: str, began: float
) -> tuple[list[tuple[str, int]], str]:
    """Which nodes to delete, as (path, version), and the sentence that says so, or why none.

    `address` is the dead broker's "host:port"; `began` is when this command began, in seconds
    since 1970 by the clock of this host, which is the one that the broker registered with.
    """
    path = f"/brokers/ids/{broker_id}"
    if registration is None:
        return [], f"broker {broker_id} is not registered, nothing to do"
    try:
        content = json.loads(registration.data)
        endpoints = [str(endpoint).rpartition("://")[2] for endpoint in content["endpoints"]]
        registered = int(content["timestamp"]) / 1000
    except (ValueError, KeyError, TypeError) as error:
        return [], f"left {path} alone: its content is not a broker's registration ({error!r})"
    if address not in endpoints:
        return [], f"left {path} alone: it is {', '.join(endpoints)}, this broker was {address}"
    if registered > began:
        later = registered - began
        return [], (
            f"left {path} alone: made {later:.1f} s after this command began, by a newer process "
            "(or the clock was set back)"
        )
    deletions = [(path, registration.version)]
    if controller is not None and _is_controller(controller, registration, broker_id):
        deletions.append(("/controller", controller.version))
        return deletions, f"deregistered broker {broker_id}, which was the controller"
    return deletions, f"deregistered broker {broker_id}"


def deregister(
    servers: list[str], broker_id: int, address: str, began: float, deadline: float
) -> tuple[bool, str]:
    """Try the servers in their order, again and again until `deadline` (time.monotonic()).

    True where nothing of this broker is registered any more; and a sentence.
    """
    if reason := _may_live(address):
        return False, f"left broker {broker_id} registered: {reason}"
    seen = "no server was asked"
    while time.monotonic() < deadline:
        for server in servers:
            try:
                left = max(0.05, min(PATIENCE, deadline - time.monotonic()))
                if not questions.zookeeper_mode(server, left):
                    seen = f"{server} does not serve"
                    continue
                return deregister_at(server, broker_id, address, began)
            except _client_errors() as error:
                seen = f"{server}: {str(error) or type(error).__name__}"
        time.sleep(0.05)
    return False, f"broker {broker_id} stays registered until its session ends: {seen}"


def deregister_at(server: str, broker_id: int, address: str, began: float) -> tuple[bool, str]:
    """As deregister, of a broker that is known to be dead, through one server. Raises OSError and
    kazoo's errors.
    """
    client = clients.zookeeper([server], timeout=PATIENCE)
    client.start(timeout=PATIENCE)
    try:
        registration = _node(client, f"/brokers/ids/{broker_id}")
        controller = _node(client, "/controller")
        deletions, sentence = judge(registration, controller, broker_id, address, began)
        if not deletions:
            return registration is None, sentence
        transaction = client.transaction()
        for path, version in deletions:
            transaction.delete(path, version)
        refused = [result for result in transaction.commit() if isinstance(result, Exception)]
        if refused:
            # Somebody was faster: most likely the session ended. Look again.
            raise ConnectionError(f"the registration changed meanwhile ({refused[0]!r})")
        return True, f"{sentence} ({time.time() - began:.2f} s, through {server})"
    finally:
        client.stop()


def _node(client: KazooClient, path: str) -> Node | None:
    from kazoo.exceptions import NoNodeError

    try:
        data, stat = client.get(path)
    except NoNodeError:
        return None
    return Node(data, stat.version, stat.ephemeralOwner)


def _is_controller(controller: Node, registration: Node, broker_id: int) -> bool:
    try:
        number = json.loads(controller.data)["brokerid"]
    except (ValueError, KeyError, TypeError):
        return False
    return bool(number == broker_id and controller.session == registration.session)


def _may_live(address: str) -> str:
    """Why a process may still hold "host:port"; "" where the connection is refused."""
    try:
        clients.connection(address, PATIENCE).close()
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return ""
        return f"whether {address} still listens cannot be told ({error})"
    return f"something listens on {address}; stop kafka.service first"


def _client_errors() -> tuple[type[BaseException], ...]:
    from kazoo.exceptions import KazooException
    from kazoo.handlers.threading import KazooTimeoutError

    return (OSError, KazooException, KazooTimeoutError)


def _give_up(broker_id: int, deadline: float, code: int) -> None:
    say(
        f"deregister: gave up after {deadline:g} s: broker {broker_id} stays registered until its "
        "session ends",
        4,
    )
    sys.stderr.flush()
    os._exit(code)
