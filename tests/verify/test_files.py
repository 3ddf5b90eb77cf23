"""The files on the machines are the rendered ones, whole, and closed to others."""

from __future__ import annotations

import connect
from cluster import service_health as health
from tests.verify import machines
from tests.verify.looks import Looks
from tests.verify.outcome import hold


def test_the_files_equal_what_the_inventory_renders(looks: Looks, voter: str) -> None:
    """files as rendered"""
    hold(health.files(looks.sets(voter), looks.machine(voter)))


def test_the_system_finds_the_files_that_are_in_use(looks: Looks, voter: str) -> None:
    """links lead to current"""
    hold(health.links(looks.sets(voter), looks.machine(voter)))


def test_a_secret_is_readable_by_its_service_alone(looks: Looks, voter: str) -> None:
    """secrets closed, files root's"""
    hold(health.guarded(looks.sets(voter), looks.machine(voter)))


def test_every_archive_was_unpacked_to_its_end(looks: Looks, voter: str) -> None:
    """archives whole"""
    cluster = connect.cluster()
    paths = machines.archives(cluster, cluster.machines[voter], looks.artifacts)
    hold(health.unpacked(paths, looks.machine(voter)))


def test_the_data_directories_belong_to_their_services(looks: Looks, voter: str) -> None:
    """data directories' owners"""
    cluster = connect.cluster()
    hold(health.owned(machines.owners(cluster, cluster.machines[voter]), looks.machine(voter)))
