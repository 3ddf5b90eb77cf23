"""The base of every host: packages, users, names, the kernel's settings, the clock."""

from __future__ import annotations

from pyinfra import host, logger
from pyinfra.api import deploy

import roles
from cluster.model import Database
from cluster.releases import RELEASES
from connect import cluster
from roles.base.facts import Release, Settable
from roles.base.operations import hosts_file, packages
from roles.sets.operations import activate, stage


@deploy("Install the packages")
def install() -> None:
    release = RELEASES[host.get_fact(Release)]
    if isinstance(roles.machine(), Database):
        packages(name="Install PostgreSQL", names=["postgresql"])
    else:
        packages(
            name="Install Java, Python and a time client",
            names=[release.java, "python3", "systemd-timesyncd|chrony|ntpsec|openntpd"],
        )


@deploy("Prepare the host")
def configure() -> None:
    """Everything that the other roles' files and processes need to find."""
    addresses = {name: machine.address for name, machine in cluster().machines.items()}
    hosts_file(name="Name every machine in /etc/hosts", addresses=addresses)
    if isinstance(roles.machine(), Database):
        return
    base = roles.rendered()["base"]
    stage(name="Stage the base's files", sets=[base])
    settable = host.get_fact(Settable)
    commands = ["systemd-sysusers"]
    if settable["sysctl"]:
        commands.append("sysctl --quiet --load /etc/sysctl.d/60-standfast.conf")
    else:
        logger.warning(
            f"[{host.name}] kernel settings (sysctl) are not settable here: left as they are"
        )
    if settable["clock"]:
        commands.append("systemctl enable --quiet systemd-time-wait-sync")
    activate(name="Users, kernel settings, clock", wanted=base, then=" && ".join(commands))
