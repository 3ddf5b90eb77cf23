"""What was seen of a cluster: plain data, made by whoever asked, judged by cluster.health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Why a machine could not be looked at that nothing was ever deployed on.
BARE = "nothing of Standfast is installed there"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, for a person.

    `what` says of what, `look` where to look or what to do. `settable` is False where the machine
    cannot be brought to it (a container without the right): neither passed nor failed.
    """

    what: str
    expected: str
    found: str
    look: str
    settable: bool = True

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, found {self.found}; {self.look}"


# --- the cluster, over ZooKeeper's and Kafka's own protocols ---


@dataclass(frozen=True)
class VoterSeen:
    """What a ZooKeeper voter says of itself. `state` is leader or follower, "" where it serves
    nobody; `members` its `server.N=…` lines; `synced` how many followers are in sync with it (a
    leader's figure); `complaint` why it could not be asked, "" where it could.
    """

    state: str = ""
    members: tuple[str, ...] = ()
    synced: int | None = None
    complaint: str = ""


@dataclass(frozen=True)
class LastStand:
    """The only broker that lives takes writes alone, or did until not every partition has its
    copies back: its id, and since when (Unix seconds). A guardian's record says so.
    """

    broker: int
    since: float


@dataclass(frozen=True)
class Narrowed:
    """ZooKeeper's ensemble is narrowed to these `voters` (by number), since when (Unix seconds), by
    whom; the last epoch and transaction of the data that it began with. As it lies on its machines
    (standfast.ensemble.Record).
    """

    voters: tuple[int, ...]
    since: float
    by: str
    epoch: int
    zxid: int


@dataclass(frozen=True)
class Registry:
    """What ZooKeeper holds of Kafka; brokers by id as "host:port", the controller by its id."""

    brokers: Mapping[int, str] = field(default_factory=dict)
    cluster_id: str | None = None
    controller: int | None = None
    complaint: str = ""
    last_stand: LastStand | None = None


@dataclass(frozen=True)
class BrokerSeen:
    """What a broker answers when it is asked itself: the brokers it knows, by id as "host:port"."""

    brokers: Mapping[int, str] = field(default_factory=dict)
    complaint: str = ""


@dataclass(frozen=True)
class Partition:
    """Broker ids: the leader (-1: none), all replicas (the preferred one first), the in-sync."""

    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True)
class TopicSeen:
    """A topic's partitions in their order, its settings as they hold, those set on itself."""

    name: str
    partitions: tuple[Partition, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TopicsSeen:
    """Every topic of the cluster, the internal ones included. `unset` is why their settings, which
    are empty then, could not be read.
    """

    topics: Mapping[str, TopicSeen] = field(default_factory=dict)
    complaint: str = ""
    unset: str = ""


@dataclass(frozen=True)
class GroupSeen:
    """A consumer group's positions: the next offset to read, by topic and partition; a partition
    that it never committed is missing. `waiting` is since when (Unix seconds) the oldest record
    that it has not read yet waits, None where it read all.
    """

    committed: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    waiting: float | None = None
    complaint: str = ""


@dataclass(frozen=True)
class OverridesSeen:
    """The settings that a broker was given while it ran (Kafka's dynamic ones, of that broker)."""

    settings: Mapping[str, str] = field(default_factory=dict)
    complaint: str = ""


# --- a machine, over SSH ---


@dataclass(frozen=True)
class FileSeen:
    """A file: SHA-256 (hexadecimal), permission bits, owner, and its text unless it is a secret."""

    digest: str
    mode: int
    owner: str
    text: str | None = None


@dataclass(frozen=True)
class SetSeen:
    """A service's sets: what its links name, what its process started with and, settings that were
    applied to it since included, runs with; the files, by set.
    """

    staged: str | None = None
    current: str | None = None
    good: str | None = None
    running: str | None = None
    started: str | None = None
    files: Mapping[str, Mapping[str, FileSeen]] = field(default_factory=dict)


@dataclass(frozen=True)
class ProcessSeen:
    """A unit's main process; `open_files` is the soft limit (None: unlimited)."""

    pid: int
    open_files: int | None
    oom_score_adj: int
    program: str


@dataclass(frozen=True)
class FolderSeen:
    """A directory's owner and permission bits."""

    owner: str
    mode: int


@dataclass(frozen=True)
class DiskSeen:
    """The file system under a directory, in bytes; `used` is what the directory takes of it, and
    `recent` what of that lies in files that were written to in the last 24 hours.
    """

    size: int
    free: int
    used: int
    kind: str
    options: tuple[str, ...]
    recent: int = 0


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket; `address` "*" is every one. `program` and `pid` where known."""

    address: str
    port: int
    program: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Sysctl:
    """A kernel setting, and whether this machine lets anybody change it."""

    value: str
    writable: bool


@dataclass(frozen=True)
class ClockSeen:
    """Seconds that a machine's clock is ahead of the controller's, give or take so many."""

    offset: float
    uncertainty: float


@dataclass(frozen=True)
class AlarmSeen:
    """The last line of an alarm's cause on a machine; `at` in Unix seconds, by its clock; `unit`
    wrote it, "" a person.
    """

    cause: str
    sentence: str
    at: float
    unit: str = ""


@dataclass(frozen=True)
class MachineSeen:
    """A machine with a voter, as one look over SSH showed it.

    `container` is its kind, "" for none; `may_raise_limits` whether its init may
    (CAP_SYS_RESOURCE), and `most_open_files` what it has otherwise; `java` the release of the
    running servers' Java, by unit; `units` systemd's properties, by unit; `whole` the archives
    unpacked to their end; `myid` the number under which its voter's data lie, "" without data;
    `monotonic` its clock since the boot (seconds), in which systemd's
    time stamps are; `journal` the latest entries of its journal of rolls, the oldest first;
    `last_stand` what its guardian saw of one, `ensemble` what an operator's by hand left on it;
    `alarms` one of each cause, of a day.
    """

    container: str
    may_raise_limits: bool
    most_open_files: int | None
    release: str
    python: str
    java: Mapping[str, str]
    units: Mapping[str, Mapping[str, str]]
    sets: Mapping[str, SetSeen]
    links: Mapping[str, str | None]
    processes: Mapping[str, ProcessSeen]
    folders: Mapping[str, FolderSeen]
    disks: Mapping[str, DiskSeen]
    listeners: tuple[Listener, ...]
    whole: frozenset[str]
    sysctl: Mapping[str, Sysctl]
    meta_properties: Mapping[str, str]
    synchronised: bool
    can_synchronise: bool
    myid: str = ""
    monotonic: float = 0.0
    journal: tuple[Mapping[str, Any], ...] = ()
    last_stand: LastStand | None = None
    ensemble: Narrowed | None = None
    alarms: tuple[AlarmSeen, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """All that was seen of a cluster at about one moment (`at`, Unix seconds, the controller's
    clock). By machine's name, but `groups` by consumer; `ends` are the high watermarks by topic and
    partition. A machine that could not be asked is in `unasked`, with why.
    """

    at: float
    voters: Mapping[str, VoterSeen]
    registry: Registry
    brokers: Mapping[str, BrokerSeen]
    topics: TopicsSeen
    machines: Mapping[str, MachineSeen] = field(default_factory=dict)
    unasked: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, GroupSeen] = field(default_factory=dict)
    ends: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    overrides: Mapping[str, OverridesSeen] = field(default_factory=dict)
