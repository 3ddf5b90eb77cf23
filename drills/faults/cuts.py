"""Faults of the network: rules in the hosts' own firewalls, so that packets are lost silently."""

from __future__ import annotations

import time
from collections.abc import Sequence

from drills.ground import Ground
from drills.plan import Planned

LASTS = 8.0  # seconds for which a cut lasts that the stream need not survive
TABLE = (
    "nft delete table inet drill 2>/dev/null; nft -f - <<'END'\n"
    "table inet drill {{\n"
    "chain in {{\ntype filter hook input priority 0;\n{into}\n}}\n"
    "chain out {{\ntype filter hook output priority 0;\n{out}\n}}\n"
    "}}\nEND"
)


def rules(into: Sequence[str], out: Sequence[str]) -> str:
    """The script that loads these rules on a host in place of an earlier fault's. Pure."""
    return TABLE.format(into="\n".join(into), out="\n".join(out))


def between(addresses: Sequence[str], both: bool = True, odds: int = 100) -> str:
    """The script that loses `odds` of 100 packets from these addresses, and to them. Pure."""
    chance = f"numgen random mod 100 < {odds} " if odds < 100 else ""
    into = [f"ip saddr {address} {chance}drop" for address in addresses]
    out = [f"ip daddr {address} {chance}drop" for address in addresses] if both else []
    return rules(into, out)


def pair(it: Ground, planned: Planned) -> None:
    """Two hosts do not hear each other; everybody else hears both.

    Where one of them is the controller, the other cannot tell it that its followers are gone, and
    what it leads waits until the cut is over: so it is in every Kafka.
    """
    first, second = planned.targets
    script = between([it.cluster.machines[second].address])
    _cut(it, planned, first, script, flows=False)


def one_way(it: Ground, planned: Planned) -> None:
    """The first host does not hear the second, which hears it. What waits, waits as in a pair."""
    first, second = planned.targets
    script = between([it.cluster.machines[second].address], both=False)
    _cut(it, planned, first, script, flows=False)


def alone(it: Ground, planned: Planned) -> None:
    """One host hears no other machine, and none hears it. Clients do."""
    (host,) = planned.targets
    others = [m.address for n, m in it.cluster.voters.items() if n != host]
    _cut(it, planned, host, between(others))


def witnesses(it: Ground, planned: Planned) -> None:
    """One host does not hear the witnesses."""
    (host,) = planned.targets
    _cut(it, planned, host, between([w.address for w in it.cluster.witnesses.values()]))


def clients(it: Ground, planned: Planned) -> None:
    """Clients elsewhere do not reach a broker that all the cluster finds well."""
    (host,) = planned.targets
    client, port = it.lab.plan.controller, it.cluster.ports.kafka
    script = rules(
        [f"ip saddr {client} tcp dport {port} drop"], [f"ip daddr {client} tcp sport {port} drop"]
    )
    _cut(it, planned, host, script, flows=False)


def lossy(it: Ground, planned: Planned) -> None:
    """One host loses every tenth packet from and to the other machines."""
    (host,) = planned.targets
    others = [m.address for n, m in it.cluster.voters.items() if n != host]
    _cut(it, planned, host, between(others, odds=10))


def _cut(it: Ground, planned: Planned, host: str, script: str, flows: bool = True) -> None:
    with it.fault(planned.kind, "network", planned.targets) as entry:
        entry.aimed = it.aimed([host])
        it.run(host, script)
        try:
            time.sleep(LASTS)  # the fault itself lasts so long
            if flows:
                it.flows(60)
        finally:
            it.run(host, "nft delete table inet drill")
        it.in_sync(120)
        it.flows(60)
