"""What a roll has to do, by what was seen; and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cluster.due import Due, due, following, is_staged, not_staged
from cluster.observed import (
    FileSeen,
    MachineSeen,
    OverridesSeen,
    Registry,
    SetSeen,
    Snapshot,
    TopicsSeen,
    VoterSeen,
)
from cluster.render import FileSet
from tests.unit.verify_base import lab, machine, registry, sets, voters

KAFKA = next(s for s in sets("kafka1") if s.service == "kafka")
NOW = KAFKA.fingerprint
SETTINGS = KAFKA.files["server.properties"]
LIVE = SETTINGS + "num.io.threads=9\n"  # Kafka takes it while it runs
DEAF = SETTINGS.replace("zookeeper.session.timeout.ms=6000", "zookeeper.session.timeout.ms=7000")
COMMENT = SETTINGS.replace("Who this broker is", "This broker")


def files(settings: str = SETTINGS) -> dict[str, FileSeen]:
    texts = {**KAFKA.files, "server.properties": settings}
    return {name: FileSeen(f"{hash(text):x}", 0o644, "root", text) for name, text in texts.items()}


def broker(*, state: str = "active", other: str | None = None, **links: str | None) -> MachineSeen:
    """kafka1 with its broker's links changed; "other" names a set with the settings `other`."""
    seen = machine()
    here = replace(seen.sets["kafka"], **links)  # type: ignore[arg-type]
    if other is not None:
        here = replace(here, files={**here.files, "other": files(other)})
    units = {**seen.units, "kafka.service": {**seen.units["kafka.service"], "ActiveState": state}}
    return replace(seen, sets={**seen.sets, "kafka": here}, units=units)


def snapshot(seen: MachineSeen, **more: Any) -> Snapshot:
    """All there is about kafka1; the others were not asked."""
    there = {"kafka1": OverridesSeen(more.pop("settings", {}), more.pop("complaint", ""))}
    return Snapshot(
        0.0, voters(), registry(), {}, TopicsSeen(), {"kafka1": seen}, overrides=there, **more
    )


def step(seen: MachineSeen, **more: Any) -> Due | None:
    found = due(lab(), {"kafka1": sets("kafka1")}, snapshot(seen, **more))
    assert found.keys() <= {("kafka1", "kafka")}
    return found.get(("kafka1", "kafka"))


# --- what is due ---


def test_a_machine_that_runs_what_is_staged_has_nothing_due() -> None:
    assert step(machine()) is None


def test_a_staged_change_that_only_a_restart_brings_is_a_restart() -> None:
    found = step(broker(other=DEAF, staged="other"))
    assert found is not None
    assert (found.kind, found.fingerprint, found.good) == ("restart", "other", NOW)
    assert found.why == ("server.properties: zookeeper.session.timeout.ms: 6000 -> 7000",)
    assert found.runs == NOW
    assert not found.down


def test_a_staged_change_that_kafka_takes_while_it_runs_is_applied() -> None:
    found = step(broker(other=LIVE, staged="other"))
    assert found is not None
    assert (found.kind, found.settings) == ("apply", {"num.io.threads": "9"})
    assert found.why == ("server.properties: set num.io.threads=9",)


def test_comments_alone_touch_no_process() -> None:
    found = step(broker(other=COMMENT, staged="other"))
    assert found is not None
    assert (found.kind, found.settings) == ("apply", {})
    assert found.why == ("server.properties: comments only",)


def test_a_process_that_does_not_run_needs_a_start_whatever_changed() -> None:
    for state in ("failed", "inactive", "activating"):
        found = step(broker(state=state, other=LIVE, staged="other"))
        assert found is not None
        assert (found.kind, found.settings, found.down) == ("restart", {}, True)


def test_a_process_that_merely_stopped_is_the_deploys_to_start() -> None:
    assert step(broker(state="inactive")) is None


def test_what_was_never_healthy_is_the_deploys() -> None:
    assert step(broker(other=DEAF, staged="other", good=None)) is None
    assert step(broker(staged=None, current=None, good=None, running=None, started=None)) is None


def test_what_was_applied_runs_as_staged() -> None:
    """It started with the old set, and got the setting since."""
    links = dict.fromkeys(("staged", "current", "good", "running"), "other")
    seen = broker(other=LIVE, **links)
    assert step(seen, settings={"num.io.threads": "9"}) is None


def test_an_applied_setting_that_is_gone_from_the_broker_is_applied_again() -> None:
    links = dict.fromkeys(("staged", "current", "good", "running"), "other")
    found = step(broker(other=LIVE, **links))
    assert found is not None
    assert (found.kind, found.settings) == ("apply", {"num.io.threads": "9"})
    assert found.why == ("num.io.threads: nothing -> 9 on the running broker",)


def test_a_setting_that_somebody_set_on_the_running_broker_is_taken_away() -> None:
    found = step(machine(), settings={"log.roll.ms": "1"})
    assert found is not None
    assert (found.kind, found.settings) == ("apply", {"log.roll.ms": None})
    assert "log.roll.ms: 1 was set on the running broker" in found.why[0]


def test_what_no_file_names_is_left_alone() -> None:
    assert step(machine(), settings={"leader.replication.throttled.rate": "1"}) is None


def test_an_applied_setting_that_is_taken_back_is_taken_from_the_broker() -> None:
    """The inventory had it, the roll applied it, the inventory has it no more: the set is the one
    that the broker started with, and the setting is in none of its files.
    """
    seen = broker(other=LIVE, current="other", good="other", running="other")
    found = step(seen, settings={"num.io.threads": "9"})
    assert found is not None
    assert (found.kind, found.settings) == ("apply", {"num.io.threads": None})


def test_a_restart_takes_away_what_was_set_on_the_broker() -> None:
    """Kafka keeps it over a restart, and it would hide the file's value."""
    changed = LIVE.replace("zookeeper.session.timeout.ms=6000", "zookeeper.session.timeout.ms=7000")
    seen = broker(other=changed, staged="other")
    found = step(seen, settings={"num.io.threads": "9", "leader.replication.throttled.rate": "1"})
    assert found is not None
    assert (found.kind, found.settings) == ("restart", {"num.io.threads": None})


def test_a_pool_that_kafka_would_not_resize_so_far_is_a_restart() -> None:
    """From 16, that were applied, to 4: Kafka halves at most."""
    four = SETTINGS + "num.io.threads=4\n"
    found = step(broker(other=four, staged="other"), settings={"num.io.threads": "16"})
    assert found is not None
    assert (found.kind, found.settings) == ("restart", {"num.io.threads": None})


def test_a_change_is_applied_even_where_the_brokers_settings_could_not_be_read() -> None:
    found = step(broker(other=LIVE, staged="other"), complaint="no answer")
    assert found is not None
    assert (found.kind, found.settings) == ("apply", {"num.io.threads": "9"})


def test_what_cannot_be_read_of_a_broker_that_runs_as_staged_is_not_guessed() -> None:
    links = dict.fromkeys(("staged", "current", "good", "running"), "other")
    assert step(broker(other=LIVE, **links), complaint="no answer") is None


def test_what_runs_with_what_is_staged_but_would_not_start_with_it_is_linked() -> None:
    found = step(broker(other=DEAF, current="other"))
    assert found is not None
    assert (found.kind, found.fingerprint) == ("apply", NOW)
    assert "at its next start it would not" in found.why[0]


def test_what_was_not_seen_healthy_with_what_it_runs_is_looked_at() -> None:
    found = step(broker(other=DEAF, good="other"))
    assert found is not None
    assert (found.kind, found.good, found.down) == ("confirm", "other", False)


def test_what_was_left_down_by_an_interrupted_roll_is_started() -> None:
    found = step(broker(state="inactive", other=DEAF, good="other", running=None, started=None))
    assert found is not None
    assert (found.kind, found.down) == ("restart", True)
    assert "does not run" in found.why[0]


def test_a_process_without_a_note_of_what_it_started_with_is_taken_to_run_what_is_current() -> None:
    assert step(broker(running=None, started=None)) is None
    found = step(broker(other=DEAF, staged="other", running=None, started=None))
    assert found is not None
    assert found.kind == "restart"


def test_a_set_that_is_gone_from_the_host_is_said() -> None:
    found = step(broker(running="gone", started="gone"))
    assert found is not None
    assert found.kind == "restart"
    assert found.why == ("it runs on a set that is not on the host any more",)


def test_a_secrets_change_is_named_and_not_shown() -> None:
    archive = next(s for s in sets("kafka1") if s.service == "archive")
    seen = machine()
    here = seen.sets["archive"]
    mark = archive.fingerprint
    old = {**here.files[mark], "pgpass": FileSeen("0ld", 0o400, "standfast")}
    links = dict.fromkeys(("current", "good", "running", "started"), "old")
    here = replace(here, files={mark: here.files[mark], "old": old}, **links)  # type: ignore[arg-type]
    seen = replace(seen, sets={**seen.sets, "archive": here})
    found = due(lab(), {"kafka1": sets("kafka1")}, snapshot(seen))[("kafka1", "archive")]
    assert found.kind == "restart"
    assert found.why == ("pgpass: another content (a secret: not shown)",)
    assert "hunter2" not in str(found)


def test_a_machine_that_could_not_be_asked_is_left_out() -> None:
    nobody = replace(snapshot(machine()), machines={}, unasked={"kafka1": "no route to host"})
    assert due(lab(), {"kafka1": sets("kafka1")}, nobody) == {}
    assert not_staged({"kafka1": sets("kafka1")}, nobody) == {}


# --- what is not staged ---


def test_a_set_is_staged_where_it_is_named_and_lies_there_whole() -> None:
    here = machine().sets["kafka"]
    assert is_staged(KAFKA, here)
    assert not is_staged(KAFKA, SetSeen())
    assert not is_staged(KAFKA, replace(here, staged="other"))
    edited = {**here.files[NOW], "server.properties": FileSeen("0ther", 0o644, "root", "a=1")}
    assert not is_staged(KAFKA, replace(here, files={NOW: edited}))
    assert not is_staged(KAFKA, replace(here, files={}))


def test_what_a_deploy_would_stage_is_named_by_host_and_service() -> None:
    mine = {"kafka1": sets("kafka1")}
    assert not_staged(mine, snapshot(machine())) == {}
    assert not_staged(mine, snapshot(broker(staged=None))) == {("kafka1", "kafka"): KAFKA}
    bare = replace(machine(), sets={})
    assert len(not_staged(mine, snapshot(bare))) == len(sets("kafka1"))


# --- the order ---


def of(host: str, service: str, down: bool = False) -> Due:
    return Due(host, service, f"{service}.service", "restart", "new", "old", down=down)


def ordered(*steps: Due, seen: Snapshot | None = None) -> list[str]:
    left, found = list(steps), []
    while one := following(lab(), left, seen or snapshot(machine())):
        left.remove(one)
        found.append(one.name)
    return found


EVERYWHERE = [
    *(of(h, s) for s in ("collector", "probe", "kafka", "zookeeper") for h in lab().hosts),
    *(of(w, "zookeeper") for w in lab().witnesses),
]


def test_witnesses_come_first_then_followers_and_zookeepers_leader_last() -> None:
    """verify_base.voters(): kafka2 leads the ensemble, broker 1 is the controller."""
    found = ordered(*EVERYWHERE)
    assert found[:5] == [
        "zookeeper on witness1", "zookeeper on witness2", "zookeeper on kafka1",
        "zookeeper on kafka3", "zookeeper on kafka2",
    ]  # fmt: skip


def test_brokers_come_after_zookeeper_and_the_controller_last() -> None:
    assert ordered(*EVERYWHERE)[5:8] == ["kafka on kafka2", "kafka on kafka3", "kafka on kafka1"]


def test_consumers_come_last_one_whole_consumer_after_the_other() -> None:
    steps = [of(h, s) for h in lab().hosts for s in ("archive", "collector", "probe")]
    services = [name.split()[0] for name in ordered(*steps)]
    assert services == ["probe"] * 3 + ["collector"] * 3 + ["archive"] * 3


def test_what_is_down_comes_before_everything_else() -> None:
    found = ordered(*EVERYWHERE, of("kafka1", "archive", down=True))
    assert found[0] == "archive on kafka1"
    found = ordered(of("kafka2", "zookeeper"), of("kafka1", "kafka", down=True))
    assert found[0] == "kafka on kafka1"


@pytest.mark.parametrize("leader", list(lab().voters))
def test_whoever_leads_is_last_even_where_it_is_a_witness(leader: str) -> None:
    seen = snapshot(machine())
    roles = {n: VoterSeen("leader" if n == leader else "follower") for n in lab().voters}
    found = ordered(*(of(n, "zookeeper") for n in roles), seen=replace(seen, voters=roles))
    assert found[-1] == f"zookeeper on {leader}"


def test_an_order_is_found_though_nobody_says_who_leads() -> None:
    seen = replace(snapshot(machine()), voters={}, registry=Registry(complaint="no quorum"))
    assert len(ordered(*EVERYWHERE, seen=seen)) == len(EVERYWHERE)


def test_every_service_of_the_inventory_has_its_place() -> None:
    every = [s for s in sets("kafka1") if isinstance(s, FileSet) and s.unit]
    assert len(ordered(*(of("kafka1", s.service) for s in every))) == len(every)
