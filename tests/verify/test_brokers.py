"""Kafka's brokers: exactly the inventory's, one cluster, all within each other's sight."""

from __future__ import annotations

import connect
from cluster import health
from tests.verify.looks import Looks
from tests.verify.outcome import hold


def test_exactly_the_inventorys_brokers_are_registered(looks: Looks) -> None:
    """registered: the inventory's alone"""
    hold(health.registered(connect.cluster(), looks.registry()))


def test_every_brokers_data_belongs_to_the_one_cluster(looks: Looks, broker: str) -> None:
    """one cluster id"""
    number = connect.cluster().hosts[broker].broker_id
    meta = looks.machine(broker).meta_properties
    hold(health.one_cluster(broker, looks.registry(), meta, number))


def test_every_broker_answers_and_knows_all_others(looks: Looks, broker: str) -> None:
    """answers, knows all others"""
    hold(health.knows_all(connect.cluster(), broker, looks.broker(broker)))
