"""What a running process takes without a restart: the difference of two sets of files, judged.

Kafka says of each broker setting whether it can be changed while the broker runs
(cluster/names/kafka-broker.json: "update"). Of those, the ones that may be set for all brokers are
applied, one broker at a time and as that broker's own value; the ones that concern a listener or a
key are left to a restart. Nothing else that Standfast runs rereads its files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.known import default, update_mode, whole

SERVER = "server.properties"
COMMENTED = (".properties", ".service", ".toml", ".conf")
# What shows its fault later: a plugin that fails to load, a limit too low for the connections that
# clients make anew. After a restart it shows at once, on one host.
NEVER = {
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "max.connections.per.ip.overrides",
    "metric.reporters",
}
# A broker takes a new size of these pools only up to twice, and down to half, of what it has
# (DynamicThreadPool.validateReconfiguration, LogCleaner.validateReconfiguration).
POOLS = {
    "background.threads",
    "log.cleaner.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
}


@dataclass(frozen=True)
class Difference:
    """What must happen so that a process that runs with one set of files runs as another says.

    `restart` names the files and settings that only a restart brings ("server.properties:
    zookeeper.session.timeout.ms"); `settings` are those that a broker takes while it runs. Neither:
    the files differ in nothing that counts.
    """

    restart: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> Difference:
    """What separates two sets of a service's files, both by name."""
    restart: list[str] = []
    live: dict[str, str] = {}
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            restart.append(name)
        elif name == SERVER:
            before, after = properties(old[name]), properties(new[name])
            for setting in sorted(before.keys() | after.keys()):
                was, now = before.get(setting), after.get(setting)
                if was == now:
                    continue
                if now is not None and takes(setting, was, now):
                    live[setting] = now
                else:
                    restart.append(f"{name}: {setting}")
        elif meaning(name, old[name]) != meaning(name, new[name]):
            restart.append(name)
    return Difference(tuple(restart), live)


def takes(setting: str, old: str | None, new: str) -> bool:
    """Whether a running broker takes `new` in place of `old` (None: Kafka's default)."""
    if update_mode(setting) != "cluster-wide" or setting in NEVER:
        return False
    if setting not in POOLS:
        return True
    before, after = whole(default(setting) if old is None else old), whole(new)
    return before is not None and after is not None and before // 2 <= after <= 2 * before


def overrides(started: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """The settings that a broker needs beside the files that it started with, to run as the files
    `wanted` say; empty where only a restart does it.
    """
    found = difference(started, wanted)
    return {} if found.restart else dict(found.settings)


def corrections(
    started: Mapping[str, str],
    wanted: Mapping[str, str],
    there: Mapping[str, str],
    *others: Mapping[str, str],
) -> dict[str, str | None]:
    """What to change of a broker's dynamic settings, `there`, to run as the files `wanted` say.

    None takes one away: it says another thing than the files, or the same and would outlive them. A
    setting that no file names, nor one of the `others` that were in use before, is somebody else's
    (a throttle of a reassignment).
    """
    needed = overrides(started, wanted)
    ours = {n for files in (started, wanted, *others) for n in properties(files.get(SERVER, ""))}
    found: dict[str, str | None] = {n: None for n in sorted(there) if n in ours and n not in needed}
    return found | {name: value for name, value in needed.items() if there.get(name) != value}


def reachable(wanted: Mapping[str, str | None], there: Mapping[str, str]) -> bool:
    """Whether a broker takes the changes from the dynamic settings that are `there`: a pool of
    threads that was doubled already is not quartered at once.
    """
    return all(
        value is None or name not in there or takes(name, there[name], value)
        for name, value in wanted.items()
    )


def properties(text: str) -> dict[str, str]:
    """The settings of a properties file; of one that stands twice the last, as Java reads it."""
    rows = [line.strip().partition("=") for line in text.splitlines()]
    return {n.strip(): v.strip() for n, equals, v in rows if equals and not n.startswith("#")}


def meaning(name: str, text: str) -> str:
    """A file's text without what its reader skips: comments and blank lines."""
    if not name.endswith(COMMENTED):
        return text
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))
