"""`fab last-stand HOST`: make the voters that are left ZooKeeper's ensemble, though they are few.

By an operator's hand alone: it is right only while the machines that are left out stay off. It
shows what it can know and what it cannot, has those machines switched off (the inventory's `fence`
commands, or the operator's word for each by name), copies ZooKeeper's data, and narrows the
ensemble. The guardian then sees a single broker, and lets it take writes alone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError
from rich.console import Console
from rich.text import Text

import connect
import tasks
from cluster.model import Cluster
from cluster.narrow import (
    Narrow,
    Refused,
    Sight,
    elsewhere,
    following,
    last_stand,
    record_of,
)
from cluster.observed import Narrowed
from cluster.snapshot import LAST_STAND
from cluster.writes import Places, listed, places
from standfast import questions
from standfast.deregister import deregister_at
from tasks import ensemble
from tasks.ask import registry
from tasks.lock import Held, Lock

FENCE = 60.0  # seconds for a fence command
WRITES = 60.0  # seconds for the brokers that are left to take writes
ANSWER = 3.0  # seconds for a broker to say what it knows


def main(host: str, off: str, yes: bool) -> int:
    """Begin a last stand; returns the exit code: 0 the rest takes writes, 1 not, 2 asked nonsense,
    130 Ctrl-C.
    """
    cluster, console = connect.begin("last stand of"), tasks.console()
    ensemble.chosen(cluster, "last-stand", host, cluster.hosts)
    words = [word.strip() for word in off.split(",") if word.strip()]
    for word in words:
        ensemble.chosen(cluster, "last-stand: --off", word, cluster.voters)
    try:
        seen = ensemble.look(cluster)
        with Lock(name for name, at in seen.items() if not at.complaint):
            return _begin(cluster, console, host, words, yes, seen)
    except Held as error:
        connect.die(f"last-stand: {error}")
    except OSError as error:
        connect.die(f"last-stand: {error}\nnext: fab last-stand {host} goes on from here")
    except KeyboardInterrupt:
        again = f"fab last-stand {host} goes on from here"
        connect.die(f"last-stand: interrupted; {again}", code=130)


def _begin(
    cluster: Cluster,
    console: Console,
    host: str,
    off: list[str],
    yes: bool,
    seen: Mapping[str, Sight],
) -> int:
    record = record_of(seen)
    if record and all(not seen[name].complaint for name in _names(cluster, record)):
        if forks := elsewhere(record, seen):
            ensemble.refuse("last-stand", forks)
        return _narrow(cluster, console, record, seen)  # brought to its end, if it was interrupted
    plan = last_stand(cluster, host, seen)
    if isinstance(plan, Refused):
        ensemble.refuse("last-stand", plan)
    if wrong := [name for name in off if name not in plan.dead]:
        why = f"--off names {listed(wrong)}, which answers: it is not off"
        ensemble.refuse("last-stand", Refused(why, "fab status: it says who answers"))
    show(console, cluster, plan)
    _fenced(cluster, console, plan, off, yes)
    after = last_stand(cluster, host, ensemble.look(cluster), fenced=True)
    if not isinstance(after, Narrow) or after.dead != plan.dead:
        why = after.why if isinstance(after, Refused) else f"now {listed(after.dead)} are dead"
        connect.die(f"last-stand: stopped, it changed meanwhile: {why}\nnext: fab status")
    numbers = tuple(sorted(cluster.voters[name].zookeeper_id for name in plan.voters))
    record = Narrowed(numbers, time.time(), ensemble.me(), plan.epoch, plan.zxid)
    return _narrow(cluster, console, record, seen)


def _narrow(cluster: Cluster, console: Console, record: Narrowed, seen: Mapping[str, Sight]) -> int:
    inside = _names(cluster, record)
    began = time.monotonic()
    done = [n for n in inside if seen[n].members == frozenset(record.voters) and seen[n].record]
    for name in inside:
        if name not in done:
            console.print(f"{name}: ZooKeeper's data are copied, its ensemble is narrowed")
            ensemble.narrow(cluster, name, record)
    for name in inside:
        ensemble.serves(cluster, name, record.voters)
    console.print(f"ZooKeeper serves on {listed(inside)} ({time.monotonic() - began:.0f} s)")
    alive = [name for name in inside if name in cluster.hosts]
    _deregister(cluster, alive, record)
    writing(cluster, alive, again=len(done) == len(inside))
    console.print(f"{listed(alive)} {'takes' if len(alive) == 1 else 'take'} writes "
                  f"({time.monotonic() - began:.0f} s)")  # fmt: skip
    left = _left_offline(cluster, alive)
    if left:
        console.print(Text(f"offline until a host of their in-sync set is back: {places(left)}",
                           "red"))  # fmt: skip
        console.print("where that host is destroyed: fab rescue shows what the others hold")
    console.print(f"next: {following(cluster, record.voters)}")
    return 0


def _names(cluster: Cluster, record: Narrowed) -> list[str]:
    numbers = {v.zookeeper_id: name for name, v in cluster.voters.items()}
    return [numbers[n] for n in record.voters if n in numbers]


def _deregister(cluster: Cluster, alive: list[str], record: Narrowed) -> None:
    """Take the registrations of the dead out: they are off, and nobody need wait for the end of
    their sessions, which is what remains where this fails.
    """
    server = f"{cluster.voters[alive[0]].address}:{cluster.ports.zookeeper}"
    for host in cluster.hosts.values():
        if host.name not in alive:
            with suppress(OSError, KazooException, KazooTimeoutError):
                address = f"{host.address}:{cluster.ports.kafka}"
                deregister_at(server, host.broker_id, address, record.since)


def writing(cluster: Cluster, alive: list[str], again: bool = False) -> None:
    """Wait until these brokers are registered and, where it is one, it takes writes alone. `again`:
    it began before, and others may have come back.
    """
    wanted = {cluster.hosts[name].broker_id for name in alive}
    voters = [f"{cluster.voters[n].address}:{cluster.ports.zookeeper}" for n in alive]

    def there() -> str:
        found = registry(voters)
        if "complaint" in found:
            return str(found["complaint"])
        nodes = found["nodes"]
        brokers = {int(path.rpartition("/")[2]) for path in nodes if path.startswith("/brokers/")}
        if again and wanted < brokers:
            return ""
        if brokers != wanted:  # a dead one's registration ends with its session
            return f"registered: {sorted(brokers) or 'nobody'}"
        if len(wanted) == 1 and LAST_STAND not in nodes:
            return "its guardian has not lowered min ISR yet"
        return ""

    ensemble.until(there, WRITES, f"{listed(alive)} to take writes")


# --- what is shown, and asked ---


def show(console: Console, cluster: Cluster, plan: Narrow) -> None:
    """What is known, and what is not."""
    hosts = [name for name in plan.voters if name in cluster.hosts]
    console.print(f"left:    {listed(plan.voters)}, ZooKeeper's data up to epoch {plan.epoch}")
    console.print(f"silent:  {listed(plan.dead)}")
    told = _told(cluster, hosts)
    if told is None:
        console.print(f"unknown: which partitions are in sync on {listed(hosts)}: "
                      "no broker there answers")  # fmt: skip
    else:
        sync, out = told
        console.print(f"in sync: {_count(sync)} of {_count(sync) + _count(out)} partitions on "
                      f"{listed(hosts)}, as far as its broker was told")  # fmt: skip
        if out:
            console.print(Text(f"these stay offline: {places(out)}", "red"))
    console.print(
        "unknown: whether the silent ones took another change before they died; it would be lost.\n"
        "         While this lasts they must stay off: together they would be a second cluster.",
    )


def _told(cluster: Cluster, hosts: list[str]) -> tuple[Places, Places] | None:
    """The partitions in sync on these hosts, and those that are not, as a broker there was told;
    None where none of them answers.
    """
    alive = {cluster.hosts[name].broker_id for name in hosts}
    for name in hosts:
        address = f"{cluster.hosts[name].address}:{cluster.ports.kafka}"
        try:
            found = questions.kafka_partitions(address, ANSWER)
        except OSError:
            continue
        sync: Places = {}
        out: Places = {}
        for partition, state in sorted(found.items()):
            topic, _, number = partition.rpartition("-")
            into = sync if alive & set(state.isr) else out
            into.setdefault(topic, []).append(int(number))
        return sync, {topic: sorted(of) for topic, of in out.items()}
    return None


def _left_offline(cluster: Cluster, alive: list[str]) -> Places:
    """The partitions without a leader that lives, once it has settled."""
    told = _told(cluster, alive)
    return told[1] if told else {}


def _count(found: Places) -> int:
    return sum(map(len, found.values()))


def _fenced(cluster: Cluster, console: Console, plan: Narrow, off: list[str], yes: bool) -> None:
    """Each of the dead is off: by its fence command, or by the operator's word. Nobody is switched
    off before all that has to be typed is typed.
    """
    by_hand = [name for name in plan.dead if not cluster.voters[name].fence]
    if by_hand and sorted(off) not in (sorted(by_hand), sorted(plan.dead)):
        if off:
            missing = [name for name in by_hand if name not in off]
            why = f"--off does not name {listed(missing)}, which is silent as well"
            ensemble.refuse("last-stand", Refused(why, f"--off {','.join(by_hand)}, if they are"))
        count = len(by_hand)
        prompt = f"type the names of those that are switched off and will stay so ({count}): "
        if not _typed(console, prompt, by_hand):
            connect.die("last-stand: not those that are silent; nothing was changed")
    fences = {n: cluster.voters[n].fence for n in plan.dead if cluster.voters[n].fence}
    for name, command in fences.items():
        console.print(Text(f"{name}: {' '.join(command)}"))
    question = f"switch {listed(fences)} off with that, and go on? [yes/no] "
    if fences and not (yes or _typed(console, question, ["yes"])):
        connect.die("last-stand: nothing was changed")
    for name, command in fences.items():
        _fence(cluster, name, command)
        console.print(f"{name}: is off")


def _fence(cluster: Cluster, name: str, command: tuple[str, ...]) -> None:
    """Run a fence command. What fails ends it: nobody knows then whether the machine is off."""
    try:
        done = subprocess.run(
            command, cwd=connect.ROOT, capture_output=True, text=True, timeout=FENCE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        why = f"ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}"
        if done.returncode == 0:
            return
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    section = "hosts" if name in cluster.hosts else "witnesses"
    by_hand = f"mend it, or switch {name} off by hand, and take {section}.{name}.fence out"
    what = f"{name} could not be fenced: its command {why}"
    connect.die(f"last-stand: stopped, ZooKeeper was not touched: {what}\nnext: {by_hand}")


def _typed(console: Console, prompt: str, wanted: Iterable[str]) -> bool:
    """Whether the operator types these words, in any order; without a terminal nobody does."""
    if not sys.stdin.isatty():
        connect.die(
            "last-stand: nobody can be asked here; name the machines that are switched off and "
            "will stay so: --off kafka1,kafka2 (with fence commands for all: --yes)",
            code=2,
        )
    try:
        words = console.input(Text(prompt)).replace(",", " ").split()
    except EOFError:  # Ctrl-D
        return False
    return sorted(words) == sorted(wanted)
