"""The services run, stay up, and run what the inventory says."""

from __future__ import annotations

from cluster import service_health as health
from tests.verify.looks import Looks
from tests.verify.outcome import hold


def test_every_service_runs_and_will_after_a_boot(looks: Looks, voter: str) -> None:
    """active and enabled"""
    hold(health.active(looks.sets(voter), looks.machine(voter)))


def test_systemd_supervises_each_service_as_rendered(looks: Looks, voter: str) -> None:
    """supervised as rendered"""
    hold(health.supervised(looks.sets(voter), looks.machine(voter)))


def test_every_process_started_with_what_is_staged(looks: Looks, voter: str) -> None:
    """running = current = staged"""
    hold(health.current(looks.sets(voter), looks.machine(voter)))


def test_every_process_has_the_limits_of_its_unit(looks: Looks, voter: str) -> None:
    """limits as the unit asks"""
    hold(health.limits(looks.sets(voter), looks.machine(voter)))
