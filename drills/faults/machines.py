"""Faults of whole machines: one, two and all three, in every order, with and without time between.

The pause of a death ends when every partition acknowledges again; the return is noted apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from drills.ground import Entry, Ground
from drills.outside import outside
from drills.plan import Planned
from drills.stream import now
from lab.machine import LabError

WHOLE = 240.0  # seconds until a cluster whose machines returned is whole
SOON = 5.0  # seconds: deaths that are less apart are one fault
End = Callable[..., None]


def silent_death(it: Ground, planned: Planned) -> None:
    """One machine, or two or three after one another, or at once: the cable, then everything."""
    _deaths(it, planned, "silent death", it.kill)


def power_cut(it: Ground, planned: Planned) -> None:
    """As a silent death, and what was not flushed is lost."""
    _deaths(it, planned, "power cut", it.cut)


def power_off(it: Ground, planned: Planned) -> None:
    """Switched off in order: every service is stopped first."""
    targets = targets_of(it, planned)
    if len(targets) == len(it.cluster.hosts):
        try:
            _lights_out(it, "power off", targets, lambda: [_off(it, name) for name in targets])
        finally:
            back(it, targets, "after a power off")
        return
    with it.fault("power off", _rung(targets), targets) as entry:
        entry.aimed = it.aimed(targets)
        for name in targets:
            _off(it, name, entry)
        it.flows(90)
        entry.until = now()
    back(it, targets, "after a power off")


def reboot(it: Ground, planned: Planned) -> None:
    """Switched off in order and on again."""
    targets = targets_of(it, planned)
    with it.fault("reboot", _rung(targets), targets) as entry:
        entry.aimed = it.aimed(targets)
        for name in targets:
            _off(it, name, entry)
            it.boot([name], entry)
            if name in it.cluster.hosts:
                it.in_sync(WHOLE)
        it.flows(60)


def freeze(it: Ground, planned: Planned) -> None:
    """Every process of a machine stands still; its kernel still takes connections. Then it goes on.

    The machine that returns believes that nothing has happened.
    """
    targets = targets_of(it, planned)
    with it.fault("machine frozen", _rung(targets), targets) as entry:
        entry.aimed = it.aimed(targets)
        entry.at = now()
        with outside():
            for name in targets:
                it.lab.freeze(name)
        try:
            it.flows(60)
        finally:
            entry.until = now()
            with outside():
                for name in targets:
                    it.lab.thaw(name)
    back(it, targets, switched_on=True)


def _deaths(it: Ground, planned: Planned, kind: str, end: End) -> None:
    targets = targets_of(it, planned)
    try:
        if planned.gap < SOON:
            _at_once(it, kind, targets, end, planned.gap)
        else:
            _in_turn(it, kind, targets, end, planned.gap)
    finally:
        power_on(it, kind, targets)


def _at_once(it: Ground, kind: str, targets: list[str], end: End, gap: float) -> None:
    """All of them before anything can have healed."""

    def strike() -> None:
        if not gap:
            end(*targets)
            return
        for name in targets:
            end(name)
            time.sleep(gap)

    rung = _rung(targets)
    if rung == "all machines":
        return _lights_out(it, kind, targets, strike, f"{gap:g} s apart" if gap else "")
    with it.fault(kind, rung, targets) as entry:
        entry.aimed = it.aimed(targets)
        entry.at = now()
        if gap:
            entry.say(f"{gap:g} s apart")
        strike()
        it.flows(90)
        entry.until = now()
        it.stream.caught_up(90)
    return None


def _in_turn(it: Ground, kind: str, targets: list[str], end: End, gap: float) -> None:
    """One after the other: each is a fault of its own, with a rung of its own."""
    for number, name in enumerate(targets, 1):
        if number == len(it.cluster.hosts):
            _lights_out(it, kind, [name], lambda name=name: end(name))  # type: ignore[misc]
            continue
        rung = "machine" if number == 1 else "second machine"
        with it.fault(kind, rung, [name]) as entry:
            entry.aimed = it.aimed([name])
            entry.at = now()
            end(name)
            if number > 1:
                entry.say(f"after {', '.join(targets[: number - 1])}")
            it.flows(90)
            entry.until = now()
            it.stream.caught_up(90)  # the consumers' takeover is not to meet the next death
        time.sleep(gap)  # the fault: so long nothing else happens


def _lights_out(
    it: Ground, kind: str, targets: list[str], strike: Callable[[], object], note: str = ""
) -> None:
    """The end of the last machine: everything is switched on at once, and the pause is noted."""
    everything = list(it.cluster.hosts)
    with it.fault(kind, "all machines", targets) as entry:
        entry.note = note
        entry.aimed = it.aimed(targets)
        entry.at = now()
        strike()
        struck = now()
        answered = it.boot(everything, entry)
        it.flows(240)
        back_at = it.stream.history.since(struck).worst * 1000 + struck
        entry.pause = (back_at - entry.at) / 1000
        entry.since_sshd = round((back_at - answered) / 1000, 3)
        if len(targets) < len(everything):
            entry.say("the others were dead before: after a last stand")
        entry.until = now()


def power_on(it: Ground, kind: str, targets: list[str]) -> None:
    """Switch on what is off, and wait until the cluster is whole again."""
    back(it, targets, note=f"after a {kind}")


def back(it: Ground, targets: list[str], note: str = "", switched_on: bool = False) -> None:
    """The return of machines is noted as a fault as well: it must cost nothing."""
    with it.fault("return", _rung(targets), targets) as entry:
        if note:
            entry.say(note)
        if not switched_on:
            it.boot(targets, entry)
        it.in_sync(WHOLE)
        it.min_isr(60)
        it.flows(60)


def _off(it: Ground, name: str, entry: Entry | None = None) -> None:
    try:
        with outside():
            it.lab.power_off(name)
    except LabError as error:
        if entry:
            entry.say(f"{error}: it was killed")
        it.kill(name)


def _rung(targets: list[str]) -> str:
    return {1: "machine", 2: "two machines"}.get(len(targets), "all machines")


def targets_of(it: Ground, planned: Planned) -> list[str]:
    """The machines by name: an aim stands for the host that is it just now.

    Where it is one of the others as well, those others change place with it.
    """
    targets = list(planned.targets)
    if not planned.aim:
        return targets
    if planned.aim == "zookeeper leader":
        it.lead_on_a_host()
    host = it.aims().get(planned.aim, "")
    if host not in it.cluster.hosts:
        return targets  # a witness leads: it is a target of other faults
    if host in targets:
        targets.remove(host)
        targets.insert(0, host)
    else:
        targets[0] = host
    return targets


def witness_death(it: Ground, planned: Planned) -> None:
    """A witness dies silently, and returns: nothing but a voter is missing meanwhile."""
    with it.fault("witness' silent death", "machine", planned.targets) as entry:
        entry.aimed = it.aimed(planned.targets)
        entry.at = now()
        it.kill(*planned.targets)
        try:
            it.flows(60)
            entry.until = now()
        finally:
            it.boot(planned.targets, entry)
        for name in planned.targets:
            it.again(name, it.cluster.units(name)["zookeeper"], -1)
