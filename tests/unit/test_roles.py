"""What the roles decide, without a host."""

from __future__ import annotations

import io
import tarfile

import pytest

from cluster.render import FileSet
from roles.sets.facts import parse
from roles.sets.operations import archive
from roles.zookeeper.facts import VoterState, may_bootstrap

EMPTY, FULL = VoterState(), VoterState(number=1, has_data=True)

LISTING = """\
link kafka/staged bbbb
link kafka/current aaaa
link kafka/good aaaa
at /etc/systemd/system/kafka.service /etc/standfast/kafka/current/kafka.service
file 11 kafka/staged/server.properties
file 22 kafka/current/server.properties
runs /run/standfast/kafka/fingerprint:aaaa
unit kafka/current
ActiveState=active
UnitFileState=enabled
"""


def test_an_ensemble_begins_empty_only_where_no_voter_holds_data() -> None:
    assert may_bootstrap({"a": EMPTY, "b": EMPTY, "c": EMPTY})
    assert not may_bootstrap({"a": FULL, "b": FULL, "c": EMPTY})
    assert not may_bootstrap({"a": FULL, "b": FULL, "c": FULL})


def test_a_majority_of_wiped_voters_is_refused_and_named() -> None:
    with pytest.raises(ValueError, match="b, c hold no data, a does"):
        may_bootstrap({"a": FULL, "b": EMPTY, "c": EMPTY})


def test_a_hosts_sets_are_read_from_one_listing() -> None:
    kafka = parse(LISTING.splitlines())["kafka"]
    assert (kafka.staged, kafka.current, kafka.good) == ("bbbb", "aaaa", "aaaa")
    assert kafka.running == "aaaa"
    assert kafka.staged_digests == {"server.properties": "11"}
    assert kafka.current_digests == {"server.properties": "22"}
    assert kafka.active
    assert kafka.enabled


def test_a_listing_that_cannot_be_understood_is_an_error() -> None:
    with pytest.raises(ValueError, match="unexpected line"):
        parse(["what is this"])


def test_a_secret_can_be_read_by_its_owner_alone() -> None:
    wanted = FileSet("c", None, "standfast", {"pgpass": "x", "a": "y"}, {}, frozenset({"pgpass"}))
    with tarfile.open(fileobj=io.BytesIO(archive([wanted]))) as tar:
        modes = {member.name.rsplit("/", 1)[-1]: member.mode for member in tar}
    assert modes == {"pgpass": 0o400, "a": 0o644}
