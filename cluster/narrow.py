"""Whom a last stand leaves ZooKeeper's ensemble to, and who may come back into it. Pure.

Where most voters are gone for good, or for too long, nobody elects a leader. The voters that are
left can be made an ensemble of their own, which begins an epoch of its own. What forks the data is
a second ensemble out of those that were left out: so all of these must be off, and each comes back
empty, one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cluster.model import Cluster, Host
from cluster.observed import Narrowed
from cluster.snapshot import narrowed
from cluster.stand import latest
from cluster.writes import listed

NAMED = 6  # changes that are named


@dataclass(frozen=True)
class Sight:
    """A voter's machine, seen now. Where it could be looked at (`complaint` is ""): its record, the
    `mode` and `members` it serves with, whether it `holds` data, why they are at `fault`, their
    last `epoch` and `zxid`, the last transaction that was `logged` (-1: none), the checksum of the
    one that was asked for (`at`), the `changes` they hold after the narrowed ensemble's beginning;
    which of the other voters answer it (`hears`, by name). `answers`: the ports at which it answers
    this controller, with a refusal too.
    """

    complaint: str = ""
    record: Narrowed | None = None
    mode: str = ""
    members: frozenset[int] = frozenset()
    holds: bool = False
    fault: str = ""
    epoch: int = -1
    zxid: int = -1
    logged: int = -1
    at: int | None = None
    changes: tuple[str, ...] = ()
    hears: frozenset[str] = frozenset()
    answers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Refused:
    """Why nothing is done, and what to do next."""

    why: str
    next: str


@dataclass(frozen=True)
class Narrow:
    """The voters that become the ensemble, those that must be off, what the data begin with."""

    voters: tuple[str, ...]
    dead: tuple[str, ...]
    epoch: int
    zxid: int


@dataclass(frozen=True)
class Widen:
    """`host` comes back into the ensemble of `voters` (without it); `wipes` whether its data are
    put aside first; `ends` whether that is the inventory's ensemble then.
    """

    host: str
    voters: tuple[str, ...]
    record: Narrowed
    wipes: bool
    ends: bool
    lost: tuple[str, ...] = ()


def sight(answer: Mapping[str, Any], names: Mapping[str, str], answers: frozenset[int]) -> Sight:
    """What `standfast ensemble look` printed; `names` are the voters' by "host:port"."""
    return Sight(
        record=narrowed(answer["record"]),
        mode=str(answer["mode"]),
        members=frozenset(answer["members"]),
        holds=bool(answer["holds"]),
        fault=str(answer["fault"]),
        epoch=int(answer["epoch"]),
        zxid=int(answer["zxid"]),
        logged=int(answer["logged"]),
        at=answer["at"],
        changes=tuple(answer["changes"]),
        hears=frozenset(names[at] for at in answer["hears"] if at in names),
        answers=answers,
    )


def record_of(seen: Mapping[str, Sight]) -> Narrowed | None:
    """The narrowed ensemble that is under way."""
    return latest(s.record for s in seen.values())


def elsewhere(record: Narrowed, seen: Mapping[str, Sight]) -> Refused | None:
    """Why a last stand that was interrupted is not brought to its end: meanwhile somebody serves
    with other voters than the record's.
    """
    serving = [n for n, s in seen.items() if s.mode and s.members != frozenset(record.voters)]
    if not serving:
        return None
    why = f"ZooKeeper serves, with other voters than the last stand's: {listed(serving)} says so"
    return Refused(f"{why}. To narrow it now would make a second ensemble beside it", "fab status")


def last_stand(
    cluster: Cluster, host: str, seen: Mapping[str, Sight], fenced: bool = False
) -> Narrow | Refused:
    """Whether the voters that are left may become an ensemble of their own; `host` is the one that
    the operator counts on. `fenced`: the fence commands were run: now none of the others may live.
    """
    left = [name for name, s in seen.items() if not s.complaint]
    dead = [name for name in seen if name not in left]
    serving = [name for name in left if seen[name].mode]
    if serving:
        why = f"ZooKeeper serves, with a quorum: {listed(serving)} says so"
        return Refused(f"{why}. No last stand is needed: the guardian does what is", "fab status")
    if host not in left:
        hosts = [name for name in left if name in cluster.hosts]
        there = f"those that can be are {listed(hosts)}" if hosts else "nor can any other host"
        why = f"{host} cannot be looked at ({seen[host].complaint}); {there}"
        return Refused(why, f"fab last-stand {hosts[0]}" if hosts else f"ssh {host}")
    ill = {name: seen[name].fault for name in left if seen[name].fault}
    empty = [name for name in left if not seen[name].holds]
    used = [name for name in left if name not in ill and name not in empty]
    if host not in used:
        what = ill.get(host) or "it holds no data"
        why = f"ZooKeeper's data on {host} cannot be used: {what}"
        return Refused(why, "switch another machine on: one whose data are whole must lead")
    if len(used) > len(cluster.voters) // 2:
        why = f"{listed(used)} are there, {len(used)} of {len(cluster.voters)}: enough for a quorum"
        return Refused(why, "fab status: it says why they have none")
    for name in dead:
        if cluster.voters[name].fence and not fenced:
            continue  # it will be off
        hearing = [other for other in left if name in seen[other].hears]
        if seen[name].answers or hearing:
            who = listed(["this controller", *hearing] if seen[name].answers else hearing)
            why = f"{name} lives: it answers {who}, and cannot be looked at: {seen[name].complaint}"
            return Refused(why, f"ssh {name}; mend it, or switch it off")
    newest = max(used, key=lambda name: (seen[name].epoch, seen[name].zxid))
    return Narrow(tuple(used), tuple(dead), seen[newest].epoch, seen[newest].zxid)


def rejoin(
    cluster: Cluster, host: str, seen: Mapping[str, Sight], discard: bool = False
) -> Widen | Refused:
    """Whether `host` may come back into a narrowed ensemble; the others were asked for the checksum
    of its last transaction. `discard`: what it holds that the ensemble never had may go.
    """
    record = record_of(seen)
    mine = seen[host]
    numbers = {v.zookeeper_id: name for name, v in cluster.voters.items()}
    if record is None:
        silent = [name for name, s in seen.items() if s.complaint]
        if silent:
            why = f"no last stand is known, and {listed(silent)} could not be asked"
            return Refused(why, "fab status")
        return Refused("no last stand is under way: nobody has to come back", "fab status")
    # Those that a command was interrupted at have the wider record, and do not serve with it yet.
    inside = tuple(numbers[n] for n in record.voters if n in numbers and numbers[n] != host)
    if mine.complaint:
        return Refused(f"{host} cannot be looked at: {mine.complaint}", f"switch {host} on")
    away = [name for name in inside if seen[name].complaint]
    if away:
        why = f"{listed(away)} cannot be looked at: what was written since lies there"
        return Refused(why, f"switch {listed(away)} on")
    of = record.voters
    everybody = tuple(sorted(numbers))
    if all(s.members == frozenset(everybody) for s in seen.values()):
        # A record that was left over: the ensemble is the inventory's.
        left = replace(record, voters=everybody)
        return Widen(host, tuple(n for n in seen if n != host), left, wipes=False, ends=True)
    settled = all(seen[name].members == frozenset(of) for name in inside)
    if cluster.voters[host].zookeeper_id in of and settled and mine.members == frozenset(of):
        return Widen(host, inside, record, wipes=False, ends=len(of) == len(cluster.voters))
    begun = (
        mine.record is not None
        and mine.record.since == record.since  # an earlier last stand's says nothing of this one
        and cluster.voters[host].zookeeper_id in mine.record.voters
    )
    if not begun and not any(seen[name].mode for name in inside):
        why = f"ZooKeeper does not serve on {listed(list(inside))}"
        return Refused(why, f"journalctl -u zookeeper.service on {listed(list(inside))}")
    if cluster.voters[host].zookeeper_id not in of and not settled:
        late = [
            n
            for n in inside
            if any(cluster.voters[n].zookeeper_id not in s.members for s in _serve(seen))
        ]
        which = next((n for n in late if seen[n].record), inside[-1])
        return Refused(f"the return of {which} was interrupted", f"fab rejoin {which}")
    if not begun:
        # It may follow the narrowed ensemble unasked: then these have its last transaction too.
        shared = mine.at is not None and any(seen[name].at == mine.at for name in inside)
        theirs = shared or mine.logged < 0
        if mine.mode and cluster.voters[host].zookeeper_id in mine.members and not theirs:
            who = listed([numbers[n] for n in sorted(mine.members) if n in numbers])
            why = (
                f"{host} serves in an ensemble of its own ({who}): two clusters take writes. Stop "
                f"the applications, and keep the disks of all: what {who} took is on theirs"
            )
            return Refused(why, "docs/two-in-the-morning.md, 5: an ensemble of its own")
        newer = mine.epoch > record.epoch
        if (newer or mine.changes) and not theirs and not discard:
            what = f"was in a later quorum (epoch {mine.epoch}, the last stand's began after "
            what += f"{record.epoch})" if newer else "holds changes that the last stand never had"
            more = f": {'; '.join(mine.changes[:NAMED])}" if mine.changes else ""
            why = (
                f"{host} {what}{more}. What was acknowledged on the strength of that would be lost"
            )
            copy = f"copy /var/lib/kafka of {host}; then " if host in cluster.hosts else ""
            after = f"{copy}fab rejoin {host} --discard"
            return Refused(why, after)
    size = len({*of, cluster.voters[host].zookeeper_id})
    ends = size == len(cluster.voters)
    return Widen(
        host, inside, record, wipes=not (begun and mine.holds), ends=ends, lost=mine.changes
    )


def _serve(seen: Mapping[str, Sight]) -> list[Sight]:
    return [s for s in seen.values() if s.mode]


def following(cluster: Cluster, members: Sequence[int]) -> str:
    """What to do after one came back, or a last stand began."""
    then = next_to_rejoin(cluster, members)
    host = then.rpartition(" ")[2]
    return f"when {host} is mended, switch it on, and: {then}" if then else "fab status"


def next_to_rejoin(cluster: Cluster, members: Sequence[int]) -> str:
    """The command that brings the next one back: a host before a witness; "" where all are in."""
    left = [v for v in cluster.voters.values() if v.zookeeper_id not in members]
    first = sorted(left, key=lambda v: not isinstance(v, Host))[:1]
    return "".join(f"fab rejoin {voter.name}" for voter in first)
