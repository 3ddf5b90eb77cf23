"""What costs a cluster its redundancy or its writes, and what to do: the most urgent first.

Each thing is said once, by what explains the most of it. What could not be asked is among it.
"""

from __future__ import annotations

from cluster import health
from cluster.disk import LEAST_FREE
from cluster.explain import Cause, Explain
from cluster.model import Cluster
from cluster.narrow import following, next_to_rejoin
from cluster.observed import OverridesSeen, Snapshot
from cluster.overview import disk_view, lag
from cluster.sizes import show_size
from cluster.stand import inside, last_stand, narrowed, survivor
from cluster.writes import Places, Writes, listed, lives, places

NOT_ASKED = "was not asked"
EVERY_BROKER = "journalctl -u kafka.service on every host"


def causes(cluster: Cluster, seen: Snapshot, writes: Writes, explain: Explain) -> list[Cause]:
    """All of them, in the order in which they are to be looked after."""
    return [
        *machines(cluster, seen, explain),
        *disks(cluster, seen),
        *quorum(cluster, seen, explain),
        *brokers(cluster, seen, explain),
        *partitions(cluster, seen, writes, explain),
        *ensemble(cluster, seen, explain),
        *topics(cluster, seen, writes),
        *unasked(cluster, seen, writes, explain),
    ]


def machines(cluster: Cluster, seen: Snapshot, explain: Explain) -> list[Cause]:
    """Machines that answer to nothing, and machines on which there is nothing."""
    found, gone = [], listed(explain.gone)
    if len(explain.gone) == len(cluster.voters):
        do = "look at this controller's own network; if that is up, switch them on"
        found.append(Cause("no machine answers to anything", do))
    elif explain.gone:
        verb = "answers" if len(explain.gone) == 1 else "answer"
        what = f"{gone} {verb} to nothing: off, cut off or hung"
        found.append(Cause(what, _switch_on(cluster, seen, explain)))
    if explain.bare:
        what = f"nothing of Standfast is on {listed(explain.bare)}"
        found.append(Cause(what, "make deploy"))
    return found


def _switch_on(cluster: Cluster, seen: Snapshot, explain: Explain) -> str:
    """What to do about dead machines. In a narrowed ensemble they come back one at a time; without
    a quorum there is the last stand by hand.
    """
    of = narrowed(seen.machines.values())
    if of and (then := next_to_rejoin(cluster, of.voters)):
        return f"one at a time: switch {then.rpartition(' ')[2]} on, or mend its network; {then}"
    do = f"switch {listed(explain.gone)} on, or mend the network"
    here = [name for name in cluster.voters if name not in explain.away]
    hosts = [name for name in cluster.hosts if name in here]
    if of or explain.led or not hosts or len(here) > len(cluster.voters) // 2:
        return do
    return f"{do}; where that cannot be done soon: fab last-stand {hosts[0]}"


def disks(cluster: Cluster, seen: Snapshot) -> list[Cause]:
    """Disks that are full soon: a broker stops when its is."""
    found = []
    for name in cluster.hosts:
        machine = seen.machines.get(name)
        here = disk_view(cluster, machine) if machine else None
        if here is None:
            continue
        left = f"{show_size(here.free)} of {show_size(here.size)}"
        soon = here.days_left is not None and here.days_left < 1
        if here.free < LEAST_FREE * here.size or soon:
            what = f"{name}'s disk has {left} left, and its broker stops when it is full"
            found.append(Cause(what, f"on {name}: du -xh --max-depth=2 /; free some"))
    return found


def quorum(cluster: Cluster, seen: Snapshot, explain: Explain) -> list[Cause]:
    """No ZooKeeper leader: nothing that dies now is replaced, and nothing can be changed."""
    if explain.led:
        return []
    of = narrowed(seen.machines.values())
    voters = inside(cluster, of) if of else list(cluster.voters)
    most = len(voters)
    answer = sum(not v.complaint for name, v in seen.voters.items() if name in voters)
    what = f"ZooKeeper has no quorum: {answer} of {most} voters answer, {most // 2 + 1} must"
    here = [name for name in cluster.voters if name not in explain.away]
    mends = [cause.do for cause in explain.together("zookeeper", here, explain.voter)]
    if not mends and explain.gone:
        mends = [_switch_on(cluster, seen, explain)]
    do = mends[0] if mends else "journalctl -u zookeeper.service on every voter"
    # A producer that begins is given its id out of ZooKeeper.
    return [Cause(f"{what}; nothing that dies now is replaced, and no producer can begin", do)]


def brokers(cluster: Cluster, seen: Snapshot, explain: Explain) -> list[Cause]:
    """Brokers that are missing, unwell or unknown; and no controller."""
    here = [name for name in cluster.hosts if name not in explain.away]
    found = explain.together("kafka", here, explain.broker)
    registry = seen.registry
    if registry.complaint:
        return found
    known = {h.broker_id for h in cluster.hosts.values()}
    for number in sorted(registry.brokers.keys() - known):
        what = f"broker {number} at {registry.brokers[number]} is of no host of the inventory"
        found.append(Cause(what, "stop it, or name its host in the inventory"))
    alive = [name for name in cluster.hosts if lives(cluster, seen, name)]
    if alive and registry.controller not in known:
        what = "no broker is the controller: no dead leader is replaced"
        found.append(Cause(what, EVERY_BROKER))
    return found


def partitions(cluster: Cluster, seen: Snapshot, writes: Writes, explain: Explain) -> list[Cause]:
    """Replicas that are missing though their brokers live, and copies that never were."""
    found = []
    names = {h.broker_id: n for n, h in cluster.hosts.items()}
    behind: dict[str, Places] = {}
    leaderless: Places = {}
    for topic in seen.topics.topics.values():
        for number, p in enumerate(topic.partitions):
            out = (set(p.replicas) - set(p.isr)) & writes.live
            for host in sorted(names.get(n, f"broker {n}") for n in out):
                behind.setdefault(host, {}).setdefault(topic.name, []).append(number)
            # Where the last in-sync replica is on a dead broker, that broker is the cause.
            if p.leader not in writes.live and set(p.isr) & writes.live:
                leaderless.setdefault(topic.name, []).append(number)
    if leaderless:
        what = f"no leader yet for {places(leaderless)}"
        found.append(Cause(what, f"fab status again, in some seconds; {EVERY_BROKER}"))
    late: dict[str, list[str]] = {}
    for host, there in behind.items():
        if host in cluster.hosts and explain.broker(host) is not None:
            continue  # that it is not well is said
        count = sum(map(len, there.values()))
        which = places(there) if count < writes.all else f"any of the {count} partitions"
        late.setdefault(which, []).append(host)
    for which, hosts in late.items():
        what = f"running, but not in sync with {which}: kafka on {listed(hosts)}"
        where = f"journalctl -u kafka.service on {listed(hosts)}"
        found.append(Cause(what, f"fab status --watch: it catches up; or else {where}"))
    if writes.never:
        what = f"fewer replicas than a write needs: {places(writes.never)}"
        found.append(Cause(what, _copies(writes.never)))
    if alone := _single(cluster, seen, writes):
        what = f"a single copy, which dies with its machine: {places(alone)}"
        found.append(Cause(what, _copies(alone)))
    return found


def _single(cluster: Cluster, seen: Snapshot, writes: Writes) -> Places:
    """The partitions with one replica, but where the inventory accepts that."""
    found = {}
    for topic in seen.topics.topics.values():
        alone = [n for n, p in enumerate(topic.partitions) if len(p.replicas) == 1]
        accepted = f"topics.{topic.name}.replication" in cluster.risks or len(cluster.hosts) == 1
        if alone and not accepted and topic.name not in writes.never:
            found[topic.name] = alone
    return found


def _copies(found: Places) -> str:
    return f"kafka-reassign-partitions.sh, or delete {listed(found)}"


def ensemble(cluster: Cluster, seen: Snapshot, explain: Explain) -> list[Cause]:
    """Voters that do not serve, follow out of sync, or are of another ensemble."""
    if not explain.led:
        return []  # quorum() says so
    of = narrowed(seen.machines.values())
    voters = inside(cluster, of) if of else list(cluster.voters)
    here = [name for name in voters if name not in explain.away]
    found = explain.together("zookeeper", here, explain.voter)
    if of:
        outside = [name for name in cluster.voters if name not in voters]
        what = f"ZooKeeper's ensemble is narrowed to {listed(voters)} since a last stand"
        out = f"{what}; {listed(outside)} {'is' if len(outside) == 1 else 'are'} left out"
        if outside:
            found.append(Cause(out, following(cluster, of.voters)))
        else:  # the last return was interrupted before the records were taken away
            found.append(Cause(f"{what}: its end was interrupted", f"fab rejoin {voters[-1]}"))
    others = len(voters) - 1
    silent = sum(explain.voter(name) is not None for name in voters)
    leaders = [name for name, voter in seen.voters.items() if voter.state == "leader"]
    for name in leaders:
        synced = seen.voters[name].synced
        if synced is None or synced < others - silent:
            count = "an unknown number" if synced is None else synced
            what = f"ZooKeeper's leader {name} has {count} of {others} followers in sync"
            found.append(Cause(what, "journalctl -u zookeeper.service on the followers"))
    if len(leaders) > 1:
        what = f"{listed(leaders)} both say that they lead ZooKeeper"
        found.append(Cause(what, f"journalctl -u zookeeper.service on {listed(leaders)}"))
    for name, voter in seen.voters.items():
        due = (name, "zookeeper") in explain.steps  # then the roll brings it
        if voter.state and not of and not due and health.membership(cluster, name, voter):
            what = f"the voter on {name} runs with another ensemble than the inventory's"
            found.append(Cause(what, f"fab plan; journalctl -u zookeeper.service on {name}"))
    return found


def topics(cluster: Cluster, seen: Snapshot, writes: Writes) -> list[Cause]:
    """Topics that are missing, or take a write with fewer copies than they should."""
    found: list[Cause] = []
    if not writes.known:
        return found
    lost = [n for n in (*cluster.topics, cluster.canary.name) if n not in seen.topics.topics]
    if lost:
        found.append(Cause(f"there is no topic {listed(lost)}", "make deploy", "down"))
    stand = last_stand(seen)
    if writes.lowered and stand:
        names = listed(writes.lowered)
        what = f"{survivor(cluster, stand)}'s guardian lowered min ISR to 1 on {names}"
        back = "by itself when every partition has its copies in sync"
        found.append(Cause(what, f"fab status --watch: the guardian puts it back, {back}"))
    elif writes.lowered:
        what = f"min ISR is lowered on {listed(writes.lowered)}"
        inner = [name for name in writes.lowered if name.startswith("__")]
        do = "make deploy"
        if inner:
            set_to = f"--add-config min.insync.replicas=2 --topic {inner[0]}"
            tool = f'kafka-configs.sh --bootstrap-server "$KAFKA" --alter {set_to}'
            do = f"on a host: {tool}; then make deploy"
        if writes.alone:
            do = f"wait for a second broker; {do}"
        found.append(Cause(what, do))
    return found


def unasked(cluster: Cluster, seen: Snapshot, writes: Writes, explain: Explain) -> list[Cause]:
    """What could not be asked, and is not explained by what is gone."""
    left = [name for name in cluster.voters if name not in {*seen.machines, *explain.away}]
    why = {name: seen.unasked.get(name, NOT_ASKED) for name in left}
    found = [Cause(f"{n} could not be looked at: {why[n]}", f"ssh {n}") for n in left]
    again = f"fab status again; {EVERY_BROKER}"
    if explain.led and seen.registry.complaint:
        what = f"what ZooKeeper holds could not be read: {seen.registry.complaint}"
        found.append(Cause(what, "fab status again; journalctl -u zookeeper.service"))
    if not any(not broker.complaint for broker in seen.brokers.values()):
        return found  # nobody to ask: the brokers' own causes say so
    if not writes.known:
        there = seen.topics.complaint or "there is none at all"
        return [*found, Cause(f"the topics could not be read: {there}", again)]
    if explain.led and seen.topics.unset:
        found.append(Cause(f"the topics' settings could not be read: {seen.topics.unset}", again))
    for name in cluster.hosts:
        own = seen.overrides.get(name, OverridesSeen(complaint=NOT_ASKED))
        if own.complaint and name not in explain.away and explain.broker(name) is None:
            what = f"the settings of {name}'s broker could not be read: {own.complaint}"
            found.append(Cause(what, again))
    silent: dict[str, list[str]] = {}
    for name in cluster.consumers:
        behind = lag(cluster, name, seen)
        reason = behind.complaint
        if behind.partitions and not writes.stopped:
            reason = f"nobody told how long {behind.partitions} of its partitions are"
        if reason:
            silent.setdefault(reason, []).append(name)
    for reason, names in silent.items():
        what = f"how far {listed(names)} {'is' if len(names) == 1 else 'are'} could not be read"
        found.append(Cause(f"{what}: {reason}", again))
    return found
