"""What a cluster that holds data is refused, each with why and what to do instead.

Pure: what is in use on the machines is compared with what the inventory asks for. Which values are
fixed, and the sentences, are data: cluster/catalogue/fixed.yml.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.catalogue import fixed, names
from cluster.due import texts
from cluster.fold import Told, folded
from cluster.live import SERVER, properties
from cluster.model import Cluster, Host, Voter, Witness
from cluster.observed import MachineSeen, SetSeen
from cluster.render import FileSet

ENSEMBLE = "zookeeper.properties"
LISTENER = re.compile(r"\w+://(?P<address>[^:/]*):(?P<port>\d+)")
PROTOCOL = "inter.broker.protocol.version"
# Where nothing is written, Kafka's default is in force: a change from or to it counts as well.
DEFAULTED = (PROTOCOL, "offsets.topic.num.partitions", "transaction.state.log.num.partitions")


@dataclass(frozen=True)
class Refusal(Told):
    """One change that is refused: `what` is the inventory's key or the setting, `old` is in use on
    `hosts`.
    """

    what: str
    old: str
    new: str
    why: str
    instead: str

    def __str__(self) -> str:
        return f"{self.what}: {self.old} -> {self.new}: {self.why}; {self.instead}"


def refusals(
    cluster: Cluster,
    sets: Mapping[str, Sequence[FileSet]],
    seen: Mapping[str, MachineSeen],
    topics: Iterable[Mapping[str, str | None]] = (),
) -> list[Refusal]:
    """What is refused of what the rendered `sets` would change on the machines that were seen, and
    of the `topics`' differences (as `standfast topics --check` prints them).
    """
    found: list[Refusal] = []
    for name, machine in seen.items():
        found += _of_machine(cluster.voters[name], sets[name], machine)
    found = folded([*_swapped(found), *_of_voters(cluster, seen)])
    # Under other numbers every partition seems to lie on the wrong brokers.
    renumbered = any(refusal.what.endswith(".broker_id") for refusal in found)
    return found if renumbered else [*found, *of_topics(topics)]


# --- a machine ---


def _of_machine(voter: Voter, sets: Sequence[FileSet], seen: MachineSeen) -> list[Refusal]:
    rendered = {s.service: s.files for s in sets}
    wanted = _values(rendered.get("kafka", {}), rendered.get("zookeeper", {}))
    there = _values(_in_use(seen, "kafka"), _in_use(seen, "zookeeper"))
    # What the data themselves say counts more than a file beside them.
    wanted["hosts.NAME.zookeeper_id"] = str(voter.zookeeper_id)
    if seen.myid:
        there["hosts.NAME.zookeeper_id"] = seen.myid
    if isinstance(voter, Host):
        wanted["hosts.NAME.broker_id"] = str(voter.broker_id)
        if number := seen.meta_properties.get("broker.id"):
            there["hosts.NAME.broker_id"] = number
    section = "witnesses" if isinstance(voter, Witness) else "hosts"
    found = []
    for key, about in fixed().items():
        old, new = there.get(key), wanted.get(key)
        if old is None or new is None or old == new:
            continue
        if key == PROTOCOL and not _is_lower(new, old):
            continue
        what = key.replace("hosts.NAME", f"{section}.{voter.name}")
        found.append(Refusal((voter.name,), what, old, new, about.why, about.instead))
    return found


def _in_use(seen: MachineSeen, service: str) -> Mapping[str, str]:
    """The files that a service runs on, or would; none where it never served: that may be mended
    by any change.
    """
    here = seen.sets.get(service, SetSeen())
    return texts(here, here.running or here.current) if here.good else {}


def _values(kafka: Mapping[str, str], zookeeper: Mapping[str, str]) -> dict[str, str]:
    """What is fixed of a broker's and a voter's files, by the names in fixed.yml."""
    found: dict[str, str] = {}
    broker, voter = properties(kafka.get(SERVER, "")), properties(zookeeper.get(ENSEMBLE, ""))
    if broker:
        found |= {n: broker[n] for n in ("log.dirs",) if n in broker}
        found |= {n: broker.get(n, str(names("broker")[n]["default"])) for n in DEFAULTED}
        found["hosts.NAME.broker_id"] = broker.get("broker.id", "")
        if listener := LISTENER.fullmatch(broker.get("listeners", "")):
            found["hosts.NAME.address"] = listener["address"]
            found["ports.kafka"] = listener["port"]
    if voter:
        address = voter.get("clientPortAddress", "")
        found |= {n: voter[n] for n in ("dataDir", "dataLogDir") if n in voter}
        found["hosts.NAME.address"] = address
        found["ports.zookeeper"] = voter.get("clientPort", "")
        for line in _members(voter).values():
            host, _, ports = line.partition(":")
            if host == address:
                peer, _, election = ports.partition(":")
                found["ports.zookeeper_peer"] = peer
                found["ports.zookeeper_election"] = election
    return found


def _is_lower(new: str, old: str) -> bool:
    """Whether a protocol version is older than another: Kafka lists them in their order."""
    order = str(names("broker")[PROTOCOL]["valid"]).strip("[]").split(", ")
    return new in order and old in order and order.index(new) < order.index(old)


def _swapped(found: Iterable[Refusal]) -> list[Refusal]:
    """With the number's owner named where another machine's is asked for."""
    found = list(found)
    owners = {(r.what.rpartition(".")[2], r.old): r.hosts[0] for r in found if r.hosts}
    said = []
    for refusal in found:
        key = refusal.what.rpartition(".")[2]
        owner = owners.get((key, refusal.new)) if key.endswith("_id") else None
        why = f"{refusal.new} is {owner}'s number, and {refusal.why}" if owner else refusal.why
        said.append(replace(refusal, why=why))
    return said


# --- the ensemble ---


def _members(settings: Mapping[str, str]) -> dict[str, str]:
    """The voters that a zookeeper.properties names: number to "address:peer:election"."""
    prefix = "server."
    return {n.removeprefix(prefix): v for n, v in settings.items() if n.startswith(prefix)}


def _of_voters(cluster: Cluster, seen: Mapping[str, MachineSeen]) -> list[Refusal]:
    """More than one voter added or taken away.

    A roll restarts voters one by one, and until its end some count majorities of the old voters,
    some of the new ones. That is safe only while each majority of the old shares a voter with each
    of the new. With one voter more or less it does: of n old and n + 1 new ones the majorities have
    n // 2 + 1 and (n + 1) // 2 + 1, together n + 2, one more than there are voters. With two it
    need not: of 1 2 3 two are a majority, of 1 2 3 4 5 three; 1 2 and 3 4 5 share none, and each of
    them could elect a leader of its own.
    """
    found = []
    about = fixed()["voters"]
    new = {str(v.zookeeper_id) for v in cluster.voters.values()}
    for name, machine in seen.items():
        old = set(_members(properties(_in_use(machine, "zookeeper").get(ENSEMBLE, ""))))
        if not old or len(old ^ new) < 2:
            continue
        why = (
            f"{about.why} {len(old) // 2 + 1} of the old {len(old)} and {len(new) // 2 + 1} of the "
            f"new {len(new)} need not share one, and could elect two leaders"
        )
        was, now = (" ".join(sorted(numbers, key=int)) for numbers in (old, new))
        found.append(Refusal((name,), "voters", was, now, why, about.instead))
    return found


# --- topics ---


def of_topics(changes: Iterable[Mapping[str, str | None]]) -> list[Refusal]:
    """The refused ones of the topics' differences (standfast.topicplan.Change).

    What holds for several partitions of a topic is one refusal.
    """
    partitions: dict[Refusal, list[str]] = {}
    for change in changes:
        if change["kind"] != "refused":
            continue
        said = {key: value or "" for key, value in change.items()}
        found = re.fullmatch(r"partition (\d+) (.*)", said["what"])
        what = found[2] if found else said["what"]
        key = "replication" if what == "replicas" else what
        old, new = said["found"] or "none", said["expected"]
        remark = said["sentence"].partition(f"is {old}: ")[2]
        why, _, instead = remark.partition("; ")
        refusal = Refusal(
            (),
            f"topics.{said['topic']}.{key}",
            old,
            new,
            why if instead else "no setting does that to a topic that is there",
            instead or f"put it back; to have it, it {why}",
        )
        partitions.setdefault(refusal, []).extend([found[1]] if found else [])
    return [
        replace(refusal, what=f"{refusal.what} (partition {', '.join(numbers)})")
        if numbers
        else refusal
        for refusal, numbers in partitions.items()
    ]
