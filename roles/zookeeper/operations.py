"""The two small files that a voter needs in its data directory before its first start."""

from __future__ import annotations

from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import operation

import roles
from roles.zookeeper.facts import DATA, INITIALIZE, LOG, Voter

FOLDERS = f"install -d -o zookeeper -g zookeeper -m 750 /var/lib/zookeeper {DATA} {LOG}"


@operation()
def myid(number: int) -> Iterator[str]:
    """Write the voter's number. One that holds another number is refused: a voter keeps its
    number.
    """
    found = roles.once(host, Voter)
    if found.number == number:
        host.noop(f"it is voter {number}")
        return
    if found.number is not None:
        yield (
            f"echo 'standfast: zookeeper: this host holds the data of voter {found.number}, the "
            f"inventory calls it {number}; a voter keeps its number: put zookeeper_id back' >&2; "
            "exit 1"
        )
        return
    file = f"{DATA}/myid"
    yield f"{FOLDERS} && echo {number} > {file} && chown zookeeper: {file} && sync {file}"


@operation()
def bootstrap() -> Iterator[str]:
    """Tell the voter that it may begin with an empty tree (`initialize`); ZooKeeper removes the
    file as it does.
    """
    found = roles.once(host, Voter)
    if found.has_data or found.may_begin:
        host.noop("it began already")
        return
    # A voter that ran before without a tree has written epoch -1, with which an empty tree does not
    # load.
    yield f"rm -f {DATA}/version-2/currentEpoch {DATA}/version-2/acceptedEpoch"
    yield f"{FOLDERS} && touch {INITIALIZE} && chown zookeeper: {INITIALIZE} && sync {LOG}"
