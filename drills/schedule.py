"""Which faults befall the cluster, in which order: from a seed. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil

from drills.faults import KINDS, counted, places
from drills.plan import Names, Planned

TOGETHER = 3  # light faults that may strike at the same moment
ALONE = 0.4  # how many of the light ones strike alone
# A process' figure is of those that struck alone: so many of these do.
SINGLE = {"kill -9 of a collector": 10, "crash loop of a collector": 10}
# The rungs whose figures need ten of each in two hundred.
LADDER = (
    "silent deaths in turn", "silent deaths at once", "power cut on all", "kill -9 of kafka",
    *SINGLE,
)  # fmt: skip
Batch = tuple[Planned, ...]


def schedule(seed: int, names: Names, faults: int = 200, only: Sequence[str] = ()) -> list[Batch]:
    """About `faults` faults in the order in which they strike; those of a batch do so together.

    Each kind has its share, and goes through all that it may hit before it hits anything again.
    The same seed gives the same plan. `only`: of these kinds alone (ValueError for unknown ones).
    """
    if unknown := set(only) - set(KINDS):
        raise ValueError(f"no such kind of fault: {', '.join(sorted(unknown))}")
    dice = random.Random(seed)
    decks = {kind: _deck(dice, kind, names) for kind in KINDS if places(kind, names)}
    wanted = _shares(dice, {k: KINDS[k].share for k in decks if not only or k in only}, faults)
    heavy: list[Batch] = []
    light: list[Planned] = []
    for kind in wanted:
        planned = next(decks[kind])
        if KINDS[kind].light:
            light.append(planned)
        else:
            heavy.append((planned,))
    batches = heavy + _together(dice, light)
    dice.shuffle(batches)
    return batches


def flat(batches: Sequence[Batch]) -> list[Planned]:
    """All faults of a plan, in order."""
    return [planned for batch in batches for planned in batch]


def _shares(dice: random.Random, shares: dict[str, float], faults: int) -> list[str]:
    """The kinds, each as often as its share says, so that they are `faults` at least."""
    names = Names(("1", "2", "3"), ("4",), ("5",), ("6",), ("7",))
    size = {
        kind: sum(counted(Planned(kind, t, u, a, g)) for t, u, a, g in places(kind, names))
        / max(1, len(places(kind, names)))
        for kind in shares
    }
    total = sum(share * size[kind] for kind, share in shares.items())
    wanted: list[str] = []
    for kind, share in shares.items():
        exact = share * faults / total
        often = int(exact) + (dice.random() < exact - int(exact))
        if kind in LADDER:
            often = max(often, ceil(faults / 20))
        wanted += [kind] * often
    filling = sorted(shares, key=lambda kind: (KINDS[kind].seconds, kind))[:5]
    while sum(size[kind] for kind in wanted) < faults:
        wanted.append(dice.choice(filling))
    dice.shuffle(wanted)
    return wanted


def _deck(dice: random.Random, kind: str, names: Names) -> Iterator[Planned]:
    every = places(kind, names)
    own = random.Random(dice.random())

    def deal() -> Iterator[Planned]:
        while True:
            cards = list(every)
            own.shuffle(cards)
            for targets, unit, aim, gap in cards:
                yield Planned(kind, targets, unit, aim, gap)

    return deal()


def _together(dice: random.Random, light: list[Planned]) -> list[Batch]:
    """Light faults, some alone, some with others that hit other hosts and other services."""
    batches: list[Batch] = []
    left = []
    single: Counter[str] = Counter()
    for planned in light:
        if single[planned.kind] < SINGLE.get(planned.kind, 0):
            single[planned.kind] += 1
            batches.append((planned,))
        else:
            left.append(planned)
    while left:
        batch = [left.pop()]
        if dice.random() > ALONE:
            for other in list(left):
                hosts = {planned.targets for planned in batch}
                units = {planned.unit for planned in batch}
                if other.targets not in hosts and other.unit not in units:
                    batch.append(other)
                    left.remove(other)
                if len(batch) == TOGETHER:
                    break
        batches.append(tuple(_named(batch)))
    return batches


def _named(batch: list[Planned]) -> list[Planned]:
    """Each knows what strikes at the same moment."""
    return [
        replace(planned, together=", ".join(str(other) for other in batch if other is not planned))
        for planned in batch
    ]
