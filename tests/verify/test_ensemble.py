"""ZooKeeper: one ensemble, one leader."""

from __future__ import annotations

import connect
from cluster import health
from tests.verify.looks import Looks
from tests.verify.outcome import hold


def test_one_voter_leads_and_all_others_follow_in_sync(looks: Looks) -> None:
    """one leader, all others in sync"""
    hold(health.ensemble(connect.cluster(), looks.voters()))


def test_every_voter_runs_with_the_inventorys_ensemble(looks: Looks, voter: str) -> None:
    """the same ensemble everywhere"""
    hold(health.membership(connect.cluster(), voter, looks.voters()[voter]))
