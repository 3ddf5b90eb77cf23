"""What a planned fault is. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """One fault that is to be: `unit` is a service's name as the inventory has it ("" for none).

    `aim`: the first target is the host that is this just then (controller, coordinator, zookeeper
    leader). `gap`: seconds between the targets' deaths, 0 for at once. `together`: what else is
    done at the same moment.
    """

    kind: str
    targets: tuple[str, ...]
    unit: str = ""
    aim: str = ""
    gap: float = 0.0
    together: str = ""

    def __str__(self) -> str:
        where = "+".join(self.targets)
        what = f"{self.kind} ({self.unit})" if self.unit else self.kind
        more = f" ({self.aim})" if self.aim else ""
        return f"{what} on {where}{more}" + (f", {self.gap:g} s apart" if self.gap else "")


@dataclass(frozen=True)
class Names:
    """Who is there to be hit."""

    hosts: tuple[str, ...]
    witnesses: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    collectors: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    aides: tuple[str, ...] = ("probe", "alert", "guardian")
    witnessed: tuple[str, ...] = ("probe", "alert")  # of the aides, those that a witness has
