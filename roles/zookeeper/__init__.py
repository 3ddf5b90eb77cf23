"""ZooKeeper: the ensemble's voters, on the hosts and on the witnesses."""

from __future__ import annotations

from pyinfra import inventory
from pyinfra.api import deploy
from pyinfra.api.exceptions import DeployError

import roles
from roles.sets.operations import activate
from roles.zookeeper.facts import Voter, may_bootstrap
from roles.zookeeper.operations import bootstrap, myid

WAIT = "/bin/standfast wait /etc/standfast/probe/staged/probe.toml zookeeper --deadline 90"


@deploy("ZooKeeper's data")
def configure() -> None:
    """A voter's number; and, where not one of all voters holds data, the word that lets them
    begin empty.
    """
    voters = {h.name: roles.once(h, Voter) for h in inventory.get_group("zookeeper")}
    try:
        first = may_bootstrap(voters)
    except ValueError as error:
        raise DeployError(f"zookeeper: {error}") from error
    myid(name="Write the voter's number", number=roles.machine().zookeeper_id)
    if first:
        bootstrap(name="Let the ensemble begin empty: no voter holds data")


@deploy("Start ZooKeeper")
def start() -> None:
    activate(
        name="Start ZooKeeper, and wait until it serves",
        wanted=roles.rendered()["zookeeper"],
        wait=roles.artifacts().host.path + WAIT,
    )
