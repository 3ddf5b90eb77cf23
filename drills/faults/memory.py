"""Memory exhausted: something inside a host runs into the limit of all its processes together."""

from __future__ import annotations

import time

from drills.ground import Ground
from drills.plan import Planned
from drills.wait import wait_until
from lab import memory

ROOM = 64 * 2**20  # bytes that a host has left when its limit falls
HUNGRY = (
    "systemd-run --quiet --collect --unit=drill-hungry python3 -c "
    "'import time; a=[]\nfor _ in range(400): a.append(bytearray(1<<20)); time.sleep(0.05)'"
)


def exhaust(it: Ground, planned: Planned) -> None:
    """The kernel kills the largest process of a host whose memory is gone: Kafka's."""
    (host,) = planned.targets
    with it.fault(planned.kind, "memory", planned.targets) as entry:
        entry.aimed = it.aimed([host])
        before = it.run(host, "systemctl show -p MainPID --value kafka")
        try:
            memory.limit(it.lab, host, ROOM)
            it.run(host, HUNGRY)

            def killed() -> bool:
                return memory.kills(it.lab, host) > 0

            # At once: what was there before is not counted, and one kill frees little of it.
            wait_until(killed, 30, f"the kernel to kill something on {host}", every=0.05)
            memory.unlimited(it.lab, host)
            time.sleep(0.5)  # what became of the processes shows
            after = it.run(host, "systemctl show -p MainPID --value kafka")
            entry.say("the kernel killed " + ("the broker" if after != before else "others"))
        finally:
            memory.unlimited(it.lab, host)
            it.run(host, "systemctl stop drill-hungry 2>/dev/null; true")
        it.in_sync(120)
        it.running(90)
        it.flows(60)
