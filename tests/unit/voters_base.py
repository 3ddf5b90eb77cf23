"""Voters that answer on ports of this machine, as ZooKeeper 3.9 answers its four-letter words."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

NOT_SERVING = "This ZooKeeper instance is not currently serving requests\n"


def members(*numbers: int) -> str:
    """What a voter that serves with these voters answers to `conf`."""
    lines = [f"server.{n}=10.0.0.{n}:2888:3888:participant" for n in numbers]
    head = ["clientPort=2181", "dataDir=/var/lib/zookeeper/data/version-2", "serverId=2"]
    return "\n".join([*head, "peerType=0", "membership: ", *lines, "version=0"])


def mode(name: str) -> str:
    """What a voter in this mode answers to `srvr`."""
    return f"Zookeeper version: 3.9.5\nZxid: 0x300000010\nMode: {name}\nNode count: 5\n"


@contextmanager
def voter(conf: str = NOT_SERVING, srvr: str = NOT_SERVING) -> Iterator[str]:
    """The address of a voter that gives these answers."""
    answers: Mapping[bytes, str] = {b"conf": conf, b"srvr": srvr}

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(answers[self.request.recv(4)].encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        serve: dict[str, Any] = {"poll_interval": 0.01}
        threading.Thread(target=server.serve_forever, kwargs=serve, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@contextmanager
def silent() -> Iterator[str]:
    """The address of one that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def refusing() -> Iterator[str]:
    """An address of this machine at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"
