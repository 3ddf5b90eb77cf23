"""What `fab last-stand` and `fab rejoin` have in common: a look at every voter, steps on them."""

from __future__ import annotations

import getpass
import json
import platform
import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import NoReturn

import connect
from cluster.model import Cluster, Host, Voter
from cluster.narrow import Refused, Sight, sight
from cluster.observed import Narrowed
from standfast import questions

LOOK = 20.0  # seconds for a machine to read its ZooKeeper data
STEP = 120.0  # seconds for one step on a machine: a voter is stopped, its data copied
PORT = 1.0  # seconds for a machine to answer or refuse at a port
SERVING = 60.0  # seconds for a voter to serve after its start
EVERY = 0.5


def look(cluster: Cluster, after: int | None = None, at: int | None = None) -> dict[str, Sight]:
    """Every voter's machine, all at once. `after`: name the changes that it holds after that
    transaction; `at`: tell the checksum of this one.
    """

    def one(name: str) -> Sight:
        return _look(cluster, cluster.voters[name], after, at)

    found = connect.each(cluster.voters, one)
    return {n: s if isinstance(s, Sight) else Sight(complaint=str(s)) for n, s in found.items()}


def _look(cluster: Cluster, voter: Voter, after: int | None, at: int | None) -> Sight:
    ports = _ports(cluster, voter)
    places = [f"{voter.address}:{port}" for port in ports]
    heard = questions.machines_that_answer(places, PORT)
    answers = frozenset(int(place.rpartition(":")[2]) for place in heard)
    if not answers:
        return Sight(complaint="it answers to nothing")
    others = {
        f"{v.address}:{cluster.ports.zookeeper_election}": name
        for name, v in cluster.voters.items()
        if name != voter.name
    }
    words = ["look", "--others", ",".join(others)]
    if after is not None:
        words += ["--after", str(after)]
    if at is not None:
        words += ["--at", str(at)]
    try:
        return sight(json.loads(step(voter.name, *words, seconds=LOOK)), others, answers)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Sight(complaint=str(error).removeprefix(f"{voter.name}: "), answers=answers)


def _ports(cluster: Cluster, voter: Voter) -> list[int]:
    ports = cluster.ports
    mine = [ports.zookeeper, ports.zookeeper_peer, ports.zookeeper_election]
    return [*mine, ports.kafka] if isinstance(voter, Host) else mine


def step(host: str, *words: str, seconds: float = STEP) -> str:
    """`standfast ensemble …` on a machine; what it prints. Raises OSError."""
    line = shlex.join(["standfast", "ensemble", *words])
    return connect.run(host, f"bash -lc {shlex.quote(line)}", seconds)


def narrow(cluster: Cluster, host: str, record: Narrowed) -> None:
    """Start a machine's voter with the record's voters alone. Raises OSError."""
    step(host, "narrow", "--record", json.dumps(asdict(record)))


def serves(cluster: Cluster, host: str, voters: Iterable[int]) -> None:
    """Wait until a machine's voter serves with exactly these voters. Raises OSError."""
    voter, wanted = cluster.voters[host], frozenset(voters)
    address = f"{voter.address}:{cluster.ports.zookeeper}"

    def there() -> str:
        try:
            members = questions.zookeeper_members(address, PORT)
        except OSError as error:
            return f"it does not answer ({error})"
        return "" if members == wanted else f"it serves with {sorted(members) or 'nobody'}"

    until(there, SERVING, f"ZooKeeper on {host} to serve with the voters {sorted(wanted)}")


def serving(cluster: Cluster) -> list[str]:
    """The voters that serve, as "host:port": a client that is given a dead one's address may wait
    for it. Raises OSError where none does.
    """

    def mode(name: str) -> str:
        address = f"{cluster.voters[name].address}:{cluster.ports.zookeeper}"
        return address if questions.zookeeper_mode(address, PORT) else ""

    found = [at for at in connect.each(cluster.voters, mode).values() if isinstance(at, str) and at]
    if not found:
        raise OSError("no ZooKeeper serves: there is no quorum, or none is in reach")
    return found


def until(there: Callable[[], str], seconds: float, what: str) -> None:
    """Wait until `there` says nothing any more. Raises OSError, with what it said last."""
    deadline = time.monotonic() + seconds
    while why := there():
        if time.monotonic() >= deadline:
            raise OSError(f"waited {seconds:.0f} s in vain for {what}: {why}")
        time.sleep(EVERY)


def refuse(task: str, refused: Refused) -> NoReturn:
    """Say why nothing is done, and what to do next; exit 1."""
    connect.die(f"{task}: refused, and nothing was changed: {refused.why}\nnext: {refused.next}")


def me() -> str:
    """Who does it, for the record."""
    return f"{getpass.getuser()}@{platform.node()}"


def chosen(cluster: Cluster, task: str, host: str, of: Iterable[str]) -> None:
    """What there is no such host of ends it with 2."""
    known = list(of)
    if host not in known:
        connect.die(f"{task}: {host}: no such host; there are {', '.join(known)}", code=2)
