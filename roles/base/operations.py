"""What the base needs beyond pyinfra's own operations."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

from pyinfra import host
from pyinfra.api import FileUploadCommand, operation
from pyinfra.facts.deb import DebPackages
from pyinfra.operations import apt

from cluster.hosts_file import with_machines
from roles.base.facts import HostsFile


@operation()
def packages(names: list[str]) -> Iterator[str]:
    """Install what is missing of `names`, in one run; the package lists are only asked for anew
    where it is.

    Of a name like "systemd-timesyncd|chrony" any one will do; the first is installed where there
    is none.
    """
    there = host.get_fact(DebPackages)
    choices = [name.split("|") for name in names]
    missing = [any_of[0] for any_of in choices if not set(any_of) & there.keys()]
    if not missing:
        host.noop("every package is installed")
        return
    yield from apt.packages._inner(packages=missing, update=True, no_recommends=True)


@operation()
def hosts_file(addresses: Mapping[str, str]) -> Iterator[str | FileUploadCommand]:
    """Name every machine of the cluster in /etc/hosts, by one block, replaced by a rename."""
    found = host.get_fact(HostsFile)
    wanted = with_machines(found, addresses)
    if found == wanted:
        host.noop("the hosts file names every machine")
        return
    yield FileUploadCommand(io.StringIO(wanted), "/etc/.hosts.standfast")
    yield "chmod 644 /etc/.hosts.standfast && mv /etc/.hosts.standfast /etc/hosts"
