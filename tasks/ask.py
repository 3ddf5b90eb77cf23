"""Asks a cluster everything at once: its hosts over SSH, its servers over their own protocols.

Each question ends in time, whatever is dead, and its answer is plain JSON (cluster.snapshot says of
which shape): what was seen, or {"complaint": why it could not be}.
"""

from __future__ import annotations

import json
import logging
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

import connect
from cluster.model import Cluster
from cluster.observed import BARE
from cluster.render import FileSet
from cluster.snapshot import NONSENSE, Answer, asked
from tasks.askkafka import PATIENCE, broker, complaint, groups, left, overrides, topics

LOOK = Path(__file__).with_name("look.py")
# What the libraries say of a server that is away, the answers say better.
for library in ("kafka", "zookeeper"):
    logging.getLogger(f"standfast.{library}").addHandler(logging.NullHandler())
    logging.getLogger(f"standfast.{library}").propagate = False
EVERYTHING = ("voters", "registry", "brokers", "topics", "machines", "groups", "overrides")


def everything(
    cluster: Cluster,
    sets: Mapping[str, Sequence[FileSet]],
    parts: Iterable[str] = EVERYTHING,
    disks: bool = True,
    seconds: float = 20.0,
) -> dict[str, Any]:
    """The answers of the whole cluster, or of some `parts` of it, within `seconds`. `sets` are the
    rendered ones of each machine that is to be looked at.

    What the servers know together is asked of those that answer: a client that is given a dead
    one's address may wait for it.
    """
    until = time.monotonic() + seconds
    quick = min(until, time.monotonic() + PATIENCE)
    pending: dict[tuple[str, str], Future[Answer]] = {}
    parts = tuple(parts)

    def begin(part: str, name: str, question: Callable[[], Answer]) -> None:
        pending[part, name] = _begun(question)

    if "machines" in parts:
        for name, mine in sets.items():
            look_at = asked(cluster.machines[name], mine, disks=disks)
            begin("machines", name, lambda n=name, a=look_at: machine(n, a, seconds))
    if {"voters", "registry"} & set(parts):
        for name, v in cluster.voters.items():
            address = f"{v.address}:{cluster.ports.zookeeper}"
            begin("voters", name, lambda a=address: voter(a))
    if {"brokers", "topics", "groups", "overrides"} & set(parts):
        for name, h in cluster.hosts.items():
            address = f"{h.address}:{cluster.ports.kafka}"
            begin("brokers", name, lambda a=address: broker(a))
    voters = {n: pending[part, n] for part, n in pending if part == "voters"}
    brokers = {n: pending[part, n] for part, n in pending if part == "brokers"}

    def of_zookeeper() -> Answer:
        serving = _first(voters, lambda a: "zk_server_state" in a.get("mntr", ""), quick)
        if not serving:
            return complaint("no ZooKeeper serves: there is no quorum, or none is in reach")
        machines = [cluster.voters[name] for name in serving]
        return registry([f"{m.address}:{cluster.ports.zookeeper}" for m in machines], quick)

    def of_kafka(ask: Callable[[list[str], float], Answer]) -> Answer:
        answering = _first(brokers, lambda a: "brokers" in a, quick)
        if not answering:
            return complaint("no broker answers")
        hosts = [cluster.hosts[name] for name in answering]
        return ask([f"{h.address}:{cluster.ports.kafka}" for h in hosts], quick)

    def of_broker(name: str, number: int) -> Answer:
        answer = brokers[name].result()
        return answer if "complaint" in answer else of_kafka(lambda b, u: overrides(number, b, u))

    if "registry" in parts:
        begin("registry", "", of_zookeeper)
    if "topics" in parts:
        begin("topics", "", lambda: of_kafka(topics))
    if "groups" in parts:
        consumers = list(cluster.consumers.values())
        begin("groups", "", lambda: of_kafka(lambda b, u: groups(consumers, b, u)))
    if "overrides" in parts:
        for name, h in cluster.hosts.items():
            begin("overrides", name, lambda n=name, i=h.broker_id: of_broker(n, i))
    found: dict[str, Any] = {"at": time.time()}
    for (part, name), future in pending.items():
        if part not in parts:
            continue
        try:
            answer = future.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            answer = complaint(f"no answer within {seconds:g} s")
        if part == "groups" and "complaint" in answer:
            found |= {"groups": dict.fromkeys(cluster.consumers, answer), "ends": answer}
        elif part == "groups":
            found |= answer
        elif name:
            found.setdefault(part, {})[name] = answer
        else:
            found[part] = answer
    return found


def _begun(question: Callable[[], Answer]) -> Future[Answer]:
    """Ask in a thread that nobody has to wait for: the program may end before it does."""
    future: Future[Answer] = Future()

    def ask() -> None:
        try:
            future.set_result(question())
        except Exception as error:  # noqa: BLE001, as an executor does: for whoever asks
            future.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    return future


GRACE = 0.1  # seconds for the others to answer too, once the first did


def _first(
    pending: Mapping[str, Future[Answer]], good: Callable[[Answer], bool], until: float
) -> list[str]:
    """Who answered well, soon after the first that did. None by `until`: nobody."""
    waiting = set(pending.values())
    while waiting and (seconds := until - time.monotonic()) > 0:
        done, waiting = wait(waiting, seconds, FIRST_COMPLETED)
        if any(good(future.result()) for future in done):
            wait(waiting, GRACE)
            break
    return [name for name, f in pending.items() if f.done() and good(f.result())]


# --- ZooKeeper ---


def voter(address: str) -> Answer:
    """A voter's answers to `conf` and `mntr`."""
    try:
        return {
            "conf": connect.zookeeper_answer(address, "conf"),
            "mntr": connect.zookeeper_answer(address, "mntr"),
        }
    except OSError as error:
        return complaint(f"{address} does not answer ({error.strerror or error})")


def registry(addresses: list[str] | None = None, until: float | None = None) -> Answer:
    """What ZooKeeper holds of Kafka; only the voters at `addresses` are asked."""
    try:
        return {"nodes": connect.registry(left(until), addresses)}
    except OSError as error:
        return complaint(error)


# --- a machine ---


def machine(name: str, look_at: Mapping[str, Any], seconds: float = 20) -> Answer:
    """What tasks/look.py sees on a machine; `look_at` is cluster.snapshot.asked's."""
    try:
        return read(connect.run(name, command(look_at), seconds))
    except OSError as error:
        if "python3: command not found" in str(error):
            return complaint(BARE)
        return complaint(str(error).removeprefix(f"{name}: "))


def read(printed: str) -> Answer:
    """What tasks/look.py printed."""
    try:
        answer: Answer = json.loads(printed)
    except ValueError as error:
        return complaint(f"{NONSENSE} ({error})")
    return answer


def command(look_at: Mapping[str, Any]) -> str:
    """The command that looks at a machine, with the machine's own Python."""
    return f"python3 -c {shlex.quote(LOOK.read_text())} {shlex.quote(json.dumps(look_at))}"
