"""A process' clock that jumps, by libfaketime: the machine's own cannot be set on a lab."""

from __future__ import annotations

import time

from drills.ground import DROPIN, Ground
from drills.plan import Planned
from drills.stream import now

JUMPS = ("+300s", "-300s")
LASTS = 6.0  # seconds for which a clock is wrong each time
LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
FILE = "/run/drill-clock"
INSTALL = (
    f"[ -e {LIBRARY} ] || {{ apt-get -qq update && "
    "DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends libfaketime; }"
)
# What waits by the monotonic clock is not to be fooled: a jump does not change that one either.
WITH = (
    "[Service]\\n"
    f"Environment=LD_PRELOAD={LIBRARY} FAKETIME_TIMESTAMP_FILE={FILE} FAKETIME_NO_CACHE=1 "
    "FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_ONLY_CMDS=java\\n"
)


def jump(it: Ground, planned: Planned) -> None:
    """A server's clock jumps five minutes ahead, five minutes back, and is right again."""
    (host,) = planned.targets
    unit = it.cluster.units(host)[planned.unit]
    folder = f"/run/systemd/system/{unit}.d"
    with it.fault(planned.kind, "process", planned.targets, planned.unit) as entry:
        entry.aimed = it.aimed([host])
        it.run(host, INSTALL, 120)
        try:
            it.run(
                host,
                f"mkdir -p {folder} && echo +0s > {FILE} && chmod 644 {FILE} && "
                f"printf '{WITH}' > {folder}/{DROPIN} && "
                f"systemctl daemon-reload && systemctl restart {unit}",
                90,
            )
            it.in_sync(120)
            it.flows(60)
            entry.at = now()
            for seconds in JUMPS:
                it.run(host, f"echo {seconds} > {FILE}")
                time.sleep(LASTS)  # the fault itself lasts so long
                it.flows(60)
            it.run(host, f"echo +0s > {FILE}")
            it.flows(60)
            entry.until = now()
            entry.say(f"{' and '.join(JUMPS)}, {LASTS:g} s each")
        finally:
            it.run(
                host,
                f"rm -f {folder}/{DROPIN} {FILE}; systemctl daemon-reload; "
                f"systemctl restart {unit}",
                90,
            )
        it.in_sync(120)
        it.flows(60)
