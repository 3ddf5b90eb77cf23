"""`fab rescue`: the partitions whose in-sync copies are all gone, and what the others hold of them.

Shows of each the epoch and the end of every copy. With --elect trades/3 (or `all`) the most
complete copy becomes the leader, and what it does not have is lost: it is said before, exactly.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

import connect
import tasks
from cluster.model import Cluster
from cluster.rescue import Copy, Election, Stranded, election, lost
from cluster.snapshot import NONSENSE
from cluster.writes import listed
from standfast import clients, registered
from tasks import ensemble
from tasks.askkafka import groups

ANSWER = 5.0  # seconds for ZooKeeper to answer
READ = 120.0  # seconds for a host to read its copies
TOOL = 60.0  # seconds for Kafka's tool
LEADS = 30.0  # seconds for a leader to be elected


def main(elect: str, gone: str, yes: bool) -> int:
    """Show, or elect; returns the exit code: 0 no partition is without a leader (any more), 1 some
    are, 2 asked nonsense, 130 Ctrl-C.
    """
    cluster, console = connect.begin("rescue of"), tasks.console()
    try:
        found = stranded(cluster)
        if not found:
            console.print("every partition has a leader: nothing to rescue")
            return 0
        show(console, found)
        destroyed = _destroyed(cluster, gone, found)
        plans = {one.name: election(one, destroyed) for one in found}
        for one in found:
            plan = plans[one.name]
            said = lost(one, plan) if isinstance(plan, Election) else f"{one.name}: {plan}"
            console.print(Text(said, "red" if isinstance(plan, Election) else "yellow"))
        ready = [name for name, plan in plans.items() if isinstance(plan, Election)]
        if not elect:
            if ready:
                _last_chance(console, found)
                console.print(f"next: fab rescue --elect {','.join(ready)}{_again(destroyed)}")
            return 1
        wanted = _wanted(elect, found)
        refused = [n for n in wanted if not isinstance(plans[n], Election)]
        if refused:
            then = (
                f"fab rescue --elect {','.join(ready)}{_again(destroyed)}"
                if ready
                else "when that is done: fab rescue"
            )
            why = f"{refused[0]}: {plans[refused[0]]}"
            connect.die(f"rescue: refused, and nothing was changed: {why}\nnext: {then}")
        if not (yes or _typed(console, wanted)):
            connect.die("rescue: not the partitions that would lose records; nothing was changed")
        for one in found:
            plan = plans[one.name]
            if one.name in wanted and isinstance(plan, Election):
                _elect(cluster, one, plan)
                console.print(f"{one.name}: {plan.host} leads from offset {plan.end} on")
        console.print("next: fab status; then fab audit, with --ledger where there is one")
        return 0 if len(wanted) == len(found) else 1
    except OSError as error:
        connect.die(f"rescue: {error}\nnext: fab rescue")
    except KeyboardInterrupt:
        connect.die("rescue: interrupted; fab rescue shows what is left", code=130)


# --- what there is ---


def stranded(cluster: Cluster) -> list[Stranded]:
    """Every partition whose leader is not registered: as a rule no in-sync broker is. Raises
    OSError.
    """
    states, replicas, alive = _partitions(cluster)
    hosts = {host.broker_id: name for name, host in cluster.hosts.items()}
    left = {
        (topic, number): state
        for topic, of in states.items()
        for number, state in of.items()
        if state.leader not in alive
    }
    if not left:
        return []
    copies, silent = _copies(cluster, [f"{topic}-{number}" for topic, number in left])
    read = _read(cluster)
    found = []
    for (topic, number), state in sorted(left.items()):
        of = [hosts[n] for n in replicas[topic, number] if n in hosts]
        name = f"{topic}-{number}"
        found.append(
            Stranded(
                topic,
                number,
                tuple(hosts[n] for n in state.isr if n in hosts),
                tuple(of),
                {h: copies[h][name] for h in of if h in copies},
                {h: silent[h] for h in of if h in silent},
                {group: at[topic, number] for group, at in read.items() if (topic, number) in at},
                frozenset(hosts[n] for n in alive if n in hosts),
            )
        )
    return found


def _partitions(
    cluster: Cluster,
) -> tuple[dict[str, dict[int, registered.State]], dict[tuple[str, int], list[int]], set[int]]:
    """Every partition's state and replicas, and the registered brokers, out of ZooKeeper."""
    client = clients.zookeeper(ensemble.serving(cluster), timeout=ANSWER)
    try:
        client.start(timeout=ANSWER)
        client.sync("/brokers")
        states = registered.states(client, ANSWER)
        replicas = {
            (topic, int(number)): list(of)
            for topic in states
            for number, of in json.loads(client.get(f"/brokers/topics/{topic}")[0])[
                "partitions"
            ].items()
        }
        alive = {int(number) for number in client.get_children("/brokers/ids")}
    except registered.errors() as error:
        why = str(error) or type(error).__name__
        raise OSError(f"ZooKeeper does not say which partitions there are: {why}") from error
    finally:
        client.stop()
        client.close()
    return states, replicas, alive


def _copies(
    cluster: Cluster, names: Iterable[str]
) -> tuple[dict[str, dict[str, Copy]], dict[str, str]]:
    """By host its copies, and why the others could not be asked."""
    line = shlex.join(["standfast", "copies", *names])

    def ask(host: str) -> dict[str, Copy]:
        answer = connect.run(host, f"bash -lc {shlex.quote(line)}", READ)
        try:
            return {name: Copy(**copy) for name, copy in json.loads(answer).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise OSError(f"{host}: {NONSENSE} ({error})") from error

    answers = connect.each(cluster.hosts, ask)
    found = {h: a for h, a in answers.items() if not isinstance(a, OSError)}
    return found, {h: str(a) for h, a in answers.items() if isinstance(a, OSError)}


def _read(cluster: Cluster) -> dict[str, dict[tuple[str, int], int]]:
    """Up to where each consumer has read; nothing of one that cannot be asked."""
    found = {}
    for name, answer in groups(cluster.consumers.values())["groups"].items():
        if "complaint" in answer:
            continue
        found[name] = {
            (topic, int(number)): offset
            for topic, of in answer["committed"].items()
            for number, offset in of.items()
        }
    return found


# --- what is done ---


def _elect(cluster: Cluster, one: Stranded, plan: Election) -> None:
    """Name the copy as in sync, and have Kafka's controller elect it. Raises OSError."""
    number = cluster.hosts[plan.host].broker_id
    path = f"/brokers/topics/{one.topic}/partitions/{one.number}/state"
    client = clients.zookeeper(ensemble.serving(cluster), timeout=ANSWER)
    try:
        client.start(timeout=ANSWER)
        data, stat = client.get(path)
        # The controller reads it before it elects; by version: whoever changed it first was right.
        state = json.loads(data)
        named = number in state["isr"]  # by a command that was interrupted
        alive = set(map(int, client.get_children("/brokers/ids")))
        better = alive & ({state["leader"]} if named else {state["leader"], *state["isr"]})
        gone = number not in alive  # then Kafka would elect another, which has less
        if not (named or better or gone):
            client.set(path, json.dumps({**state, "isr": [number]}).encode(), stat.version)
    except registered.errors() as error:
        raise OSError(f"{one.name}: ZooKeeper did not take it: {error!r}") from error
    finally:
        client.stop()
        client.close()
    if better or gone:  # the operator was asked meanwhile, which takes its time
        now = f"broker {min(better)} is back" if better else f"the broker on {plan.host} is gone"
        raise OSError(f"{one.name}: {now}, and nothing was changed")
    # Kafka's own tool: the library's call for it fails (confluent-kafka 2.16: a SystemError).
    tool = (
        'kafka-leader-election.sh --bootstrap-server "$KAFKA" --election-type unclean '
        f"--topic {shlex.quote(one.topic)} --partition {one.number}"
    )
    connect.run(plan.host, f"bash -lc {shlex.quote(tool)}", TOOL)

    def there() -> str:
        states, _, _ = _partitions(cluster)
        leader = states[one.topic][one.number].leader
        return "" if leader == number else f"its leader is {leader}"

    ensemble.until(there, LEADS, f"{plan.host} to lead {one.name}")


# --- what is shown, and asked ---


def show(console: Console, found: Iterable[Stranded]) -> None:
    """Every copy of every stranded partition."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("partition", "host", "in sync", "last epoch", "end offset", "acknowledged to"):
        table.add_column(name, justify="left" if name in ("partition", "host") else "right")
    table.add_column("")
    for one in found:
        for host in one.replicas:
            copy = one.copies.get(host)
            sync = "yes" if host in one.isr else "no"
            if copy is None:
                why = one.silent.get(host, "was not asked")
                table.add_row(one.name, host, sync, "?", "?", "?", why)
            elif copy.fault:
                table.add_row(one.name, host, sync, "?", "?", f"{copy.high:,}", copy.fault)
            else:
                row = (str(copy.epoch), f"{copy.end:,}", f"{copy.high:,}", "")
                table.add_row(one.name, host, sync, *row)
    console.print(table)


def _last_chance(console: Console, found: Iterable[Stranded]) -> None:
    hosts = sorted({host for one in found for host in one.isr if host not in one.alive})
    if not hosts:
        return
    console.print(
        f"while a disk of {listed(hosts)} can still be read, nothing is lost: switch it on, or put "
        "the disk into a new machine of its name"
    )


def _destroyed(cluster: Cluster, gone: str, found: Iterable[Stranded]) -> list[str]:
    """The hosts of --gone. One that there is not, or that answers, ends it with 2."""
    names = [word.strip() for word in gone.split(",") if word.strip()]
    there = {host for one in found for host in one.copies}
    for name in names:
        ensemble.chosen(cluster, "rescue: --gone", name, cluster.hosts)
        if name in there:
            connect.die(f"rescue: --gone {name}: it answers, and its disk can be read", code=2)
    return names


def _again(destroyed: list[str]) -> str:
    return f" --gone {','.join(destroyed)}" if destroyed else ""


def _wanted(elect: str, found: Iterable[Stranded]) -> list[str]:
    names = [one.name for one in found]
    wanted = [word.strip() for word in elect.split(",") if word.strip()]
    if wanted == ["all"]:
        return names
    if unknown := [name for name in wanted if name not in names]:
        there = ", ".join(names)
        connect.die(f"rescue: {unknown[0]}: is not without a leader; these are: {there}", code=2)
    if not wanted:
        connect.die("rescue: --elect names no partition", code=2)
    return list(dict.fromkeys(wanted))


def _typed(console: Console, wanted: list[str]) -> bool:
    """Whether the operator types the partitions that lose records; without a terminal nobody."""
    if not sys.stdin.isatty():
        connect.die("rescue: nobody can be asked here: --yes", code=2)
    prompt = "type the partitions whose records are given up: "
    try:
        words = console.input(Text(prompt)).replace(",", " ").split()
    except EOFError:  # Ctrl-D
        return False
    return sorted(words) == sorted(wanted)
