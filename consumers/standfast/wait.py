"""Wait until this host's Kafka or ZooKeeper serves.

ZooKeeper serves when it leads or follows; Kafka when its broker answers and is registered, as its
own answer to a Metadata request says. Ends with 0 then, or with 1 and a sentence that says what
was waited for, and what was seen last.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from standfast import local, questions
from standfast.errors import Failure, UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from standfast.local import Server

PAUSE = 0.2  # seconds between two questions
PATIENCE = 3.0  # seconds for the answer to one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="probe.toml")
    parser.add_argument("server", choices=["kafka", "zookeeper"])
    parser.add_argument("--deadline", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument(
        "--all-brokers",
        action="store_true",
        help="until all brokers of the cluster are registered, and the others answer too",
    )


def run(args: argparse.Namespace) -> int:
    """0 when the server serves; Failure when it does not within the deadline."""
    host = local.read(args.config)
    server = host.servers.get(args.server)
    if server is None:
        raise UserError(str(args.config), f"has no section [{args.server}]")
    if args.all_brokers and args.server != "kafka":
        raise UserError("--all-brokers", "goes with kafka, not with zookeeper")
    began = time.monotonic()
    wait_until(lambda timeout: lacking(server, args.all_brokers, timeout), server, args.deadline)
    print(f"{server.unit} serves on {server.address} ({time.monotonic() - began:.1f} s)")
    return 0


def wait_until(look: Callable[[float], str], server: Server, deadline: float) -> None:
    """Call `look(timeout)` until it lacks nothing; Failure after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        left = end - time.monotonic()
        try:
            lacks = look(min(PATIENCE, max(left, PAUSE)))
        except OSError as error:
            lacks = str(error)
        if not lacks:
            return
        if time.monotonic() + PAUSE > end:
            raise Failure(
                f"{server.kind} on {server.address}",
                f"waited {deadline:g} s for it to serve, last seen: {lacks}; "
                f"look at: journalctl -u {server.unit}",
            )
        time.sleep(PAUSE)


def lacking(server: Server, all_brokers: bool, timeout: float) -> str:
    """What is still lacking, in words; "" where the server serves. OSError: no answer."""
    if server.kind == "zookeeper":
        mode = questions.zookeeper_mode(server.address, timeout)
        return "" if mode else "it answers, but has neither a leader nor is one"
    known = questions.kafka_metadata(server.address, timeout)
    if server.broker_id not in known.brokers:
        return f"broker {server.broker_id} is not registered, {_listed(known)}"
    if known.brokers[server.broker_id] != server.address:
        return f"broker {server.broker_id} is registered as {known.brokers[server.broker_id]}"
    if not all_brokers:
        return ""
    if known.controller is None:
        return "the cluster has no controller"
    missing = sorted(set(server.peers) - set(known.brokers.values()))
    if missing:
        return f"not registered: {', '.join(missing)}; {_listed(known)}"
    for peer in server.peers:
        try:
            questions.kafka_metadata(peer, timeout)
        except OSError as error:
            return f"{peer} is registered, but does not answer: {error}"
    return ""


def _listed(known: questions.Metadata) -> str:
    brokers = ", ".join(f"{number} ({at})" for number, at in sorted(known.brokers.items()))
    return f"registered are {brokers or 'none'}"
