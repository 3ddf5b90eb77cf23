"""Install and configure everything, in this order. Read it from top to bottom.

    pyinfra inventory/hosts.py deploy.py        the lab
    INVENTORY=inventory/production.yml pyinfra inventory/hosts.py deploy.py

A deploy starts what is not running and restarts nothing that runs: what it stages for a service
that was healthy before, `fab roll` makes live. `fab plan` shows what both would do.
"""

from pyinfra import host

import connect
from roles import (
    alert,
    archives,
    base,
    before,
    consumers,
    guardian,
    kafka,
    postgresql,
    probe,
    sets,
    topics,
    zookeeper,
)

connect.without_delay(host)

# What cannot be is found before anything is changed, on any host.
if "kafka" in host.groups:
    kafka.hold_disk_against_inventory()
if "zookeeper" in host.groups:  # the hosts and the witnesses
    before.refuse()
    before.report()

base.install()
base.configure()

if "database" in host.groups:
    postgresql.configure()

if "zookeeper" in host.groups:
    archives.install()
    sets.configure()
    zookeeper.configure()
    zookeeper.start()
    probe.start()
    alert.start()

if "kafka" in host.groups:
    kafka.start()
    topics.start()
    guardian.start()
    consumers.start()
