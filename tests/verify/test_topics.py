"""Topics: as declared, whole, and safe from one machine's death."""

from __future__ import annotations

import connect
from cluster import health
from cluster.observed import Finding
from tasks.topics import differences
from tests.verify.looks import Looks
from tests.verify.outcome import hold


def test_every_topic_is_as_declared(looks: Looks) -> None:
    """partitions and settings as declared"""
    name = next(iter(connect.cluster().hosts))
    seen = looks.topics()
    if seen.complaint:
        hold(
            [
                Finding(
                    "topics", "the cluster's topics", seen.complaint, "journalctl -u kafka.service"
                )
            ]
        )
    hold(
        [
            Finding(
                f"{c.topic}: {c.what}",
                c.expected,
                c.found or "nothing",
                f"{c.sentence}; make deploy",
            )
            for c in differences(looks.sets(name), seen)
        ]
    )


def test_no_partition_is_offline_or_under_replicated(looks: Looks) -> None:
    """none offline or under-replicated"""
    hold(health.whole(looks.topics()))


def test_every_partition_has_the_in_sync_replicas_for_a_write(looks: Looks) -> None:
    """in-sync replicas at least min ISR"""
    hold(health.writable(looks.topics()))


def test_no_topic_would_be_lost_with_one_machine(looks: Looks) -> None:
    """internal topics on three brokers"""
    hold(health.on_three(connect.cluster(), looks.topics()))


def test_every_partition_is_led_by_its_preferred_leader(looks: Looks) -> None:
    """preferred leaders"""
    hold(health.preferred(looks.topics()))
