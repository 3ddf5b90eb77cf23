"""A healthy cluster as it would be seen; the tests break one thing of it at a time."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cluster import unitfile
from cluster.inventory import load
from cluster.model import Cluster, Host, Voter
from cluster.observed import (
    DiskSeen,
    FileSeen,
    FolderSeen,
    Listener,
    MachineSeen,
    Partition,
    ProcessSeen,
    Registry,
    SetSeen,
    Sysctl,
    TopicSeen,
    TopicsSeen,
    VoterSeen,
)
from cluster.render import ROOT, Artifact, Artifacts, FileSet, file_sets
from tests.verify import machines

GB = 10**9
ARTIFACTS = Artifacts(
    kafka=Artifact("/opt/standfast/kafka/k"),
    zookeeper=Artifact("/opt/standfast/zookeeper/z"),
    host=Artifact("/opt/standfast/host/h"),
)


@cache
def lab() -> Cluster:
    """The lab's inventory."""
    return load(ROOT / "inventory" / "lab.yml")


@cache
def sets(name: str) -> list[FileSet]:
    """A machine's sets, the sink's password made up."""
    with TemporaryDirectory() as folder:
        password = Path(folder) / "password"
        password.write_text("hunter2\n")
        warehouse = replace(lab().sinks["warehouse"], password_file=password)  # type: ignore[call-arg]
        cluster = replace(lab(), sinks={**lab().sinks, "warehouse": warehouse})
        return file_sets(cluster, cluster.voters[name], ARTIFACTS)


def set_seen(wanted: FileSet) -> SetSeen:
    """A set that was staged, activated and started."""
    files = {
        name: FileSeen(
            digest,
            0o400 if name in wanted.secrets else 0o644,
            wanted.user if name in wanted.secrets else "root",
            None if name in wanted.secrets else wanted.files[name],
        )
        for name, digest in wanted.digests.items()
    }
    mark = wanted.fingerprint
    running = mark if wanted.unit else None
    return SetSeen(mark, mark, mark, running, running, {mark: files})


def shown(text: str) -> dict[str, str]:
    """What systemd shows of a unit that it loaded as it is."""
    found = {"ActiveState": "active", "UnitFileState": "enabled", "LoadState": "loaded"}
    for name, values in unitfile.directives(text).items():
        key = f"{name[:-3]}USec" if name.endswith("Sec") else name
        value = values[-1]
        if name.startswith("Exec"):
            commands = sorted(unitfile._expected(name, values))
            value = " ".join(
                f"{{ path=/x ; argv[]={argv} ; ignore_errors=no ; pid=0 }}" for argv in commands
            )
        elif name.endswith("Signal"):
            value = "9"
        elif name in unitfile.LISTS:
            value = " ".join(values)
        elif name == "MemoryMax":
            value = str(2**30)
        found[key] = value
    return found


def machine(name: str = "kafka1", **changes: Any) -> MachineSeen:
    """A machine as it should be; `changes` are of MachineSeen's fields."""
    voter, mine = lab().voters[name], sets(name)
    units = {s.unit: s for s in mine if s.unit}
    pids = {unit: 100 + n for n, unit in enumerate(units)}
    owners = machines.owners(lab(), voter)
    seen = MachineSeen(
        container="",
        may_raise_limits=True,
        most_open_files=1024,
        release="bookworm",
        python="3.11",
        java={u: "17.0.9" for u in ("zookeeper.service", "kafka.service") if u in units},
        units={unit: shown(s.files[unit]) for unit, s in units.items()},
        sets={s.service: set_seen(s) for s in mine},
        links={
            path: f"/etc/standfast/{s.service}/current/{file}"
            for s in mine
            for file, path in s.links.items()
        },
        processes={
            unit: ProcessSeen(
                pids[unit],
                unitfile.open_files(s.files[unit]) or 1024,
                unitfile.oom_score_adjust(s.files[unit]) or 0,
                "java",
            )
            for unit, s in units.items()
        },
        folders={path: FolderSeen(user, 0o750) for path, user in owners.items()},
        disks={machines.DATA: DiskSeen(5 * GB, 4 * GB, GB // 2, "ext4", ("rw", "relatime"))},
        listeners=_listeners(voter, pids),
        whole=frozenset(a.path for a in (ARTIFACTS.kafka, ARTIFACTS.zookeeper, ARTIFACTS.host)),
        sysctl={"vm.swappiness": Sysctl("1", True), "vm.max_map_count": Sysctl("262144", True)},
        meta_properties={"cluster.id": "abc", "broker.id": "1"},
        synchronised=True,
        can_synchronise=True,
    )
    return replace(seen, **changes)


def _listeners(voter: Voter, pids: dict[str, int]) -> tuple[Listener, ...]:
    servers = [(2181, "zookeeper.service"), (3888, "zookeeper.service")]
    servers += [(9092, "kafka.service")] if isinstance(voter, Host) else []
    found = [Listener(voter.address, port, "java", pids[unit]) for port, unit in servers]
    return (*found, Listener("*", 22, "sshd", 1))


def voters() -> dict[str, VoterSeen]:
    """The lab's ensemble, led by kafka2."""
    members = tuple(
        f"server.{v.zookeeper_id}={v.address}:2888:3888:participant" for v in lab().voters.values()
    )
    return {
        name: VoterSeen("leader", members, 4)
        if name == "kafka2"
        else VoterSeen("follower", members)
        for name in lab().voters
    }


def registry() -> Registry:
    """All brokers of the lab."""
    return Registry({h.broker_id: f"{h.address}:9092" for h in lab().hosts.values()}, "abc", 1)


def topics(**more: TopicSeen) -> TopicsSeen:
    """One healthy topic, and `more`."""
    whole = tuple(Partition(r[0], r, r) for r in ((1, 2, 3), (2, 3, 1), (3, 1, 2)))
    healthy = TopicSeen("trades", whole, {"min.insync.replicas": "2"})
    return TopicsSeen({"trades": healthy, **more})
