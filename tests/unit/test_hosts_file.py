"""The hosts file as a cluster needs it."""

from __future__ import annotations

from cluster.hosts_file import with_machines

MACHINES = {"kafka1": "198.18.0.11", "kafka2": "198.18.0.12"}


def test_a_hosts_own_name_never_maps_to_127_0_1_1() -> None:
    found = with_machines("127.0.0.1 localhost\n127.0.1.1 kafka1\n", MACHINES)
    assert "127.0.1.1" not in found
    assert "127.0.0.1 localhost" in found
    assert "198.18.0.11 kafka1" in found


def test_a_second_pass_changes_nothing() -> None:
    once = with_machines("127.0.0.1 localhost\n", MACHINES)
    assert with_machines(once, MACHINES) == once


def test_a_machine_that_moved_has_its_new_address_alone() -> None:
    once = with_machines("127.0.0.1 localhost\n", MACHINES)
    moved = with_machines(once, {**MACHINES, "kafka2": "198.18.0.99"})
    assert "198.18.0.12" not in moved
    assert "198.18.0.99 kafka2" in moved


def test_what_others_wrote_stays() -> None:
    assert "10.0.0.1 printer" in with_machines("10.0.0.1 printer\n", MACHINES)
