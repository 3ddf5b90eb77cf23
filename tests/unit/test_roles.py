"""What the roles decide, without a host."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from cluster.observed import MachineSeen, SetSeen
from cluster.render import FileSet
from roles.sets.operations import archive, bring_up
from roles.topics.facts import TopicDifferences
from roles.zookeeper.facts import VoterState, may_bootstrap
from tests.unit.verify_base import machine, sets

EMPTY, FULL = VoterState(), VoterState(number=1, has_data=True)
KAFKA = next(s for s in sets("kafka1") if s.service == "kafka")
BASE = next(s for s in sets("kafka1") if s.service == "base")
WAIT = "wait for every broker"


def test_an_ensemble_begins_empty_only_where_no_voter_holds_data() -> None:
    assert may_bootstrap({"a": EMPTY, "b": EMPTY, "c": EMPTY})
    assert not may_bootstrap({"a": FULL, "b": FULL, "c": EMPTY})
    assert not may_bootstrap({"a": FULL, "b": FULL, "c": FULL})


def test_a_majority_of_wiped_voters_is_refused_and_named() -> None:
    with pytest.raises(ValueError, match="b, c hold no data, a does"):
        may_bootstrap({"a": FULL, "b": EMPTY, "c": EMPTY})


def test_a_secret_can_be_read_by_its_owner_alone() -> None:
    wanted = FileSet("c", None, "standfast", {"pgpass": "x", "a": "y"}, {}, frozenset({"pgpass"}))
    with tarfile.open(fileobj=io.BytesIO(archive([wanted]))) as tar:
        modes = {member.name.rsplit("/", 1)[-1]: member.mode for member in tar}
    assert modes == {"pgpass": 0o400, "a": 0o644}


# --- what a deploy starts, and what it leaves to the roll ---


def host(state: str = "active", enabled: str = "enabled", **links: Any) -> MachineSeen:
    """kafka1 with its broker in that state; `links` are of its set."""
    seen = machine()
    shown = {"ActiveState": state, "UnitFileState": enabled}
    units = {**seen.units, "kafka.service": {**seen.units["kafka.service"], **shown}}
    kafka = replace(seen.sets["kafka"], **links)
    return replace(seen, units=units, sets={**seen.sets, "kafka": kafka})


def commands(seen: MachineSeen | None) -> list[str]:
    return bring_up(KAFKA, seen, wait=WAIT)


def test_what_runs_is_left_alone_whatever_is_staged() -> None:
    assert commands(host()) == []
    old = dict.fromkeys(("current", "good", "running"), "0ld")
    assert commands(host(**old)) == []


def test_a_host_on_which_nothing_is_gets_everything() -> None:
    bare = replace(machine(), sets={}, units={}, links={})
    for found in (commands(None), commands(bare)):
        path = "/etc/systemd/system/kafka.service"
        assert found[0].startswith(f"ln -sfn {KAFKA.fingerprint} /etc/standfast/kafka/.current")
        assert any(path in command for command in found)
        assert found[-4:-1] == [
            "systemctl enable --quiet kafka.service",
            "systemctl restart --no-block kafka.service",
            WAIT,
        ]
        assert "/etc/standfast/kafka/.good" in found[-1]


def test_a_first_start_that_failed_is_tried_again_on_what_is_staged_now() -> None:
    found = commands(host("activating", current="0ld", good=None, running="0ld"))
    assert "systemctl restart --no-block kafka.service" in found
    assert found[-1].startswith(f"ln -sfn {KAFKA.fingerprint} /etc/standfast/kafka/.good")


def test_a_service_that_merely_stopped_is_started_and_waited_for() -> None:
    assert commands(host("inactive", running=None)) == [
        "systemctl daemon-reload",
        "systemctl enable --quiet kafka.service",
        "systemctl start --no-block kafka.service",
        WAIT,
    ]


@pytest.mark.parametrize("state", ["inactive", "failed", "activating"])
def test_a_service_that_may_be_broken_by_the_set_that_it_has_is_left_to_the_roll(
    state: str,
) -> None:
    old = dict.fromkeys(("current", "good"), "0ld")
    assert commands(host(state, **old)) == []


def test_a_service_that_is_left_to_the_roll_is_found_by_it_all_the_same() -> None:
    """`systemctl disable` takes a linked unit's own link away: the roll could not start it."""
    path = "/etc/systemd/system/kafka.service"
    seen = host("inactive", "disabled", current="0ld", good="0ld")
    seen = replace(seen, links={**seen.links, path: None})
    found = commands(seen)
    assert any(f"current/kafka.service {path}" in command for command in found)
    assert found[-1] == "systemctl enable --quiet kafka.service"


def test_what_runs_and_was_disabled_is_enabled_and_not_restarted() -> None:
    for found in (host(enabled="disabled"), host(enabled="disabled", current="0ld", good="0ld")):
        assert commands(found) == [
            "systemctl daemon-reload",
            "systemctl enable --quiet kafka.service",
        ]


def test_files_without_a_process_take_effect_with_the_deploy() -> None:
    seen = machine()
    assert bring_up(BASE, seen, then="systemd-sysusers") == []
    old = replace(seen.sets["base"], current="0ld")
    found = bring_up(BASE, replace(seen, sets={"base": old}), then="systemd-sysusers")
    assert found[0].startswith(f"ln -sfn {BASE.fingerprint} /etc/standfast/base/.current")
    assert "systemd-sysusers" in found
    assert bring_up(BASE, replace(seen, sets={"base": SetSeen()}))


# --- topics ---


def test_the_topics_are_judged_before_they_are_staged() -> None:
    """The list travels with the question, not by a file that a deploy would have to put there."""
    found = TopicDifferences().command("/opt/x/standfast", '[[topic]]\nname = "a\'b"\n')
    assert "--check" in found
    assert '[[topic]]\nname = "a\'b"\n' in found
    assert "/etc/standfast" not in found
