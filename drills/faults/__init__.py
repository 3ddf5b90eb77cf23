"""Every kind of fault by name: what does it, and what it may hit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, permutations

from drills.faults import cuts, damage, disks, machines, memory, processes
from drills.ground import Ground
from drills.plan import Names, Planned

Place = tuple[tuple[str, ...], str, str, float]  # targets, unit, aim, gap
AIMS = ("controller", "coordinator", "zookeeper leader")


@dataclass(frozen=True)
class Kind:
    """A kind of fault. `light` ones may strike several hosts at the same moment.

    `share`: how many of 200 faults are of this kind. `counts`: how many faults one of them is, by
    number of targets. `seconds`: what one takes on the lab.
    """

    do: Callable[[Ground, Planned], None]
    where: Callable[[Names], list[Place]]
    share: float
    seconds: float
    light: bool = False


# --- targets ---


def _units(*services: str) -> Callable[[Names], list[Place]]:
    def of(names: Names) -> list[Place]:
        found: list[Place] = []
        for service in services:
            every = {
                "collectors": names.collectors, "scripts": names.scripts, "aides": names.aides,
            }  # fmt: skip
            for unit in every.get(service, (service,)):
                at = names.hosts
                if unit == "zookeeper" or unit in names.witnessed:
                    at += names.witnesses
                found += [((host,), unit, "", 0.0) for host in at]
        return found

    return of


def _one(names: Names) -> list[Place]:
    """Each host, and each aim."""
    found: list[Place] = [((host,), "", "", 0.0) for host in names.hosts]
    return found + [((host,), "", aim, 0.0) for host, aim in zip(names.hosts, AIMS, strict=False)]


def _each_host(names: Names) -> list[Place]:
    return [((host,), "", "", 0.0) for host in names.hosts]


def _in_turn(names: Names) -> list[Place]:
    """Every order of two, some seconds apart, by name and by aim."""
    pairs = list(permutations(names.hosts, 2))
    found: list[Place] = [(pair, "", "", 6.0) for pair in pairs]
    return found + [(pair, "", aim, 6.0) for pair, aim in zip(pairs, AIMS, strict=False)]


def _two_at_once(names: Names) -> list[Place]:
    """Every two at once, every order of two in a moment, and each aim."""
    both = list(combinations(names.hosts, 2))
    found: list[Place] = [(pair, "", "", 0.0) for pair in both]
    found += [(pair, "", "", 1.0) for pair in permutations(names.hosts, 2)]
    return found + [(pair, "", aim, 0.0) for pair, aim in zip(both, AIMS, strict=False)]


def _all_at_once(names: Names) -> list[Place]:
    """All three, at once and in every order a moment apart."""
    return [(names.hosts, "", "", 0.0)] * 6 + [
        (order, "", "", 1.0) for order in permutations(names.hosts)
    ]


def _all_in_turn(names: Names) -> list[Place]:
    return [(order, "", "", 6.0) for order in permutations(names.hosts)]


def _each_order(names: Names) -> list[Place]:
    return [(order, "", "", 0.0) for order in permutations(names.hosts)]


def _all_together(names: Names) -> list[Place]:
    return [(names.hosts, "", "", 0.0)]


def _pairs(names: Names) -> list[Place]:
    return [(pair, "", "", 0.0) for pair in combinations(names.hosts, 2)]


def _ordered(names: Names) -> list[Place]:
    return [(pair, "", "", 0.0) for pair in permutations(names.hosts, 2)]


def _damaged_first(names: Names) -> list[Place]:
    return [((host, *(h for h in names.hosts if h != host)), "", "", 0.0) for host in names.hosts]


def _witness(names: Names) -> list[Place]:
    return [((name,), "", "", 0.0) for name in names.witnesses]


def _near_witnesses(names: Names) -> list[Place]:
    return _each_host(names) if names.witnesses else []


def _database(names: Names) -> list[Place]:
    return [((name,), "", "", 0.0) for name in names.databases[:1]]


# --- the kinds: what does it, where, how many of 200, seconds ---

KILL, STOP, LOOP = processes.kill, processes.hang, processes.loop
KINDS: dict[str, Kind] = {
    "kill -9 of kafka": Kind(KILL, _units("kafka"), 12, 18),
    "kill -9 of zookeeper": Kind(KILL, _units("zookeeper"), 12, 6),
    "kill -9 of a collector": Kind(KILL, _units("collectors"), 20, 5, light=True),
    "kill -9 of a script": Kind(KILL, _units("scripts"), 10, 4, light=True),
    "kill -9 of an aide": Kind(KILL, _units("aides"), 14, 4, light=True),
    "SIGSTOP of kafka": Kind(STOP, _units("kafka"), 3, 45),
    "SIGSTOP of zookeeper": Kind(STOP, _units("zookeeper"), 4, 30),
    "SIGSTOP of a collector": Kind(STOP, _units("collectors"), 6, 16, light=True),
    "SIGSTOP of a script": Kind(STOP, _units("scripts"), 4, 16, light=True),
    "SIGSTOP of an aide": Kind(STOP, _units("aides"), 4, 25, light=True),
    "crash loop of kafka": Kind(LOOP, _units("kafka"), 2, 45),
    "crash loop of zookeeper": Kind(LOOP, _units("zookeeper"), 2, 25),
    "crash loop of a collector": Kind(LOOP, _units("collectors"), 10, 36, light=True),
    "crash loop of a script": Kind(LOOP, _units("scripts"), 2, 24, light=True),
    "crash loop of an aide": Kind(LOOP, _units("aides"), 3, 24, light=True),
    "silent death": Kind(machines.silent_death, _one, 6, 35),
    "silent deaths in turn": Kind(machines.silent_death, _in_turn, 11, 60),
    "silent deaths at once": Kind(machines.silent_death, _two_at_once, 12, 45),
    "silent deaths of all in turn": Kind(machines.silent_death, _all_in_turn, 2, 80),
    "silent deaths of all": Kind(machines.silent_death, _all_at_once, 1, 45),
    "power cut": Kind(machines.power_cut, _one, 3, 35),
    "power cuts in turn": Kind(machines.power_cut, _in_turn, 1, 60),
    "power cuts at once": Kind(machines.power_cut, _two_at_once, 2, 45),
    "power cut on all": Kind(machines.power_cut, _all_at_once, 12, 45),
    "power cuts of all in turn": Kind(machines.power_cut, _all_in_turn, 2, 80),
    "power off": Kind(machines.power_off, _one, 3, 45),
    "power off of two": Kind(machines.power_off, _ordered, 1, 60),
    "power off of all": Kind(machines.power_off, _all_together, 1, 70),
    "reboot": Kind(machines.reboot, _one, 3, 35),
    "reboots of all in turn": Kind(machines.reboot, _each_order, 1, 90),
    "machine frozen": Kind(machines.freeze, _one, 3, 40),
    "witness' silent death": Kind(machines.witness_death, _witness, 3, 12),
    "cut between two hosts": Kind(cuts.pair, _pairs, 4, 20),
    "cut one way": Kind(cuts.one_way, _ordered, 6, 20),
    "cut from all others": Kind(cuts.alone, _each_host, 4, 25),
    "cut from the witnesses": Kind(cuts.witnesses, _near_witnesses, 3, 12),
    "cut from the clients": Kind(cuts.clients, _each_host, 3, 12),
    "packets dropped": Kind(cuts.lossy, _each_host, 4, 15),
    "disk full": Kind(disks.full, _each_host, 3, 35),
    "disks full on all": Kind(disks.full_everywhere, _all_together, 1, 90),
    "memory exhausted": Kind(memory.exhaust, _each_host, 3, 25),
    "sink down": Kind(disks.sink_down, _database, 3, 15),
    "sink slow": Kind(disks.sink_slow, _database, 3, 15),
    "sink full": Kind(disks.sink_full, _database, 2, 20),
    **{kind: Kind(damage.damaged, _each_host, 2, 40) for kind in damage.KINDS},
    **{
        kind + damage.POWER: Kind(damage.with_power, _damaged_first, 1, 70) for kind in damage.KINDS
    },
}
NOT_HERE = {
    "clock jumps": "the hosts of a lab share this machine's clock, which cannot be set; with "
    "libfaketime 0.9.10 in its unit, the start gate of a server fails before the server starts",
    "slow links": "this kernel has no netem",
}


def places(kind: str, names: Names) -> list[Place]:
    """Where a kind of fault may strike: the matrix' row."""
    return KINDS[kind].where(names)


def matrix(names: Names) -> list[Planned]:
    """Every combination of a kind and what it may hit that exists."""
    return [
        Planned(kind, targets, unit, aim, gap)
        for kind in KINDS
        for targets, unit, aim, gap in places(kind, names)
    ]


def strike(it: Ground, planned: Planned) -> None:
    """Do a fault, and return when all is well again. Raises one of ground.ILL."""
    KINDS[planned.kind].do(it, planned)


def counted(planned: Planned) -> int:
    """How many faults a planned one is: the deaths of machines in turn are one each."""
    return len(planned.targets) if planned.gap >= machines.SOON else 1
