"""One word for how a cluster is, why, and what to do next.

    full        everything that there should be is there
    degraded    everything can be written, as far as is known; one more machine may not die
    last stand  one broker takes writes alone, min ISR lowered to 1
    down        something cannot be written

Pure. What could not be asked counts as lost: nothing is called full because nobody looked. A
consumer that is down, or a process that is stale, is said, and costs no redundancy.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.causes import causes
from cluster.explain import Cause, Explain, Missing, State, Steps
from cluster.model import Cluster
from cluster.notes import notes
from cluster.observed import Snapshot
from cluster.writes import Writes, listed

WORDS: dict[State, str] = {
    "full": "full",
    "degraded": "degraded: one more machine may not die",
    "last stand": "last stand",
    "down": "down",
}


@dataclass(frozen=True)
class Verdict:
    """`sentence` is what the state means here; `causes` have the most urgent first."""

    state: State
    sentence: str
    causes: tuple[Cause, ...] = ()

    @property
    def headline(self) -> str:
        """The verdict itself."""
        return f"{WORDS[self.state]}{'; ' if self.state == 'degraded' else ': '}{self.sentence}"

    @property
    def next(self) -> str:
        """The next thing to do; "" where there is nothing."""
        return self.causes[0].do if self.causes else ""

    @property
    def line(self) -> str:
        """All in one line: the verdict, the first cause and what to do about it."""
        if not self.causes:
            return self.headline
        first = self.causes[0]
        but = ", but " if self.state == "full" else "; "
        return f"{self.headline}{but}{first.what}; next: {first.do}"


def verdict(cluster: Cluster, seen: Snapshot, steps: Steps, missing: Missing) -> Verdict:
    """The verdict on what was seen. `steps` is what a roll has to do (cluster.due), `missing` what
    a deploy has to stage; both empty where nobody knows.
    """
    explain, writes = Explain(cluster, seen, steps), Writes(cluster, seen)
    if explain.bare and not seen.machines.keys() - set(explain.bare) and not _serves(seen):
        what = f"nothing of Standfast is on {listed(explain.bare)}"
        return Verdict("down", "nothing was deployed here", (Cause(what, "make deploy", "down"),))
    lost = causes(cluster, seen, writes, explain)
    found = (*lost, *notes(cluster, seen, explain, missing))
    if all(b.complaint for b in seen.brokers.values()):
        return Verdict("down", "nothing can be written: no broker answers", found)
    alone = f"{writes.alone} takes all writes alone, with no second copy"
    stands_alone = bool(writes.alone and writes.lowered)
    if writes.stopped:
        rest = f"; {writes.alone} takes the rest alone" if stands_alone else ""
        return Verdict("down", f"{writes.stopped}{rest}", found)
    if ends := [cause.what for cause in lost if cause.state == "down"]:
        return Verdict("down", ends[0], found)
    if stands_alone:
        return Verdict("last stand", alone, found)
    if not writes.known:
        return Verdict("degraded", "whether everything can be written, nobody could say", found)
    if lost:
        word = "everything can be written"
        return Verdict("degraded", word if explain.led else f"{word} by who writes already", found)
    good = "all replicas are in sync, all of ZooKeeper's voters follow its leader"
    return Verdict("full", good, found)


def _serves(seen: Snapshot) -> bool:
    """Whether anything answers as a voter or a broker."""
    return any(not v.complaint for v in seen.voters.values()) or any(
        not b.complaint for b in seen.brokers.values()
    )
