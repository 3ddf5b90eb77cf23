"""What a voter holds on its disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyinfra.api import FactBase

DATA = "/var/lib/zookeeper/data"
LOG = "/var/lib/zookeeper/log"
# ZooKeeper looks for it beside its transaction log, where that has a directory of its own
# (FileTxnSnapLog).
INITIALIZE = f"{LOG}/initialize"


@dataclass(frozen=True)
class VoterState:
    """`has_data`: a snapshot, a log or an epoch; `may_begin`: it was told that it may begin
    empty.
    """

    number: int | None = None
    has_data: bool = False
    may_begin: bool = False


class Voter(FactBase[VoterState]):
    """A voter's number and whether it holds data."""

    default = VoterState

    def command(self) -> str:
        return (
            f"if [ -s {DATA}/myid ]; then echo myid $(cat {DATA}/myid); fi; "
            f"if [ -e {INITIALIZE} ]; then echo initialize; fi; "
            f"find {DATA}/version-2 {LOG}/version-2 \\( -name 'snapshot.*' -o -name 'log.*' \\) "
            "-printf 'data\\n' -quit 2>/dev/null; "
            # A voter that never had a tree writes epoch -1, one that just began 0.
            f"if grep -qsEv '^(0|-1)$' {DATA}/version-2/currentEpoch; then echo data; fi"
        )

    def process(self, output: Iterable[str]) -> VoterState:
        lines = list(output)
        number = next((int(line.split()[1]) for line in lines if line.startswith("myid ")), None)
        return VoterState(number, "data" in lines, "initialize" in lines)


def may_bootstrap(voters: Mapping[str, VoterState]) -> bool:
    """Whether the ensemble may begin empty: only where not one voter, all of them asked, holds
    data.

    Raises ValueError with a sentence where a majority is empty beside a voter that is not: the
    empty ones could
    elect an empty tree, and the others would throw theirs away.
    """
    empty = [name for name, voter in voters.items() if not voter.has_data]
    if len(empty) == len(voters):
        return True
    if len(empty) * 2 > len(voters):
        having = ", ".join(name for name in voters if name not in empty)
        raise ValueError(
            f"{', '.join(empty)} hold no data, {having} does: without a majority that holds data "
            "nothing elects a leader safely. Restore their /var/lib/zookeeper from their disks or "
            "a backup, then deploy again"
        )
    return False
