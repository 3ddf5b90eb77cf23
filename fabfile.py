"""The tasks of every day: `fab --list`. INVENTORY names the cluster (default: the lab).

fab plan        what a deploy and a roll would do, and why; changes nothing
fab roll        make live what a deploy staged, one host at a time
fab status      how the cluster is, and what to do next; changes nothing
fab audit       is each record of the log in the sinks? changes nothing
fab refill      bring what the sinks lack from the log; --into: its records into a file or a topic
fab last-stand  let the hosts that are left go on without a quorum of the others
fab rescue      partitions whose in-sync copies are gone: what the others hold of them
fab rejoin      bring a machine back after a last stand, one at a time
"""

from __future__ import annotations

import sys

from fabric import Connection, task


@task(help={"json": "print one JSON object in place of the table"})
def plan(_: Connection, json: bool = False) -> None:
    """What a deploy and a roll would do. Ends with 0: nothing, 2: something, 1: an error."""
    from tasks import plan

    sys.exit(plan.main(as_json=json))


@task(
    help={
        "only": "hosts and services, with commas between: kafka1 or kafka,zookeeper",
        "yes": "do not ask",
        "wait": "seconds that a process may take to be healthy again (default: 180)",
    }
)
def roll(_: Connection, only: str = "", yes: bool = False, wait: int = 180) -> None:
    """Make live what is staged, a host at a time. Any doubt stops it; run again, it goes on."""
    from tasks import roll

    sys.exit(roll.main(only=only, yes=yes, wait=wait))


@task(
    help={
        "json": "print one JSON object in place of the screen",
        "watch": "look again every two seconds, until Ctrl-C",
    }
)
def status(_: Connection, json: bool = False, watch: bool = False) -> None:
    """How the cluster is, and what to do next. Ends with 0: full, 1: anything else."""
    from tasks import status

    sys.exit(status.main(as_json=json, watch=watch))


WHICH = {
    "collector": "this one alone",
    "topic": "this one alone",
    "since": "what the log stored since: 2026-11-24T02:00, or 2h, 3d ago (and a minute before)",
    "until": "and until then",
}


@task(
    help={
        **WHICH,
        "ledger": "a feed's ledger: each record it has acknowledged must be in the log",
        "json": "print one JSON object in place of the table",
    }
)
def audit(
    _: Connection,
    collector: str = "",
    topic: str = "",
    since: str = "",
    until: str = "",
    ledger: str = "",
    json: bool = False,
) -> None:
    """Is each record of the log in the sinks? Ends with 0: all, 1: not, or not all was asked."""
    from tasks import audit

    sys.exit(audit.main(collector, topic, since, until, ledger, json))


@task(
    help={
        **WHICH,
        "into": "replay that time of --topic, whatever the sinks hold: --into=FILE, or topic:NAME",
        "rate": "records a second at most: --rate=1000",
        "yes": "do not ask",
    }
)
def refill(
    _: Connection,
    collector: str = "",
    topic: str = "",
    since: str = "",
    until: str = "",
    into: str | None = None,
    rate: float = 0.0,
    yes: bool = False,
) -> None:
    """Bring what the sinks lack from the log. Ends with 0: nothing is missing now."""
    from tasks import refill, replay

    if into is not None:
        sys.exit(replay.main(topic, since, until, into, rate, yes, collector))
    sys.exit(refill.main(collector, topic, since, until, rate, yes))


@task(
    name="last-stand",
    positional=["host"],
    help={
        "host": "a host that is left, and whose data count",
        "off": "the machines that are switched off and will stay so: --off=kafka1,kafka2",
        "yes": "do not ask before the inventory's fence commands are run",
    },
)
def last_stand(_: Connection, host: str, off: str = "", yes: bool = False) -> None:
    """Without a ZooKeeper quorum: let the hosts that are left take writes. Asks before."""
    from tasks import laststand

    sys.exit(laststand.main(host, off, yes))


@task(
    positional=["host"],
    help={
        "host": "the machine that comes back; it is switched on",
        "discard": "what it holds that the last stand never had may be lost",
    },
)
def rejoin(_: Connection, host: str, discard: bool = False) -> None:
    """Bring a machine back after a last stand, one at a time; the last ends it."""
    from tasks import rejoin

    sys.exit(rejoin.main(host, discard))


@task(
    help={
        "elect": "let the most complete copy of these lead: --elect=trades/3,trades/5, or all",
        "gone": "hosts whose disks are destroyed as well: --gone=kafka2",
        "yes": "do not ask: what the others do not have is given up",
    }
)
def rescue(_: Connection, elect: str = "", gone: str = "", yes: bool = False) -> None:
    """Partitions whose in-sync copies are all gone. Changes nothing without --elect."""
    from tasks import rescue

    sys.exit(rescue.main(elect, gone, yes))
