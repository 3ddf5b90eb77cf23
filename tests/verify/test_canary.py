"""A record through each broker reaches every sink."""

from __future__ import annotations

import connect
from tests.verify.canary import landed
from tests.verify.looks import Looks
from tests.verify.outcome import hold


def test_a_record_through_each_broker_arrives_once(
    looks: Looks, broker: str, collector: str
) -> None:
    """arrives once in {collector}"""
    hold(landed(looks.canary(), collector, connect.cluster().hosts[broker].broker_id))
