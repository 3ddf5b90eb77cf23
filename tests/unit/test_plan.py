"""A plan says what a deploy and a roll would do, once for all hosts, and never a secret."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from rich.console import Console

from cluster.fold import folded
from cluster.model import Cluster
from cluster.observed import (
    BARE,
    FileSeen,
    MachineSeen,
    OverridesSeen,
    Registry,
    SetSeen,
    Snapshot,
    TopicsSeen,
)
from cluster.plan import Mend, Plan, plan
from cluster.render import FileSet, file_sets
from cluster.steps import after, sentence, steps
from standfast import topicplan
from tasks.plan import as_object, following, kinds, show, topics
from tests.unit.verify_base import ARTIFACTS, lab, machine, registry

HOSTS, ALL = tuple(lab().hosts), tuple(lab().voters)
RESTART = {"zookeeper.session.timeout.ms": "7000"}
LIVE = {"num.io.threads": "9"}


def lab_with(
    kafka: dict[str, str] | None = None, heap: str = "96M", password: str = "hunter2"
) -> tuple[Cluster, dict[str, list[FileSet]]]:
    """The lab's inventory with changes, and the sets of every machine with a voter."""
    cluster = replace(
        lab(),
        kafka=replace(lab().kafka, settings=kafka or {}),
        zookeeper=replace(lab().zookeeper, heap=heap),
    )
    with TemporaryDirectory() as folder:
        file = Path(folder) / "password"
        file.write_text(password)
        warehouse = replace(cluster.sinks["warehouse"], password_file=file)  # type: ignore[call-arg]
        cluster = replace(cluster, sinks={**cluster.sinks, "warehouse": warehouse})
        return cluster, {n: file_sets(cluster, v, ARTIFACTS) for n, v in cluster.voters.items()}


def seen(**changes: MachineSeen) -> Snapshot:
    """The lab as it was deployed, with `changes` of its machines."""
    machines = {name: machine(name, meta_properties={}) for name in ALL}
    there = {name: OverridesSeen() for name in HOSTS}
    return Snapshot(0.0, {}, registry(), {}, TopicsSeen(), {**machines, **changes}, overrides=there)


def planned(snapshot: Snapshot | None = None, **changes: Any) -> Plan:
    cluster, sets = lab_with(**changes)
    return plan(cluster, sets, snapshot or seen(), [])


def unit_is(found: MachineSeen, unit: str, **state: str) -> MachineSeen:
    return replace(found, units={**found.units, unit: {**found.units[unit], **state}})


def shown(found: Plan, width: int = 120) -> str:
    """What people see."""
    out = io.StringIO()
    show(found, Console(file=out, width=width, highlight=False))
    return out.getvalue()


# --- nothing, and something ---


def test_a_cluster_that_has_and_runs_what_is_asked_for_has_nothing_to_do() -> None:
    found = planned()
    assert found == Plan()
    assert found.code == 0
    assert shown(found).strip() == (
        "nothing to do: every host has what the inventory asks for, and runs it"
    )


def test_a_change_is_told_once_for_all_hosts_with_its_reason() -> None:
    found = planned(kafka=RESTART)
    assert found.code == 2
    (diff,) = found.files
    assert (diff.service, diff.file, diff.hosts) == ("kafka", "server.properties", HOSTS)
    assert "-zookeeper.session.timeout.ms=6000" in diff.lines
    assert "+zookeeper.session.timeout.ms=7000" in diff.lines
    (step,) = found.steps
    assert (step.service, step.kind, step.hosts, step.staged) == ("kafka", "restart", HOSTS, False)
    (change,) = step.changes
    assert change.what == "zookeeper.session.timeout.ms: 6000 -> 7000"
    assert change.why.startswith(
        "Set by the inventory (kafka.settings.zookeeper.session.timeout.ms)"
    )
    assert "How long a dead broker still leads" in change.why
    assert not change.live


def test_a_settings_reason_stands_above_its_line_in_the_diff() -> None:
    (diff,) = planned(kafka=RESTART).files
    at = diff.lines.index("+zookeeper.session.timeout.ms=7000")
    assert diff.lines[at - 1].startswith("+# ")


def test_what_kafka_takes_while_it_runs_is_no_restart() -> None:
    (step,) = planned(kafka=LIVE).steps
    assert (step.kind, step.hosts) == ("apply", HOSTS)
    assert step.changes[0].what == "num.io.threads: 8 (the default) -> 9"
    assert kinds([step]) == {"restarts": [], "applied": [step], "links": []}


def test_of_a_restart_that_which_it_is_for_comes_first() -> None:
    (step,) = planned(kafka=LIVE | RESTART).steps
    assert [(c.setting, c.live) for c in step.changes] == [
        ("zookeeper.session.timeout.ms", False),
        ("num.io.threads", True),
    ]
    text = shown(planned(kafka=LIVE | RESTART))
    assert "num.io.threads: 8 (the default) -> 9 (needs no restart by itself)" in text
    assert "6000 -> 7000 (needs" not in text
    assert "needs no restart by itself" not in shown(planned(kafka=LIVE))


def test_a_pool_of_threads_that_grows_too_far_at_once_is_a_restart() -> None:
    (step,) = planned(kafka={"num.io.threads": "17"}).steps
    assert step.kind == "restart"
    assert not step.changes[0].live


def test_another_heap_restarts_every_voter_and_the_witnesses_are_folded_in() -> None:
    (step,) = planned(heap="97M").steps
    assert (step.service, step.hosts) == ("zookeeper", ALL)
    assert step.changes[0].what == (
        "zookeeper.service: ExecStart: -Xms96M -Xmx96M -> -Xms97M -Xmx97M"
    )


def test_what_differs_from_host_to_host_is_told_apart() -> None:
    one = machine("kafka1", meta_properties={})
    here = one.sets["kafka"]
    old = {n: replace(f, text=(f.text or "").replace("=6000", "=5000"))
           for n, f in here.files[here.current or ""].items()}  # fmt: skip
    links = dict.fromkeys(("staged", "current", "good", "running", "started"), "old")
    here = replace(here, files={"old": old}, **links)  # type: ignore[arg-type]
    found = planned(seen(kafka1=replace(one, sets={**one.sets, "kafka": here})), kafka=RESTART)
    assert [(s.hosts, s.changes[0].old) for s in found.steps] == [
        (("kafka1",), "5000"), (("kafka2", "kafka3"), "6000"),
    ]  # fmt: skip
    assert [d.hosts for d in found.files] == [("kafka1",), ("kafka2", "kafka3")]


def test_what_lies_there_already_is_the_rolls_alone() -> None:
    cluster, sets = lab_with(kafka=RESTART)
    machines = {n: after(m, sets[n]) for n, m in seen().machines.items()}
    found = plan(cluster, sets, replace(seen(), machines=machines), [])
    # What was rendered has the mode 0 there; a deploy compares digests.
    assert found.files == ()
    (step,) = found.steps
    assert step.staged
    assert following(found) == "fab roll"
    assert "kafka on kafka1, kafka2, kafka3 (staged already)" in shown(found)


def test_comments_alone_touch_no_process_and_are_said_so() -> None:
    one = machine("kafka1", meta_properties={})
    here = one.sets["kafka"]
    old = dict(here.files[here.current or ""])
    was = old["server.properties"]
    old["server.properties"] = replace(was, text=f"# more\n{was.text}")
    links = dict.fromkeys(("staged", "current", "good", "running", "started"), "old")
    here = replace(here, files={"old": old}, **links)  # type: ignore[arg-type]
    found = planned(seen(kafka1=replace(one, sets={**one.sets, "kafka": here})))
    (step,) = found.steps
    assert step.changes == ()
    assert kinds(found.steps)["links"] == [step]
    assert "no process is touched" in shown(found)


def test_a_setting_of_a_running_broker_that_no_file_has_is_said() -> None:
    there = {**seen().overrides, "kafka2": OverridesSeen({"log.roll.ms": "1"})}
    (step,) = planned(replace(seen(), overrides=there)).steps
    assert (step.kind, step.hosts) == ("apply", ("kafka2",))
    assert "was set on the running broker" in step.changes[0].what


# --- machines ---


def bare(name: str) -> MachineSeen:
    found = machine(name, meta_properties={})
    nothing = {service: SetSeen() for service in found.sets}
    return replace(found, sets=nothing, units={}, links=dict.fromkeys(found.links))


def test_a_machine_that_was_never_deployed_to_is_installed_and_no_error() -> None:
    found = planned(seen(kafka3=bare("kafka3")))
    assert (found.install, found.files, found.mends, found.unasked) == (("kafka3",), (), (), {})
    assert found.code == 2
    assert following(found) == "make deploy"


def test_a_machine_without_python_was_never_deployed_to() -> None:
    snapshot = seen()
    left = {n: m for n, m in snapshot.machines.items() if n != "kafka3"}
    found = planned(replace(snapshot, machines=left, unasked={"kafka3": BARE}))
    assert (found.install, found.unasked) == (("kafka3",), {})


def test_a_whole_new_cluster_is_installed_though_no_server_answers() -> None:
    nobody = "no broker answers"
    snapshot = replace(
        seen(), machines={n: bare(n) for n in ALL}, topics=TopicsSeen(complaint=nobody),
        registry=Registry(complaint=nobody),
        overrides={n: OverridesSeen(complaint=nobody) for n in HOSTS},
    )  # fmt: skip
    found = planned(snapshot)
    assert (found.install, found.unasked, found.code) == (ALL, {}, 2)


def test_a_machine_that_cannot_be_asked_makes_it_no_plan() -> None:
    snapshot = seen()
    left = {n: m for n, m in snapshot.machines.items() if n != "kafka3"}
    found = planned(replace(snapshot, machines=left, unasked={"kafka3": "no route to host"}))
    assert found.code == 1
    assert found.unasked == {"kafka3": "no route to host"}
    assert "no plan" in shown(found)


@pytest.mark.parametrize(
    ("part", "lacks", "named"),
    [
        ("topics", TopicsSeen(complaint="no broker says"), "topics"),
        ("topics", TopicsSeen(unset="no quorum"), "topics"),
        ("registry", Registry(complaint="no quorum"), "registered brokers"),
        ("overrides", {"kafka1": OverridesSeen(complaint="x")}, "the running settings of kafka1"),
    ],
)
def test_what_the_servers_could_not_be_asked_makes_it_no_plan(
    part: str, lacks: object, named: str
) -> None:
    found = planned(replace(seen(), **{part: lacks}))  # type: ignore[arg-type]
    assert list(found.unasked) == [named]
    assert found.code == 1


def test_a_broker_that_does_not_run_need_not_say_what_was_set_on_it() -> None:
    down = unit_is(machine("kafka1", meta_properties={}), "kafka.service", ActiveState="failed")
    there = {**seen().overrides, "kafka1": OverridesSeen(complaint="connection refused")}
    found = planned(replace(seen(kafka1=down), overrides=there))
    assert found.unasked == {}


def test_a_service_that_merely_stopped_is_started_by_a_deploy() -> None:
    down = unit_is(machine("kafka1", meta_properties={}), "kafka.service", ActiveState="inactive")
    found = planned(seen(kafka1=down))
    assert found.mends == (Mend(("kafka1",), "kafka.service: does not run, and is started"),)
    assert following(found) == "make deploy"


def test_a_service_that_does_not_run_and_changes_is_the_rolls_and_comes_first() -> None:
    down = unit_is(machine("kafka3", meta_properties={}), "kafka.service", ActiveState="activating")
    found = planned(seen(kafka3=down), kafka=RESTART, heap="97M")
    assert found.mends == ()
    assert [(s.service, s.hosts, s.down) for s in found.steps] == [
        ("kafka", ("kafka3",), True),
        ("zookeeper", ALL, False),
        ("kafka", ("kafka1", "kafka2"), False),
    ]
    assert following(found) == "make deploy, then fab roll"
    assert "it does not run, and comes first" in shown(found)


def test_of_a_start_nothing_is_said_to_need_no_restart() -> None:
    down = unit_is(machine("kafka3", meta_properties={}), "kafka.service", ActiveState="failed")
    assert "needs no restart by itself" not in shown(planned(seen(kafka3=down), kafka=LIVE))


def test_servers_that_do_not_answer_under_refused_numbers_are_a_consequence() -> None:
    cluster, sets = lab_with()
    one = machine("kafka1", meta_properties={"broker.id": "9"})
    silent = replace(seen(kafka1=one), topics=TopicsSeen(complaint="no broker answers"))
    found = plan(cluster, sets, silent, [])
    assert [refusal.what for refusal in found.refused] == ["hosts.kafka1.broker_id"]
    assert found.unasked == {}
    assert found.code == 1


def test_a_unit_that_was_disabled_or_lost_its_link_is_put_right_by_a_deploy() -> None:
    one = unit_is(machine("kafka1", meta_properties={}), "kafka.service", UnitFileState="disabled")
    path = "/etc/systemd/system/kafka.service"
    found = planned(seen(kafka1=replace(one, links={**one.links, path: None})))
    assert [mend.what for mend in found.mends] == [
        f"{path}: is linked to the set in use",
        "kafka.service: is started at boot again",
    ]


def test_a_service_that_is_new_on_an_old_machine_is_staged_and_started() -> None:
    one = machine("kafka1", meta_properties={})
    without = {**one.sets, "collector": SetSeen()}
    one = replace(one, sets=without, units={**one.units, "consumer-collector.service": {}})
    found = planned(seen(kafka1=one))
    assert {diff.service for diff in found.files} == {"collector"}
    assert all(not line.startswith("-") for diff in found.files for line in diff.lines)
    assert found.mends[0].what == "consumer-collector.service: is started for the first time"
    assert found.steps == ()


def test_a_file_that_somebody_edited_is_put_back_by_a_deploy() -> None:
    one = machine("kafka1", meta_properties={})
    here = one.sets["kafka"]
    mark = here.current or ""
    file = here.files[mark]["server.properties"]
    edited = FileSeen("0ther", 0o644, "root", f"{file.text}\nedited=1\n")
    here = replace(here, files={mark: {**here.files[mark], "server.properties": edited}})
    found = planned(seen(kafka1=replace(one, sets={**one.sets, "kafka": here})))
    assert "-edited=1" in found.files[0].lines


def test_a_registered_broker_that_the_inventory_does_not_have_is_said_and_not_refused() -> None:
    more = replace(registry(), brokers={**registry().brokers, 9: "198.18.0.19:9092"})
    found = planned(replace(seen(), registry=more))
    assert found.code == 0
    assert "broker 9 (198.18.0.19:9092) is registered" in found.notes[0]
    assert "broker 9" in shown(found)


# --- secrets ---


def test_a_secret_is_never_shown() -> None:
    found = planned(password="correct-horse")
    cluster, _ = lab_with()
    (diff,) = found.files
    assert (diff.file, diff.lines) == ("pgpass", ("another content (a secret: not shown)",))
    assert found.steps[0].changes[0].what == "pgpass: another content (a secret: not shown)"
    for text in (shown(found), json.dumps(as_object(cluster, found)), repr(found)):
        assert "correct-horse" not in text
        assert "hunter2" not in text


def test_a_secret_that_is_not_needed_any_more_is_not_shown_either() -> None:
    cluster, sets = lab_with()
    local = replace(cluster.consumers["archive"], sink="local")  # type: ignore[call-arg]
    cluster = replace(cluster, consumers={**cluster.consumers, "archive": local})
    sets = {n: file_sets(cluster, v, ARTIFACTS) for n, v in cluster.voters.items()}
    found = plan(cluster, sets, seen(), [])
    (diff,) = [diff for diff in found.files if diff.file == "pgpass"]
    assert diff.lines == ("another content (a secret: not shown)",)
    assert "pgpass: removed" in [change.what for change in found.steps[0].changes]


# --- topics ---


def test_changes_of_topics_are_a_deploys_and_made_at_once() -> None:
    cluster, sets = lab_with()
    there = topicplan.Actual(((1, 2, 3),) * 3, {"retention.ms": "1"})
    wanted = topicplan.Topic("trades", 6, 3, settings={"retention.ms": "1209600000"})
    new = topicplan.Topic("trades.dead-letter", 3, 3)
    desired = topicplan.Desired(("a:1",), (1, 2, 3), (wanted, new))
    changes = [asdict(c) for c in topicplan.differences(desired, {"trades": there})]
    found = plan(cluster, sets, seen(), changes)
    assert [(c.what, c.why) for c in found.topics] == [
        ("trades: partitions: 3 -> 6", "with more of them a key's records may move"),
        (
            "trades: retention.ms: 1 -> 1209600000",
            "The days that the inventory promises, and those of an outage.",
        ),
        (
            "trades.dead-letter: to be created with 3 partitions, 3 replicas each",
            "",
        ),
    ]
    assert (found.code, following(found)) == (2, "make deploy")
    assert as_object(cluster, found)["topics"][1] == {
        "what": "trades: retention.ms: 1 -> 1209600000",
        "why": "The days that the inventory promises, and those of an outage.",
        "setting": "retention.ms",
        "old": "1",
        "new": "1209600000",
    }


def test_a_refused_topic_ends_the_plan_with_an_error() -> None:
    cluster, sets = lab_with()
    there = topicplan.Actual(((1, 2, 3),) * 9, {})
    desired = topicplan.Desired(("a:1",), (1, 2, 3), (topicplan.Topic("trades", 6, 3),))
    changes = [asdict(c) for c in topicplan.differences(desired, {"trades": there})]
    found = plan(cluster, sets, seen(), changes)
    assert found.topics == ()
    assert found.code == 1
    assert "topics.trades.partitions: 9 -> 6" in shown(found)
    assert following(found) == "put back what is refused, then fab plan"


def test_every_topic_of_a_cluster_that_was_never_started_is_to_be_made() -> None:
    _, sets = lab_with()
    nobody = replace(
        seen(), machines={n: bare(n) for n in ALL}, topics=TopicsSeen(complaint="no broker")
    )
    assert {c["kind"] for c in topics(sets, nobody)} == {"create"}
    assert topics(sets, replace(seen(), topics=TopicsSeen(complaint="no broker"))) == []


# --- how it is said ---


def test_the_json_has_the_same_keys_whatever_is_to_be_done() -> None:
    cluster, _ = lab_with()
    nothing = as_object(cluster, planned())
    assert list(nothing) == [
        "cluster", "exit", "next", "install", "files", "mends", "topics", "restarts", "applied",
        "links", "refused", "notes", "unasked",
    ]  # fmt: skip
    much = as_object(cluster, planned(kafka=LIVE | RESTART, heap="97M"))
    assert list(much) == list(nothing)
    row = json.loads(json.dumps(much))["restarts"][1]
    assert row["hosts"] == list(HOSTS)
    assert (row["service"], row["staged"], row["down"]) == ("kafka", False, False)
    assert row["changes"][1] == {
        "what": "num.io.threads: 8 (the default) -> 9",
        "why": "Set by the inventory (kafka.settings.num.io.threads).",
        "file": "server.properties",
        "setting": "num.io.threads",
        "old": None,
        "new": "9",
        "live": True,
    }


def test_a_narrow_screen_wraps_sentences_and_no_line_of_a_diff() -> None:
    text = shown(planned(kafka=RESTART), width=60)
    said = text[text.index("Only a restart") :]
    words = [line for line in said.splitlines() if "kafka.settings." not in line]
    assert all(len(line) <= 60 for line in words), words
    assert "    +zookeeper.session.timeout.ms=7000" in text.splitlines()


def test_the_first_sentence_of_a_reason_ends_where_it_does() -> None:
    assert sentence("It takes 3.5 s. More.") == "It takes 3.5 s."
    assert sentence("No end") == "No end"
    assert sentence("") == ""


def test_rows_that_differ_in_more_than_their_hosts_stay_apart() -> None:
    rows = [Mend(("a",), "x"), Mend(("b",), "y"), Mend(("c",), "x")]
    assert folded(rows) == [Mend(("a", "c"), "x"), Mend(("b",), "y")]


def test_steps_are_the_rolls_own_judgement_of_what_would_be_staged() -> None:
    cluster, sets = lab_with(kafka=RESTART)
    assert steps(cluster, sets, seen()) == list(plan(cluster, sets, seen(), []).steps)
