"""Hands the inventory that INVENTORY names (default: the lab) to pyinfra. Every list here is one
of its groups.
"""

import connect as _connect

_cluster = _connect.begin("pyinfra on")
_ssh = {
    "ssh_user": _cluster.ssh.user,
    "ssh_config_file": _cluster.ssh.config and str(_cluster.ssh.config),
    "ssh_known_hosts_file": _cluster.ssh.known_hosts and str(_cluster.ssh.known_hosts),
    # pyinfra's own default takes a key it has never seen.
    "ssh_strict_host_key_checking": "yes",
}


def _hosts(machines):
    return [
        (name, {k: v for k, v in {**_ssh, "ssh_hostname": machine.address}.items() if v})
        for name, machine in machines.items()
    ]


kafka = _hosts(_cluster.hosts)
zookeeper = _hosts(_cluster.voters)
database = _hosts(_cluster.databases)
