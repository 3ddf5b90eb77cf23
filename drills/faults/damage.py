"""Copies that are damaged: a bit turned over in a file of one host, or files of it gone.

The start gate must find that out and mend it, without a hand; but a closed segment is read only
where somebody asks for it, as an operator does whom an alarm has told of a damaged batch. Alone,
and together with the power going on all three: then the damage happens under the running processes,
and the host comes first.
"""

from __future__ import annotations

import shlex

import connect
from drills.faults.machines import WHOLE, back
from drills.ground import Entry, Ground
from drills.plan import Planned
from drills.stream import now
from drills.wait import NotYet, wait_until

KAFKA, ZOOKEEPER = "/var/lib/kafka/data", "/var/lib/zookeeper"
# Prints what was turned over. A file's preallocated end of zeros is left alone.
FLIP = """
import glob, os, sys
what, topic = sys.argv[1:]
if what == 'zookeeper':
    files = glob.glob("/var/lib/zookeeper/log/version-2/log.*")
    files = sorted(files, key=os.path.getmtime)[-1:]
elif what == 'snapshot':
    files = glob.glob("/var/lib/zookeeper/data/version-2/snapshot.*")
    files = sorted(files, key=os.path.getmtime)[-1:]
else:
    places = glob.glob(f"/var/lib/kafka/data/{topic}-[0-9]*")
    logs = [sorted(glob.glob(d + "/*.log")) for d in places]
    if what == 'closed':
        files = [f for found in logs for f in found[:-1]]
    else:
        files = [found[-1] for found in logs if found]
if not files:
    sys.exit('there is no such file yet')
path = max(files, key=os.path.getsize)
with open(path, 'r+b') as file:
    used = len(file.read().rstrip(b'\\0'))
    if used < 200:
        sys.exit(path + ' holds nothing yet')
    at = used // 2
    file.seek(at)
    byte = file.read(1)[0]
    file.seek(at)
    file.write(bytes([byte ^ 0x10]))
    file.flush()
    os.fsync(file.fileno())
print(path, 'at byte', at)
"""
KINDS = {
    "bit flipped in the active segment": ("kafka", "active"),
    "bit flipped in a closed segment": ("kafka", "closed"),
    "bit flipped in ZooKeeper's log": ("zookeeper", "zookeeper"),
    "bit flipped in ZooKeeper's snapshot": ("zookeeper", "snapshot"),
    "Kafka's files deleted": ("kafka", ""),
    "ZooKeeper's files deleted": ("zookeeper", ""),
}
EVERY_SEGMENT = "install -o kafka /dev/null /var/lib/kafka/check-every-segment; sync"
POWER = " and the power cut on all three"


def damaged(it: Ground, planned: Planned) -> None:
    """The process dies, its files are damaged, it is started: by itself all is whole again."""
    (host,) = planned.targets
    service, what = KINDS[planned.kind]
    with it.fault(planned.kind, "data", planned.targets, service) as entry:
        entry.aimed = it.aimed([host])
        it.run(host, f"systemctl kill -s KILL {service}; systemctl stop {service}", 60)
        entry.at = now()
        try:
            _damage(it, host, service, what, entry)
        finally:
            it.run(host, f"systemctl start --no-block {service}")
        _mended(it, host)


def with_power(it: Ground, planned: Planned) -> None:
    """The power goes on all three, one of them is damaged, and that one is back first."""
    host, *others = planned.targets
    service, what = KINDS[planned.kind.removesuffix(POWER)]
    try:
        with it.fault(planned.kind, "data", planned.targets, service) as entry:
            entry.aimed = it.aimed([host])
            _damage(it, host, service, what, entry)
            entry.at = now()
            it.cut(*planned.targets)
            it.boot([host], entry, wait=False)
            answered = now()

            def waits() -> bool:
                # What it does alone for a while must not be what the others have to follow.
                if now() - answered < 10_000:
                    raise NotYet("the damaged one is alone")
                return True

            wait_until(waits, 20, "the damaged host to have had its time alone", every=1)
            it.boot(others, entry)
            it.flows(240)
            _mended(it, host)
    finally:
        back(it, list(planned.targets), f"after: {planned.kind}")


def _mended(it: Ground, host: str) -> None:
    it.running(WHOLE)
    it.in_sync(WHOLE)
    it.flows(60)

    def follows() -> bool:
        voter = it.cluster.voters[host]
        answer = connect.zookeeper_answer(f"{voter.address}:{it.cluster.ports.zookeeper}", "srvr")
        if "Mode: " not in answer:
            raise NotYet("it serves nobody")
        return True

    wait_until(follows, 60, f"the ZooKeeper of {host} to serve", every=0.5)


def _damage(it: Ground, host: str, service: str, what: str, entry: Entry) -> None:
    if what == "closed":
        it.run(host, EVERY_SEGMENT)
        entry.say("every segment is to be read")
    if what:
        script = f"python3 -c {shlex.quote(FLIP)} {what} {it.stream.topic}"
        entry.say(it.run(host, script).strip())
    elif service == "kafka":
        it.run(host, f"rm -rf {KAFKA}/*; sync -f /var/lib/kafka", 60)
    else:
        it.run(host, f"rm -rf {ZOOKEEPER}/*/version-2; sync -f {ZOOKEEPER}", 60)


def last_resort(it: Ground) -> list[str]:
    """What no gate mended is taken away by hand, so that the run can go on: what was done.

    A run in which this did anything is not good.
    """
    done = []
    for host in it.cluster.hosts:
        found = it.run(host, "systemctl is-active zookeeper kafka; true").split()
        for service, state in zip(("zookeeper", "kafka"), found, strict=False):
            if state == "active":
                continue
            brokers = it.stream.seen.brokers()
            others = {name: n for name, n in brokers.lagging.items() if n and name != host}
            if service == "kafka" and (others or brokers.offline):
                done.append(f"{host}: {service} is {state}, and the others are not whole: left")
                continue
            if service == "zookeeper" and not it.zookeeper_leader():
                done.append(f"{host}: {service} is {state}, and no other leads: left")
                continue
            gone = f"{ZOOKEEPER}/*/version-2" if service == "zookeeper" else f"{KAFKA}/*"
            it.run(host, f"systemctl stop {service}; rm -rf {gone}; systemctl start {service}", 120)
            done.append(f"{host}: {service} was {state}: its files were taken away by hand")
    brokers = it.stream.seen.brokers()
    for host, behind in brokers.lagging.items():
        if behind and host in brokers.alive:
            # A fetcher that gave a partition up takes it up again in a new process.
            it.run(host, "systemctl kill -s KILL kafka")
            done.append(f"{host}: {behind} replicas did not catch up: its broker was killed")
    return done
