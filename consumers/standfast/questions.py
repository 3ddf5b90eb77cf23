"""Bounded questions to one server, over its own protocol: does it answer, and what does it say?

Each question opens a connection of its own, so that the server's acceptor is asked as well, and
ends within its time-out, whatever the server does. An answer that does not come, or makes no
sense, raises OSError (TimeoutError where the time ran out).
"""

from __future__ import annotations

import os
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from standfast import clients

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

# Kafka (LogManager.loadLogs) and ZooKeeper look at the directories in their data directories,
# never at a plain file beside them.
DISK_FILE = ".standfast-probe"

SERVING = ("leader", "follower", "standalone")
NOT_SERVING = "not currently serving requests"


@dataclass(frozen=True)
class Metadata:
    """What a broker knows of its cluster: brokers by id as "host:port", the controller's id."""

    brokers: dict[int, str]
    controller: int | None


@dataclass(frozen=True)
class Partition:
    """The brokers' ids of a partition; a leader of -1 is none."""

    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


def zookeeper_mode(address: str, timeout: float) -> str:
    """The mode in which the ZooKeeper at "host:port" serves: leader, follower or standalone.

    "" means that it answers but does not serve: it looks for a leader, or catches up with one.
    `timeout` in seconds.
    """
    text = _word(address, b"srvr", timeout)
    for line in text.splitlines():
        if line.startswith("Mode: "):
            mode = line.removeprefix("Mode: ").strip()
            return mode if mode in SERVING else ""
    if NOT_SERVING in text:
        return ""
    seen = text.strip().splitlines()
    # "srvr is not executed because it is not in the whitelist" comes this way too.
    raise ConnectionError(f"an answer to srvr that makes no sense: {(seen or ['nothing'])[0]!r}")


def zookeeper_members(address: str, timeout: float) -> frozenset[int]:
    """The voters, by number, of the ensemble in which the ZooKeeper at "host:port" serves; none
    where it serves nobody. `timeout` in seconds.
    """
    lines = _word(address, b"conf", timeout).splitlines()
    names = (line.partition("=")[0].removeprefix("server.") for line in lines if "server." in line)
    return frozenset(int(name) for name in names if name.isdigit())


def machines_that_answer(addresses: Sequence[str], timeout: float) -> list[str]:
    """Those "host:port" whose machine answers within `timeout` seconds; a refusal is an answer."""

    def answers(address: str) -> bool:
        try:
            clients.connection(address, timeout).close()
        except ConnectionError:
            return True
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(max(1, len(addresses))) as pool:
        found = zip(addresses, pool.map(answers, addresses), strict=True)
        return [address for address, answer in found if answer]


def _word(address: str, word: bytes, timeout: float) -> str:
    """The answer to a four-letter word."""
    with _asked(address, timeout) as (sock, deadline):
        sock.sendall(word)
        answer = b""
        while chunk := _received(sock, 65536, deadline):
            answer += chunk
    return answer.decode("utf-8", "replace")


def kafka_metadata(address: str, timeout: float) -> Metadata:
    """What the broker at "host:port" answers to a Metadata request for no topic.

    The request passes through the broker's network threads, its queue and its request handlers,
    so an answer says that all three move. `timeout` in seconds.
    """
    return parse_metadata(_metadata(address, timeout, topics=0))[0]


def kafka_partitions(address: str, timeout: float) -> dict[str, Partition]:
    """Every partition ("trades-0") as the broker at "host:port" knows it; `timeout` in seconds."""
    return parse_metadata(_metadata(address, timeout, topics=-1))[1]


def _metadata(address: str, timeout: float, topics: int) -> bytes:
    # Request header 1: api key 3 (Metadata), version 1, correlation id, client id; then the
    # number of topics: 0 for none of them, -1 (null) for all.
    client = b"standfast-probe"
    body = struct.pack(f">hhih{len(client)}si", 3, 1, CORRELATION, len(client), client, topics)
    with _asked(address, timeout) as (sock, deadline):
        sock.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", _exactly(sock, 4, deadline))
        if not 4 <= size <= LARGEST:
            raise ConnectionError(f"an answer of {size} bytes: not Kafka's protocol")
        return _exactly(sock, size, deadline)


CORRELATION = 0x5F
LARGEST = 1 << 26  # bytes: of an answer about some hundred thousand partitions


def parse_metadata(answer: bytes) -> tuple[Metadata, dict[str, Partition]]:
    """A Metadata response of version 1, without its leading size; OSError if it is none."""
    try:
        correlation, count = struct.unpack_from(">ii", answer)
        if correlation != CORRELATION:
            raise ConnectionError(f"the answer to another request ({correlation})")
        at = 8
        brokers: dict[int, str] = {}
        for _ in range(count):
            number, length = struct.unpack_from(">ih", answer, at)
            at += 6
            host = answer[at : at + length].decode("utf-8")
            at += length
            port, rack = struct.unpack_from(">ih", answer, at)
            at += 6 + max(rack, 0)
            brokers[number] = f"{host}:{port}"
        (controller,) = struct.unpack_from(">i", answer, at)
        partitions = _partitions(answer, at + 4)
    except (struct.error, UnicodeDecodeError) as error:
        raise ConnectionError(f"a Metadata answer that makes no sense: {error}") from error
    return Metadata(brokers, controller if controller >= 0 else None), partitions


def _partitions(answer: bytes, at: int) -> dict[str, Partition]:
    """The topics' part of the answer, from byte `at` on."""
    found: dict[str, Partition] = {}
    (topics,) = struct.unpack_from(">i", answer, at)
    at += 4
    for _ in range(topics):
        _error, length = struct.unpack_from(">hh", answer, at)
        topic = answer[at + 4 : at + 4 + length].decode("utf-8")
        at += 4 + length + 1  # and whether it is internal
        (count,) = struct.unpack_from(">i", answer, at)
        at += 4
        for _ in range(count):
            _error, number, leader, replicas = struct.unpack_from(">hiii", answer, at)
            at += 14
            ids = struct.unpack_from(f">{replicas}i", answer, at)
            at += 4 * replicas
            (in_sync,) = struct.unpack_from(">i", answer, at)
            isr = struct.unpack_from(f">{in_sync}i", answer, at + 4)
            at += 4 + 4 * in_sync
            found[f"{topic}-{number}"] = Partition(leader, ids, isr)
    return found


def disk_write(directory: str) -> None:
    """Write and fsync a few bytes in `directory`; returns when the disk has them.

    Not bounded (the kernel does not let go of a process that waits for a disk): ask from a
    thread, and look at how long it has been asking.
    """
    # Root writes where another user may: never through a link that was put there.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(Path(directory) / DISK_FILE, flags, 0o644)
    try:
        os.write(file, f"{time.time():020.6f}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _asked(address: str, timeout: float) -> Iterator[tuple[socket.socket, float]]:
    deadline = time.monotonic() + timeout
    try:
        with clients.connection(address, timeout) as sock:
            yield sock, deadline
    except TimeoutError as error:
        raise TimeoutError(f"no answer within {timeout:.2g} s") from error
    except OSError as error:
        # Without "[Errno 111]": these words end up in sentences for people.
        raise ConnectionError(error.strerror or str(error)) from error


def _received(sock: socket.socket, most: int, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    sock.settimeout(left)
    return sock.recv(most)


def _exactly(sock: socket.socket, size: int, deadline: float) -> bytes:
    received = b""
    while len(received) < size:
        chunk = _received(sock, size - len(received), deadline)
        if not chunk:
            raise ConnectionError("the connection was closed before the answer came")
        received += chunk
    return received
