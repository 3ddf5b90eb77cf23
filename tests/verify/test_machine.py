"""The machines: clock, disk, kernel, versions, ports."""

from __future__ import annotations

import connect
from cluster import machine_health as health
from cluster.model import PostgresqlSink
from cluster.observed import Finding
from tests.verify import machines
from tests.verify.looks import Looks
from tests.verify.outcome import hold, unasked


def test_no_clock_is_off_by_more_than_half_a_second(looks: Looks, machine: str) -> None:
    """clock within 0.5 s"""
    hold(health.clock(machine, looks.clocks(machine)))


def test_a_time_server_keeps_the_clock(looks: Looks, voter: str) -> None:
    """clock synchronised"""
    hold(health.synchronised(looks.machine(voter)))


def test_the_disk_is_as_large_as_declared(looks: Looks, broker: str) -> None:
    """disk as large as declared"""
    cluster = connect.cluster()
    host = cluster.hosts[broker]
    hold(health.large_enough(cluster, host, machines.DATA, looks.machine(broker)))


def test_the_disk_has_the_room_that_the_promise_needs(looks: Looks, broker: str) -> None:
    """room for what is promised"""
    hold(health.room(connect.cluster(), machines.DATA, looks.machine(broker)))


def test_the_data_is_on_a_file_system_that_survives_a_power_cut(looks: Looks, broker: str) -> None:
    """ext4 or XFS, with barriers"""
    hold(health.file_system(machines.DATA, looks.machine(broker)))


def test_the_kernel_is_set_as_rendered(looks: Looks, voter: str) -> None:
    """kernel settings"""
    base = next(s for s in looks.sets(voter) if s.service == "base")
    hold(health.kernel(base.files["sysctl.conf"], looks.machine(voter)))


def test_java_and_python_are_those_of_the_release(looks: Looks, voter: str) -> None:
    """Java and Python versions"""
    hold(health.versions(looks.machine(voter)))


def test_the_servers_listen_where_they_should_and_nowhere_else(looks: Looks, voter: str) -> None:
    """open ports"""
    cluster = connect.cluster()
    leads = looks.voters()[voter].state == "leader"
    hold(health.ports(cluster, cluster.voters[voter], leads, looks.machine(voter)))


def test_the_database_listens(database: str) -> None:
    """PostgreSQL listens"""
    cluster = connect.cluster()
    machine = cluster.databases[database]
    sinks = [s for s in cluster.sinks.values() if isinstance(s, PostgresqlSink)]
    for sink in (s for s in sinks if s.host == machine.address):
        place = f"{sink.host}:{sink.port}"
        try:
            listens = machines.remote(machine).socket(f"tcp://{place}").is_listening
        except RuntimeError:
            unasked(database, "no SSH connection")
        if not listens:
            hold([Finding(place, "PostgreSQL", "nobody listens", "journalctl -u 'postgresql@*'")])
