"""From answers to a Snapshot: what was asked of a cluster, as JSON, turned into typed data.

The answers are kept apart from what is made of them, so that the answers of a real degraded cluster
can be stored (tests/unit/snapshots) and judged again. What makes no sense becomes a complaint, and
a complaint is unhealthy: nothing here is ever taken for well because it could not be read.

    {"at": 1763940000.1,
     "voters":    {"kafka1": {"conf": "…", "mntr": "…"}},      four-letter words' answers
     "registry":  {"nodes": {"/brokers/ids/1": {…}, "/controller": {…}, "/cluster/id": {…},
                           "/standfast/last-stand": {…}}},
     "brokers":   {"kafka1": {"brokers": {"1": "198.18.0.11:9092"}}},
     "topics":    {"topics": {"trades": {"partitions": [[leader, [replicas], [isr]], …],
                                         "settings": {…}, "own": {…}}},
                   "unset": ""},
     "machines":  {"kafka1": {what tasks/look.py prints}},
     "groups":    {"collector": {"committed": {"trades": {"0": 7}}, "waiting": null}},
     "ends":      {"ends": {"trades": {"0": 9}}},
     "overrides": {"kafka1": {"settings": {"num.io.threads": "16"}}}}

Each of them may be {"complaint": "one sentence"} in place of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from cluster import unitfile
from cluster.machine_health import kernel_settings
from cluster.model import Host, Machine
from cluster.observed import (
    AlarmSeen,
    BrokerSeen,
    DiskSeen,
    FileSeen,
    FolderSeen,
    GroupSeen,
    LastStand,
    Listener,
    MachineSeen,
    Narrowed,
    OverridesSeen,
    Partition,
    ProcessSeen,
    Registry,
    SetSeen,
    Snapshot,
    Sysctl,
    TopicSeen,
    TopicsSeen,
    VoterSeen,
)
from cluster.render import FileSet

Answer = Mapping[str, Any]
T = TypeVar("T")
DATA = "/var/lib/kafka/data"
LAST_STAND = "/standfast/last-stand"  # in ZooKeeper: the guardians' record
UNIT = {
    "ActiveState", "SubState", "UnitFileState", "MainPID", "NeedDaemonReload", "LoadState",
    "NRestarts", "ActiveEnterTimestampMonotonic", "Result",
}  # fmt: skip


def snapshot(answers: Answer) -> Snapshot:
    """The answers of a whole cluster; what is missing or makes no sense is a complaint."""
    machines: dict[str, MachineSeen] = {}
    unasked: dict[str, str] = {}
    for name, answer in answers.get("machines", {}).items():
        try:
            if "complaint" in answer:
                unasked[name] = str(answer["complaint"])
            else:
                machines[name] = machine(answer)
        except _NONSENSE as error:
            unasked[name] = _nonsense(error)
    return Snapshot(
        at=float(answers.get("at", 0.0)),
        voters={n: voter(a) for n, a in answers.get("voters", {}).items()},
        registry=registry(answers.get("registry", {"complaint": "was not asked"})),
        brokers={n: broker(a) for n, a in answers.get("brokers", {}).items()},
        topics=topics(answers.get("topics", {"complaint": "was not asked"})),
        machines=machines,
        unasked=unasked,
        groups={n: group(a) for n, a in answers.get("groups", {}).items()},
        ends=ends(answers.get("ends", {})),
        overrides={n: overrides(a) for n, a in answers.get("overrides", {}).items()},
    )


# --- the cluster ---


def voter(answer: Answer) -> VoterSeen:
    """A voter out of its answers to `conf` and `mntr`."""
    return _read(_voter, answer, lambda why: VoterSeen(complaint=why))


def _voter(answer: Answer) -> VoterSeen:
    figures = dict(line.split("\t", 1) for line in answer["mntr"].splitlines() if "\t" in line)
    state, synced = figures.get("zk_server_state", ""), figures.get("zk_synced_followers", "")
    return VoterSeen(
        state=state if state in ("leader", "follower") else "",
        members=tuple(line for line in answer["conf"].splitlines() if line.startswith("server.")),
        synced=int(float(synced)) if synced else None,
    )


def registry(answer: Answer) -> Registry:
    """Kafka's registrations out of what ZooKeeper holds, content by path."""
    return _read(_registry, answer, lambda why: Registry(complaint=why))


def _registry(answer: Answer) -> Registry:
    nodes = answer["nodes"]
    brokers = {
        int(path.rpartition("/")[2]): f"{content['host']}:{content['port']}"
        for path, content in nodes.items()
        if path.startswith("/brokers/ids/")
    }
    identity, controller = nodes.get("/cluster/id") or {}, nodes.get("/controller") or {}
    return Registry(
        brokers,
        identity.get("id"),
        controller.get("brokerid"),
        last_stand=last_stand(nodes.get(LAST_STAND)),
    )


def last_stand(record: Mapping[str, Any] | None) -> LastStand | None:
    """A guardian's record, None where there is none. Raises KeyError, TypeError, ValueError."""
    return LastStand(int(record["survivor"]), float(record["since"])) if record else None


def narrowed(record: Mapping[str, Any] | None) -> Narrowed | None:
    """An operator's record, None where there is none. Raises KeyError, TypeError, ValueError."""
    if not record:
        return None
    return Narrowed(
        tuple(map(int, record["voters"])),
        float(record["since"]),
        str(record["by"]),
        int(record["epoch"]),
        int(record["zxid"]),
    )


def broker(answer: Answer) -> BrokerSeen:
    """What a broker said itself."""
    return _read(
        lambda a: BrokerSeen({int(n): str(at) for n, at in a["brokers"].items()}),
        answer,
        lambda why: BrokerSeen(complaint=why),
    )


def topics(answer: Answer) -> TopicsSeen:
    """Every topic, the internal ones too."""
    return _read(_topics, answer, lambda why: TopicsSeen(complaint=why))


def _topics(answer: Answer) -> TopicsSeen:
    return TopicsSeen(
        {
            name: TopicSeen(
                name,
                tuple(
                    Partition(int(leader), tuple(map(int, replicas)), tuple(map(int, isr)))
                    for leader, replicas, isr in topic["partitions"]
                ),
                topic["settings"],
                topic["own"],
            )
            for name, topic in answer["topics"].items()
        },
        unset=str(answer.get("unset", "")),
    )


def group(answer: Answer) -> GroupSeen:
    """A consumer group's positions."""
    return _read(
        lambda a: GroupSeen(
            _offsets(a["committed"]), None if a["waiting"] is None else float(a["waiting"])
        ),
        answer,
        lambda why: GroupSeen(complaint=why),
    )


def ends(answer: Answer) -> Mapping[str, Mapping[int, int]]:
    """The high watermarks that could be read."""
    return _read(lambda a: _offsets(a["ends"]), answer, lambda _: {})


def overrides(answer: Answer) -> OverridesSeen:
    """A broker's dynamic settings."""
    return _read(
        lambda a: OverridesSeen({str(n): str(v) for n, v in a["settings"].items()}),
        answer,
        lambda why: OverridesSeen(complaint=why),
    )


def _offsets(found: Mapping[str, Mapping[str, int]]) -> dict[str, dict[int, int]]:
    return {topic: {int(p): int(n) for p, n in of.items()} for topic, of in found.items()}


NONSENSE = "an answer that makes no sense"
_NONSENSE = (KeyError, ValueError, TypeError, AttributeError)


def _read(parse: Callable[[Answer], T], answer: Answer, complain: Callable[[str], T]) -> T:
    try:
        if "complaint" in answer:
            return complain(str(answer["complaint"]))
        return parse(answer)
    except _NONSENSE as error:
        return complain(_nonsense(error))


def _nonsense(error: Exception) -> str:
    return f"{NONSENSE} ({type(error).__name__}: {error})"


# --- a machine ---


def asked(
    machine: Machine,
    sets: Sequence[FileSet],
    archives: Iterable[str] = (),
    owners: Iterable[str] = (),
    disks: bool = True,
) -> dict[str, Any]:
    """What tasks/look.py is to look at on a machine with a voter. `disks` walks the broker's data
    directory: not for what is asked every second.
    """
    texts = [s.files[s.unit] for s in sets if s.unit]
    sysctl = next((s.files["sysctl.conf"] for s in sets if s.service == "base"), "")
    return {
        "units": [s.unit for s in sets if s.unit],
        "properties": sorted(UNIT.union(*(unitfile.properties(text) for text in texts))),
        "sets": {s.service: sorted(s.secrets) for s in sets},
        "links": sorted(path for s in sets for path in s.links.values()),
        "folders": sorted(owners),
        "disks": [DATA] if disks and isinstance(machine, Host) else [],
        "archives": list(archives),
        "sysctl": sorted(kernel_settings(sysctl)),
    }


def machine(answer: Answer) -> MachineSeen:
    """What tasks/look.py printed, with its types. Raises KeyError, TypeError, ValueError …"""
    return MachineSeen(
        **{
            **answer,
            "sets": {
                service: SetSeen(
                    **{
                        **found,
                        "files": {
                            fingerprint: {name: FileSeen(**file) for name, file in there.items()}
                            for fingerprint, there in found["files"].items()
                        },
                    }
                )
                for service, found in answer["sets"].items()
            },
            "units": {unit: _texts(shown) for unit, shown in answer["units"].items()},
            "java": _texts(answer["java"]),
            "links": dict(answer["links"].items()),
            "meta_properties": _texts(answer["meta_properties"]),
            "monotonic": float(answer.get("monotonic", 0.0)),
            "processes": {unit: ProcessSeen(**p) for unit, p in answer["processes"].items()},
            "folders": {path: FolderSeen(**f) for path, f in answer["folders"].items()},
            "disks": {
                path: DiskSeen(**{**d, "options": tuple(d["options"])})
                for path, d in answer["disks"].items()
            },
            "listeners": tuple(Listener(**x) for x in answer["listeners"]),
            "whole": frozenset(answer["whole"]),
            "sysctl": {name: Sysctl(**s) for name, s in answer["sysctl"].items()},
            "journal": tuple(dict(entry.items()) for entry in answer.get("journal", ())),
            "last_stand": last_stand(answer.get("last_stand")),
            "ensemble": narrowed(answer.get("ensemble")),
            "alarms": tuple(alarm(entry) for entry in answer.get("alarms", ())),
        }
    )


def alarm(entry: Mapping[str, Any]) -> AlarmSeen:
    """A cause of a machine's alert service."""
    return AlarmSeen(
        str(entry["cause"]), str(entry["sentence"]), float(entry["at"]), str(entry["unit"])
    )


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in found.items()}
