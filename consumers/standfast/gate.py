"""Keep a server from starting on a damaged copy while that copy could become everybody's.

  standfast gate kafka       before a broker: where a copy is missing, cut short or damaged it waits
                             until others lead that partition; then Kafka refills it
  standfast gate zookeeper   before a voter: damaged data are put aside once the others serve
                             without it; it starts empty, and its leader sends it everything. One
                             that a last stand left out does not start: fab rejoin brings it back

Exit codes: 0 it may start; 1 it must not, and why; systemd tries again for ever.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from standfast import clients, ensemble, questions, registered, zookeeperdata
from standfast.copies import Data, Fault
from standfast.supervision import Sparing, alarm, say

if TYPE_CHECKING:
    import argparse

    from kazoo.client import KazooClient

PATIENCE = 2.0  # seconds for one answer
QUICK = 1.0  # seconds for an answer that every start waits for: one who lives needs 0.01
LEFT_OUT = 20.0  # seconds that a voter waits to be of the ensemble before it says that it is not
EVERY = 1.0  # seconds between two looks


@dataclass(frozen=True)
class Mine:
    """Every partition by name: whether this broker is in its in-sync set, whether its topic is
    compacted, and whether it is flushed record by record.
    """

    in_sync: dict[str, bool] = field(default_factory=dict)
    compacted: dict[str, bool] = field(default_factory=dict)
    flushed: dict[str, bool] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="kafka|zookeeper")
    kafka = kinds.add_parser("kafka", help="before a broker starts")
    kafka.add_argument("--zookeeper", required=True, metavar="HOST:PORT,…", help="the ensemble")
    kafka.add_argument("--broker-id", required=True, type=int, metavar="N")
    kafka.add_argument("--flush", action="store_true", help="each record is flushed by default")
    whole = "where this file lies every segment is read; it is removed then"
    kafka.add_argument("--whole", type=Path, metavar="FILE", help=whole)
    voter = kinds.add_parser("zookeeper", help="before a voter starts")
    voter.add_argument("--log", required=True, type=Path, metavar="DIR", help="its dataLogDir")
    voter.add_argument("--others", required=True, metavar="HOST:PORT,…", help="the other voters")
    voter.add_argument("--id", required=True, type=int, metavar="N", help="its number")
    for one in (kafka, voter):
        one.add_argument("--data", required=True, type=Path, metavar="DIR")
        put = "where what is damaged is moved to"
        one.add_argument("--aside", required=True, type=Path, metavar="DIR", help=put)
        bound = "bounds each wait, not the reading of the data (default: 60)"
        one.add_argument("--deadline", type=float, default=60.0, metavar="SECONDS", help=bound)


def run(args: argparse.Namespace) -> int:
    """0 where the server may start."""
    return kafka(args) if args.kind == "kafka" else zookeeper(args)


# --- a broker ---


def kafka(args: argparse.Namespace) -> int:
    """The gate before a broker."""
    servers = [server for server in args.zookeeper.split(",") if server]
    everything = bool(args.whole and args.whole.exists())
    client = clients.zookeeper(servers, timeout=6.0, steadfast=True)
    client.start_async()

    def ask() -> Mine:
        return partitions(client, args.broker_id, args.flush)

    try:
        mine = _asked(ask, time.monotonic() + args.deadline)
        if isinstance(mine, str):
            say(f"gate: ZooKeeper does not say which copies are in sync ({mine}): no start yet", 4)
            return 1
        data, saying = Data(args.data), Sparing(args.deadline)
        faults = _faults(data, mine, everything)
        # From here: what was read may be large, and others may have taken over meanwhile.
        deadline = time.monotonic() + args.deadline
        while held := [fault for fault in faults if mine.in_sync.get(fault.partition)]:
            if time.monotonic() >= deadline:
                alarm("gate-kafka", _refusal(args.broker_id, held))
                return 1
            if saying.now("held", _some(held)):
                say(f"gate: waits until others lead: {_some(held)}", 4)
            time.sleep(EVERY)
            again = _asked(ask, deadline)
            mine = mine if isinstance(again, str) else again
    finally:
        client.stop()
    for fault in faults:
        alarm("gate-kafka", f"mended: {data.mend(fault, args.aside)}")
    if everything:
        args.whole.unlink()
        say(f"gate: every segment was read, {len(faults)} copies were damaged", 5)
    return 0


def partitions(client: KazooClient, broker_id: int, flush: bool) -> Mine:
    """What ZooKeeper says of this broker's copies; `flush` is what holds where a topic does not
    say. Raises registered.errors(), also where a topic goes while it is read: ask again.
    """
    from kazoo.exceptions import NoNodeError

    if not client.connected:
        raise ConnectionError("not connected to any that serves")
    client.sync_async("/brokers").get(timeout=PATIENCE)
    if client.exists_async("/brokers/topics").get(timeout=PATIENCE) is None:
        return Mine()  # no broker ever started here
    try:
        return _partitions(client, broker_id, flush)
    except NoNodeError as error:
        raise NoNodeError("a topic was deleted while it was read") from error


def _partitions(client: KazooClient, broker_id: int, flush: bool) -> Mine:
    states = registered.states(client, PATIENCE)
    asked = {name: client.get_async(f"/config/topics/{name}") for name in states}
    mine = Mine()
    for topic, of in states.items():
        own = json.loads(asked[topic].get(timeout=PATIENCE)[0]).get("config", {})
        for number, state in of.items():
            name = f"{topic}-{number}"
            mine.in_sync[name] = broker_id in state.isr
            mine.compacted[name] = "compact" in own.get("cleanup.policy", "delete")
            mine.flushed[name] = own["flush.messages"] == "1" if "flush.messages" in own else flush
    return mine


def _faults(data: Data, mine: Mine, everything: bool) -> list[Fault]:
    """Of the copies that are in sync, and of those that lie here without being so."""
    names = {name for name, in_sync in mine.in_sync.items() if in_sync}
    names |= set(data.partitions()) & mine.in_sync.keys()
    found = [
        data.fault(name, mine.compacted[name], mine.flushed[name], everything)
        for name in sorted(names)
    ]
    return [fault for fault in found if fault is not None]


def _refusal(broker_id: int, held: list[Fault]) -> str:
    return (
        f"broker {broker_id} must not start: {len(held)} of its copies are damaged and it could "
        f"lead with them: {_some(held)}; start the other brokers first: they take over, and these "
        "copies are refilled"
    )


def _some(faults: list[Fault], most: int = 3) -> str:
    more = f" and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(map(str, faults[:most])) + more


# --- a voter ---


def zookeeper(args: argparse.Namespace) -> int:
    """The gate before a voter."""
    places = [args.data / "version-2", args.log / "version-2"]
    if begun := zookeeperdata.unborn(places[1]):
        args.aside.mkdir(parents=True, exist_ok=True)
        begun.rename(args.aside / f"{begun.name}-{time.strftime('%Y%m%dT%H%M%S')}")
        say(f"gate: {begun} was begun and never flushed: moved to {args.aside}", 4)
    others = [other for other in args.others.split(",") if other]
    why = zookeeperdata.fault(*places)
    if not why:
        return _of_the_ensemble(args, others, any(place.exists() for place in places))
    deadline = time.monotonic() + args.deadline  # from here: what was read may be large
    say(f"gate: {why}: waits until the others serve without it", 4)
    while not quorum(others):
        if time.monotonic() >= deadline:
            alarm(
                "gate-zookeeper",
                f"this voter must not start: {why}; start the others first: once they serve, "
                "its data are put aside and it gets theirs",
            )
            return 1
        time.sleep(EVERY)
    to = args.aside / time.strftime("%Y%m%dT%H%M%S")
    for place in dict.fromkeys(places):
        if place.exists():
            (to / place.parent.name).mkdir(parents=True, exist_ok=True)
            place.rename(to / place.parent.name / place.name)
    alarm("gate-zookeeper", f"{why}; its data were moved to {to}, it gets its leader's")
    return 0


def _of_the_ensemble(args: argparse.Namespace, others: list[str], holds: bool) -> int:
    """1 where the others serve without this voter, on purpose: its data are from before that, and
    with other such voters it would be an ensemble of its own, beside theirs. Those that take it in
    serve with all the others of its record already; a later last stand does not.

    It is noted on the disk: the one that serves may be away for a moment, or off.
    """
    places = ensemble.Places()
    record = places.record()
    if not holds:
        return 0
    mine = record.voters if record is not None and args.id in record.voters else ()
    partners = {voter for voter in mine if voter != args.id}
    deadline = time.monotonic() + min(args.deadline, LEFT_OUT)
    where = "another"
    while True:
        serving = ensemble.serving(others, QUICK)
        without = {at: of for at, of in serving.items()
                   if args.id not in of and (not partners or partners - of)}  # fmt: skip
        if without:
            where, members = next(iter(without.items()))
            where += f" (voters {' '.join(map(str, sorted(members)))})"
            if not places.left_out.exists():
                ensemble.leave_out(places)
        elif not places.left_out.exists():
            return 0
        if time.monotonic() >= deadline:
            alarm(
                "gate-zookeeper",
                f"voter {args.id} must not start: since a last stand {where} serves without it; "
                f"fab rejoin brings it back. Only where that ensemble is gone for good: "
                f"rm {places.left_out}",
            )
            return 1
        time.sleep(EVERY)


def quorum(others: list[str]) -> bool:
    """Whether the other voters serve without this one: a leader, and a majority with it."""
    modes = []
    for address in others:
        try:
            modes.append(questions.zookeeper_mode(address, PATIENCE))
        except OSError:
            continue
    serving = [mode for mode in modes if mode in ("leader", "follower")]
    return "leader" in serving and len(serving) >= (len(others) + 1) // 2 + 1


def _asked(ask: Callable[[], Mine], deadline: float) -> Mine | str:
    """The first answer, or why there was none until the deadline."""
    while True:
        try:
            return ask()
        except registered.errors() as error:
            if time.monotonic() >= deadline:
                return str(error) or type(error).__name__
        time.sleep(0.05)
