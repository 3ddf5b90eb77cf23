"""`fab rejoin HOST`: bring a machine back into an ensemble that a last stand narrowed.

One at a time. Its ZooKeeper data are put aside, since they are from before: it starts empty and
gets its leader's. Kafka's data are kept: its broker cuts them back to where the leaders' epochs
part, and fetches the rest. The last one restores the inventory's ensemble.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from rich.console import Console

import connect
import tasks
from cluster.model import Cluster, Host
from cluster.narrow import Refused, Sight, following, record_of, rejoin
from standfast import questions
from tasks import ensemble
from tasks.lock import Held, Lock

IN_SYNC = 600.0  # seconds for a broker to have fetched what it missed


def main(host: str, discard: bool) -> int:
    """Bring one back; returns the exit code: 0 it is back, 1 not, 2 asked nonsense, 130 Ctrl-C."""
    cluster, console = connect.begin("rejoin of"), tasks.console()
    ensemble.chosen(cluster, "rejoin", host, cluster.voters)
    try:
        seen = ensemble.look(cluster)
        with Lock(name for name, at in seen.items() if not at.complaint):
            return _rejoin(cluster, console, host, discard, seen)
    except Held as error:
        connect.die(f"rejoin: {error}")
    except OSError as error:
        connect.die(f"rejoin: {error}\nnext: fab rejoin {host} goes on from here")
    except KeyboardInterrupt:
        connect.die(f"rejoin: interrupted; fab rejoin {host} goes on from here", code=130)


def _rejoin(
    cluster: Cluster, console: Console, host: str, discard: bool, seen: Mapping[str, Sight]
) -> int:
    began = time.monotonic()
    if record := record_of(seen):
        seen = ensemble.look(cluster, after=record.zxid, at=seen[host].logged)
    plan = rejoin(cluster, host, seen, discard)
    if isinstance(plan, Refused):
        ensemble.refuse("rejoin", plan)
    number = cluster.voters[host].zookeeper_id
    numbers = tuple(sorted({*plan.record.voters, number}))
    wider = replace(plan.record, voters=numbers)
    # While those that serve restart they are out of reach: no gate may find nobody then.
    for name, at in seen.items():
        if not at.complaint and name != host and name not in plan.voters:
            ensemble.step(name, "leave-out")
    if plan.wipes:
        if plan.lost:
            console.print(f"{host}: {len(plan.lost)} changes that only it holds are put aside")
        console.print(f"{host}: its ZooKeeper data are put aside")
        # Of two voters both must vote: the one with the tree leads, and gives it to the other.
        ensemble.step(host, "wipe", *(["--vote"] if len(plan.voters) == 1 else []))
    # It first, then those that follow, the leader last: at every moment a majority of the old
    # ensemble and one of the new share a voter.
    order = sorted(plan.voters, key=lambda name: seen[name].mode == "leader")
    moved: list[str] = []
    try:
        for name in [host, *order]:
            at = seen[name]
            there = at.members == frozenset(numbers) and not (name == host and plan.wipes)
            if there and (at.record == wider or plan.ends):
                continue
            console.print(f"{name}: ZooKeeper starts with {len(numbers)} voters")
            ensemble.narrow(cluster, name, wider)
            moved.append(name)
            # It follows with the tree before the others count it, but where one alone has it: then
            # both are needed.
            if name != host or len(order) > 1:
                ensemble.serves(cluster, name, numbers)
        ensemble.serves(cluster, host, numbers)
    except OSError:
        _put_back(cluster, console, [n for n in moved if n != host], seen)
        raise
    console.print(f"{host}: its voter is back ({time.monotonic() - began:.0f} s)")
    if isinstance(cluster.voters[host], Host):
        _broker(cluster, console, host)
    if plan.ends:
        for name in cluster.voters:
            ensemble.step(name, "whole")
        console.print("the ensemble is the inventory's again: the last stand is over")
    console.print(f"next: {following(cluster, numbers)}")
    return 0


def _put_back(
    cluster: Cluster, console: Console, moved: list[str], seen: Mapping[str, Sight]
) -> None:
    """Those that serve no more with the one that came go on with the ensemble that they had."""
    for name in moved:
        if record := seen[name].record:
            console.print(f"{name}: goes back to {len(record.voters)} voters")
            try:
                ensemble.narrow(cluster, name, record)
            except OSError as error:
                console.print(f"{name}: {error}")


def _broker(cluster: Cluster, console: Console, host: str) -> None:
    """Wait until a host's broker runs and is in sync in every partition that it has a copy of."""
    began = time.monotonic()
    units = list(cluster.units(host).values())
    connect.run(host, f"systemctl start --no-block {' '.join(units)}")
    number = cluster.hosts[host].broker_id
    addresses = [f"{h.address}:{cluster.ports.kafka}" for h in cluster.hosts.values()]

    def there() -> str:
        for address in addresses:
            try:
                found = questions.kafka_partitions(address, ensemble.PORT)
            except OSError:
                continue
            mine = {name: p for name, p in found.items() if number in p.replicas}
            out = [name for name, p in mine.items() if number not in p.isr]
            if not found:
                continue
            return f"{len(out)} of {len(mine)} copies are not in sync yet" if out else ""
        return "no broker answers"

    ensemble.until(there, IN_SYNC, f"the broker on {host} to be in sync")
    console.print(f"{host}: its broker is in sync ({time.monotonic() - began:.0f} s)")
