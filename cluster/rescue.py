"""A partition whose in-sync copies are all gone: which other copy may lead it, and what that costs.

Pure. Kafka elects nobody out of sync by itself (unclean.leader.election.enable=false), and is
right: whatever the copy that leads does not have is gone, on the others too once they follow it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cluster.writes import listed


@dataclass(frozen=True)
class Copy:
    """A copy on a host that was asked: the epoch of its last batch, the offset after it, the high
    watermark that it noted, and why it cannot be used ("": it can).
    """

    epoch: int = -1
    end: int = 0
    high: int = 0
    fault: str = ""


@dataclass(frozen=True)
class Stranded:
    """A partition without a leader. `isr`, and all `replicas`, by host; `copies` of those that
    could be asked; `silent`: why the others could not; `read`: up to where each consumer had read;
    `alive`: the hosts whose brokers are registered.
    """

    topic: str
    number: int
    isr: tuple[str, ...]
    replicas: tuple[str, ...]
    copies: Mapping[str, Copy]
    silent: Mapping[str, str]
    read: Mapping[str, int]
    alive: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """As it is typed: trades/3."""
        return f"{self.topic}/{self.number}"


@dataclass(frozen=True)
class Election:
    """`host` has the most complete copy; the records from offset `end` on are lost, up to `known`
    at least (None: nobody knows of any).
    """

    host: str
    end: int
    known: int | None


def election(found: Stranded, gone: Collection[str] = ()) -> Election | str:
    """Who is to lead, or why nobody may yet: then something better is still to be had. `gone`: the
    hosts of which an operator says that their disks are destroyed.
    """
    if ready := [host for host in found.isr if host in found.alive]:
        # An election that was interrupted: it was named as in sync, and nobody elected it since.
        return Election(ready[0], found.copies.get(ready[0], Copy()).end, None)
    whole = [host for host in found.isr if host in found.copies and not found.copies[host].fault]
    if whole:
        return (
            f"{listed(whole)} has all of it, and its machine answers: start its broker "
            f"(journalctl -u kafka.service on {listed(whole)})"
        )
    used = {host: copy for host, copy in found.copies.items() if not copy.fault}
    if not used:
        return f"no copy can be used: {_why(found)}; switch on whoever holds one"
    known_to_be = {*found.isr, *found.copies, *gone}
    if others := [host for host in found.replicas if host not in known_to_be]:
        return (
            f"{listed(others)} could not be asked, and may hold more: switch it on first, or where "
            f"its disk is destroyed as well: fab rescue --gone {','.join(others)}"
        )
    best = max(used, key=lambda host: (used[host].epoch, used[host].end))
    if best not in found.alive:  # Kafka would elect another, which has less
        return (
            f"{best} has the most of it, and its broker is not registered: start it "
            f"(journalctl -u kafka.service on {best})"
        )
    end = used[best].end
    beyond = [*found.read.values(), *(copy.high for copy in found.copies.values())]
    known = max(beyond, default=0)
    return Election(best, end, known if known > end else None)


def lost(found: Stranded, of: Election) -> str:
    """What an election costs, in sentences."""
    if of.host in found.isr:
        now = f"{of.host} is in sync, and nobody elected it yet"
        return f"{found.name}: {now}: no more is lost by that"
    gone = f"{found.name}: what was acknowledged from offset {of.end} on is lost for the log"
    if of.known is None:
        return f"{gone}; nobody that could be asked knows of any. A feed's ledger does: fab audit"
    readers = [name for name, at in found.read.items() if at > of.end]
    stored = f"; the sinks of {listed(readers)} hold what they had read of it" if readers else ""
    count = of.known - of.end
    return f"{gone}: offsets {of.end} to {of.known - 1} at least, {count:,}{stored}"


def _why(found: Stranded) -> str:
    faults = {host: copy.fault for host, copy in found.copies.items() if copy.fault}
    return "; ".join(f"{host}: {why}" for host, why in {**faults, **found.silent}.items())
