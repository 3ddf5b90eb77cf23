"""The verdict on a cluster, over what real ones answered: never full because nobody looked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cluster.due import Due, due, not_staged
from cluster.explain import State
from cluster.observed import BARE, Partition, Snapshot, TopicSeen
from cluster.overview import lag, last_roll, overview
from cluster.render import FileSet
from cluster.snapshot import DATA, snapshot
from cluster.verdict import Verdict, verdict
from cluster.writes import listed, places, ranges
from tests.unit import snapshots_base as captured
from tests.unit import verify_base

LAB = verify_base.lab()
SETS = {name: verify_base.sets(name) for name in LAB.voters}


def judged(seen: Snapshot) -> Verdict:
    return verdict(LAB, seen, due(LAB, SETS, seen), not_staged(SETS, seen))


def changed(name: str, change: Callable[[dict[str, Any]], object]) -> Verdict:
    """The verdict on a captured state of which one thing was changed."""
    answers = captured.answers(name)
    change(answers)
    return judged(snapshot(answers))


# --- the table: a state, its verdict, what it must say, what is to be done ---

TABLE: dict[str, tuple[State, str, str]] = {
    "healthy": ("full", "all replicas are in sync, all of ZooKeeper's voters follow", ""),
    "broker-missing": (
        "degraded",
        "kafka on kafka2 is stopped",
        "systemctl start kafka.service on kafka2",
    ),
    # Kafka calls itself whole: nothing of its own mentions the third broker.
    "broker-unmentioned": (
        "degraded",
        "kafka on kafka3 is stopped",
        "systemctl start kafka.service on kafka3",
    ),
    "machine-dead": (
        "degraded",
        "kafka2 answers to nothing",
        "switch kafka2 on, or mend the network",
    ),
    "two-machines-dead": (
        "down",
        "nothing can be written: all 24 partitions are under min ISR",
        "switch kafka2 and kafka3 on, or mend the network",
    ),
    "last-stand": (
        "last stand",
        "kafka1 takes all writes alone",
        "switch kafka2 and kafka3 on, or mend the network",
    ),
    "all-down": (
        "down",
        "nothing can be written: no broker answers",
        "switch kafka1, kafka2 and kafka3 on, or mend the network",
    ),
    "one-left": (
        "down",
        "(without a leader); kafka1, kafka2, witness1 and witness2 answer to nothing",
        "switch kafka1, kafka2, witness1 and witness2 on, or mend the network; where that cannot "
        "be done soon: fab last-stand kafka3",
    ),
    "narrowed": (
        "last stand",
        "kafka3 takes all writes alone",
        "one at a time: switch kafka1 on, or mend its network; fab rejoin kafka1",
    ),
    "under-min-isr": (
        "down",
        "nothing can be written: all 24 partitions are under min ISR",
        "systemctl start kafka.service on kafka2 and kafka3",
    ),
    "one-replica": (
        "degraded",
        "a single copy, which dies with its machine: scratch 0",
        "kafka-reassign-partitions.sh, or delete scratch",
    ),
    "zookeeper-out-of-sync": (
        "degraded",
        "zookeeper on kafka3 does not answer, though its process runs",
        "journalctl -u zookeeper.service on kafka3",
    ),
    "zookeeper-no-quorum": (
        "degraded",
        "ZooKeeper has no quorum: 2 of 5 voters answer, 3 must",
        "systemctl start zookeeper.service on kafka3, witness1 and witness2",
    ),
    "disk-full": (
        "degraded",
        "kafka2's disk has 60 MB of 4.08 GB left",
        "on kafka2: du -xh --max-depth=2 /; free some",
    ),
    "consumer-down": (
        "full",
        "collector on kafka2 is stopped; the others take over: 12 records wait",
        "systemctl start consumer-collector.service on kafka2",
    ),
    "consumers-down": (
        "full",
        "the consumer collector runs on no host: 60 records wait",
        "systemctl start consumer-collector.service on kafka1, kafka2 and kafka3",
    ),
    "unreadable": ("degraded", "kafka on kafka1 answers nonsense", "ssh kafka1"),
}


def test_every_captured_state_is_in_the_table() -> None:
    assert set(captured.names()) == set(TABLE)


def narrowed_to(*voters: int, lead: bool) -> Callable[[dict[str, Any]], object]:
    """kafka3's record names these voters; whether it serves."""

    def change(answers: dict[str, Any]) -> None:
        answers["machines"]["kafka3"]["ensemble"]["voters"] = list(voters)
        if not lead:
            answers["voters"]["kafka3"]["mntr"] = ""
            for name in ("witness1", "witness2"):
                answers["voters"][name] = answers["voters"]["kafka3"]

    return change


def test_who_is_left_out_of_a_narrowed_ensemble_is_no_part_of_its_quorum() -> None:
    found = changed("narrowed", narrowed_to(1, 3, lead=False))
    whats = [cause.what for cause in found.causes]
    assert any("1 of 2 voters answer, 2 must" in what for what in whats), whats


def test_an_end_of_a_last_stand_that_was_interrupted_says_what_ends_it() -> None:
    found = changed("narrowed", narrowed_to(1, 2, 3, 4, 5, lead=True))
    then = {cause.what: cause.do for cause in found.causes}
    ends = [do for what, do in then.items() if "its end was interrupted" in what]
    assert ends == ["fab rejoin witness2"]
    assert not [do for do in then.values() if do.endswith("then: ")]


@pytest.mark.parametrize("name", TABLE)
def test_a_real_states_verdict(name: str) -> None:
    state, says, then = TABLE[name]
    found = judged(captured.seen(name))
    assert (found.state, found.next) == (state, then)
    assert says in found.line
    assert then in found.line


def test_a_healthy_cluster_has_nothing_to_say() -> None:
    assert judged(captured.seen("healthy")).causes == ()


def test_without_a_quorum_no_new_producer_can_begin() -> None:
    found = judged(captured.seen("zookeeper-no-quorum"))
    assert found.sentence == "everything can be written by who writes already"
    assert "no producer can begin" in found.line


@pytest.mark.parametrize(
    "name", ["broker-missing", "machine-dead", "two-machines-dead", "under-min-isr"]
)
def test_what_one_thing_explains_is_said_once(name: str) -> None:
    """The guardians are stopped in some of these states, so that no last stand begins."""
    found = [cause.what for cause in judged(captured.seen(name)).causes]
    assert len([what for what in found if not what.startswith(("guardian on", "alarm "))]) == 1


# --- never full where something could not be asked ---

PARTS = ("topics", "registry", "brokers", "voters", "groups", "overrides")


@pytest.mark.parametrize("part", PARTS)
def test_it_is_never_full_where_an_answer_cannot_be_read(part: str) -> None:
    found = judged(captured.seen("healthy", **{part: "unreadable"}))
    assert found.state != "full"
    assert found.next


@pytest.mark.parametrize("part", [*PARTS, "machines"])
def test_it_is_never_full_where_nothing_was_asked(part: str) -> None:
    found = changed("healthy", lambda answers: answers.pop(part))
    assert found.state != "full"


@pytest.mark.parametrize("name", LAB.voters)
def test_it_is_never_full_where_a_machine_cannot_be_looked_at(name: str) -> None:
    why = {"complaint": "cannot be asked over SSH: timed out"}
    found = changed("healthy", lambda a: a["machines"].update({name: why}))
    assert found.state == "degraded"
    assert f"{name} could not be looked at: cannot be asked over SSH" in found.line
    assert found.next == f"ssh {name}"


def test_what_is_written_to_is_not_known_where_topics_cannot_be_read() -> None:
    found = judged(captured.seen("healthy", topics="unreadable"))
    assert "whether everything can be written, nobody could say" in found.headline


def test_no_machine_at_all_is_rather_this_controllers_network() -> None:
    why = {"complaint": "timed out"}

    def silence(answers: dict[str, Any]) -> None:
        for part in ("voters", "brokers", "machines", "overrides"):
            answers[part] = dict.fromkeys(answers[part], why)
        answers["topics"] = answers["registry"] = answers["ends"] = why
        answers["groups"] = dict.fromkeys(answers["groups"], why)

    found = changed("healthy", silence)
    assert found.state == "down"
    assert "controller's own network" in found.next


# --- what can be written ---


def with_topic(*partitions: Partition, min_isr: str = "2", name: str = "audit") -> Verdict:
    seen = captured.seen("healthy")
    topic = TopicSeen(name, partitions, {"min.insync.replicas": min_isr})
    return judged(replace(seen, topics=verify_base.TopicsSeen({**seen.topics.topics, name: topic})))


def test_the_partitions_that_cannot_be_written_are_named() -> None:
    good = Partition(1, (1, 2, 3), (1, 2, 3))
    found = with_topic(good, Partition(-1, (1, 2, 3), (2,)), Partition(1, (1, 2, 3), (1,)), good)
    assert found.state == "down"
    assert "audit 1 (without a leader) and audit 2 (under min ISR)" in found.headline
    assert "nothing can be written to" in found.headline


def test_a_replica_that_is_behind_is_said_with_its_host() -> None:
    found = with_topic(Partition(1, (1, 2, 3), (1, 2)))
    assert found.state == "degraded"
    assert "running, but not in sync with audit 0: kafka on kafka3" in found.line


def test_a_topic_that_nothing_can_ever_be_written_to_is_no_outage() -> None:
    found = with_topic(Partition(1, (1,), (1,)))
    assert found.state == "degraded"
    assert "fewer replicas than a write needs: audit 0" in found.line


def test_a_leader_whose_broker_is_gone_takes_no_write() -> None:
    found = changed("healthy", lambda a: a["registry"]["nodes"].pop("/brokers/ids/2"))
    assert found.state == "down"
    assert "(without a leader)" in found.headline


def test_a_leader_that_does_not_answer_takes_no_write_though_it_is_registered() -> None:
    """The first seconds after a machine's silent death: its session is not over yet."""
    why = {"complaint": "does not answer"}

    def die(answers: dict[str, Any]) -> None:
        for part in ("voters", "brokers", "machines"):
            answers[part]["kafka2"] = why

    found = changed("healthy", die)
    assert found.state == "down"
    assert "(led by a broker that does not answer)" in found.headline
    assert found.next == "switch kafka2 on, or mend the network"


def test_brokers_that_catch_up_are_said_together() -> None:
    found = with_topic(Partition(1, (1, 2, 3), (1,)), min_isr="1")
    assert "running, but not in sync with audit 0: kafka on kafka2 and kafka3" in found.line


def test_a_declared_topic_that_is_missing_is_an_outage() -> None:
    found = changed("healthy", lambda a: a["topics"]["topics"].pop("trades"))
    assert (found.state, found.next) == ("down", "make deploy")
    assert "there is no topic trades" in found.headline


def test_a_lowered_min_isr_on_a_whole_cluster_is_not_full() -> None:
    def lower(answers: dict[str, Any]) -> None:
        answers["topics"]["topics"]["trades"]["settings"]["min.insync.replicas"] = "1"

    found = changed("healthy", lower)
    assert found.state == "degraded"
    assert "min ISR is lowered on trades" in found.line


def test_a_last_stand_with_a_partition_that_cannot_be_written_is_down() -> None:
    def lose(answers: dict[str, Any]) -> None:
        answers["topics"]["topics"]["trades"]["partitions"][3] = [-1, [1, 2, 3], [2]]

    found = changed("last-stand", lose)
    assert found.state == "down"
    assert "trades 3 (without a leader); kafka1 takes the rest alone" in found.headline


def test_a_disk_that_is_full_within_a_day_is_not_full_health() -> None:
    def fill(answers: dict[str, Any]) -> None:
        disk = answers["machines"]["kafka2"]["disks"][DATA]
        disk["used"] = disk["recent"] = disk["size"] - disk["free"]
        disk["free"] = disk["size"] // 8
        disk["recent"] = disk["free"] * 2

    found = changed("healthy", fill)
    assert found.state == "degraded"
    assert "kafka2's disk" in found.line


def test_disks_that_will_be_full_are_said_with_the_rate() -> None:
    def grow(answers: dict[str, Any]) -> None:
        for host in ("kafka1", "kafka3"):
            answers["machines"][host]["disks"][DATA]["recent"] = 10**9

    found = changed("healthy", grow)
    assert found.state == "full"
    says = "full in 3.4 days on kafka1 and 3.4 days on kafka3: the disk, at 1 GB a day"
    assert f"{says} (written in the last day)" in found.line
    assert len(found.causes) == 1


# --- ZooKeeper, brokers ---


def test_a_follower_out_of_sync_that_answers_is_seen_by_its_leader() -> None:
    def lag_behind(answers: dict[str, Any]) -> None:
        for voter in answers["voters"].values():
            voter["mntr"] = voter["mntr"].replace("synced_followers\t4", "synced_followers\t3")

    found = changed("healthy", lag_behind)
    assert found.state == "degraded"
    assert "has 3 of 4 followers in sync" in found.line


def test_two_leaders_are_never_full() -> None:
    def split(answers: dict[str, Any]) -> None:
        voter = answers["voters"]["kafka1"]
        voter["mntr"] = "zk_server_state\tleader\nzk_synced_followers\t4\n"

    found = changed("healthy", split)
    assert found.state == "degraded"
    assert "both say that they lead ZooKeeper" in found.line


def test_a_voter_of_another_ensemble_is_not_full() -> None:
    def other(answers: dict[str, Any]) -> None:
        voter = answers["voters"]["kafka1"]
        voter["conf"] = voter["conf"].replace("198.18.0.15", "198.18.0.99")

    assert "another ensemble" in changed("healthy", other).line


def test_no_controller_and_a_strange_broker_are_said() -> None:
    assert "no broker is the controller" in (
        changed("healthy", lambda a: a["registry"]["nodes"].pop("/controller")).line
    )

    def strange(answers: dict[str, Any]) -> None:
        nodes = answers["registry"]["nodes"]
        nodes["/brokers/ids/9"] = {**nodes["/brokers/ids/1"], "host": "198.18.0.99"}

    found = [cause.what for cause in changed("healthy", strange).causes]
    assert any("broker 9 at 198.18.0.99:9092 is of no host" in what for what in found)


def unit(host: str, name: str, **shown: str) -> Callable[[dict[str, Any]], object]:
    return lambda a: a["machines"][host]["units"][name].update(shown)


def test_a_broker_that_does_not_stay_up_sends_to_its_journal() -> None:
    change = unit("kafka2", "kafka.service", ActiveState="activating", NRestarts="7")
    found = changed("broker-missing", change)
    assert "does not stay up (activating, restarted 7 times)" in found.line
    assert found.next == "journalctl -u kafka.service on kafka2"


def test_a_broker_that_just_started_is_waited_for() -> None:
    def new(answers: dict[str, Any]) -> None:
        machine = answers["machines"]["kafka2"]
        began = str(int((machine["monotonic"] - 16) * 1e6))
        machine["units"]["kafka.service"].update(
            ActiveState="active", ActiveEnterTimestampMonotonic=began
        )

    found = changed("broker-missing", new)
    assert "kafka on kafka2 does not answer yet, its process is new" in found.line
    assert found.next.startswith("fab status --watch")


def test_a_broker_that_is_not_well_is_not_called_behind_as_well() -> None:
    def hang(answers: dict[str, Any]) -> None:
        answers["brokers"]["kafka2"] = {"complaint": "does not answer"}
        for topic in answers["topics"]["topics"].values():
            topic["partitions"] = [
                [leader, replicas, [n for n in isr if n != 2]]
                for leader, replicas, isr in topic["partitions"]
            ]

    found = changed("healthy", hang)
    assert [c.what for c in found.causes] == [
        "kafka on kafka2 does not answer, though its process runs"
    ]


def test_a_broker_that_is_being_stopped_is_not_called_broken() -> None:
    found = changed("broker-missing", unit("kafka2", "kafka.service", ActiveState="deactivating"))
    assert "kafka on kafka2 is being stopped" in found.line


def test_a_stale_set_on_a_broker_that_is_down_is_rolled_first() -> None:
    def stage(answers: dict[str, Any]) -> None:
        here = answers["machines"]["kafka2"]["sets"]["kafka"]
        here["files"]["0123456789abcdef"] = {}
        here["staged"] = "0123456789abcdef"

    found = changed("broker-missing", stage)
    assert (found.state, found.next) == ("degraded", "fab roll")
    assert "what is staged may cure it" in found.line


# --- what costs no redundancy is said ---


def test_a_stale_process_is_said_and_the_cluster_is_full() -> None:
    step = Due(
        "kafka1", "kafka", "kafka.service", "restart", "b", "a", ("num.io.threads: 8 -> 16",)
    )
    found = verdict(LAB, captured.seen("healthy"), {("kafka1", "kafka"): step}, {})
    assert (found.state, found.next) == ("full", "fab roll")
    assert "staged and not live: kafka on kafka1 (num.io.threads: 8 -> 16)" in found.line


def test_what_is_not_staged_is_said_and_the_cluster_is_full() -> None:
    missing = {("kafka1", "kafka"): FileSet("kafka", "kafka.service", "kafka", {})}
    found = verdict(LAB, captured.seen("healthy"), {}, missing)
    assert (found.state, found.next) == ("full", "fab plan; then make deploy")


def test_a_probe_that_is_down_is_said_and_the_cluster_is_full() -> None:
    found = changed("healthy", unit("witness1", "standfast-probe.service", ActiveState="inactive"))
    assert found.state == "full"
    assert "what hangs there is not restarted" in found.line


def test_a_process_that_dies_again_and_again_is_said() -> None:
    def loop(answers: dict[str, Any]) -> None:
        machine = answers["machines"]["kafka3"]
        began = str(int((machine["monotonic"] - 8) * 1e6))
        machine["units"]["consumer-archive.service"].update(
            NRestarts="12", ActiveEnterTimestampMonotonic=began
        )

    found = changed("healthy", loop)
    assert found.state == "full"
    assert "archive on kafka3 was restarted 12 times, last 8 s ago" in found.line


def test_a_consumer_that_is_late_is_said() -> None:
    def late(answers: dict[str, Any]) -> None:
        answers["ends"]["ends"]["trades"]["0"] = 1500
        answers["groups"]["archive"]["waiting"] = answers["at"] - 75

    found = changed("healthy", late)
    assert found.state == "full"
    assert "the consumer archive is late: 1,500 records wait, the oldest for 75 s" in found.line


def test_what_runs_nowhere_comes_before_what_runs_on_others() -> None:
    def also(answers: dict[str, Any]) -> None:
        for host in LAB.hosts:
            unit(host, "consumer-large-trades.service", ActiveState="failed")(answers)

    found = changed("consumer-down", also)
    assert "large-trades runs on no host" in found.causes[0].what


# --- hosts on which nothing was deployed ---


@pytest.mark.parametrize("how", ["no Python there", "nothing staged there"])
def test_hosts_that_were_never_deployed_are_called_so(how: str) -> None:
    why = {"complaint": "does not answer (Connection refused)"}

    def empty(answers: dict[str, Any]) -> None:
        for part in ("voters", "brokers", "overrides"):
            answers[part] = dict.fromkeys(answers[part], why)
        answers["topics"] = answers["registry"] = answers["ends"] = why
        answers["groups"] = dict.fromkeys(answers["groups"], why)
        if how == "no Python there":
            answers["machines"] = {name: {"complaint": BARE} for name in answers["machines"]}
        else:
            for machine in answers["machines"].values():
                bare = dict.fromkeys(("staged", "current", "good", "running", "started"))
                machine["sets"] = {name: {**bare, "files": {}} for name in machine["sets"]}

    found = changed("healthy", empty)
    assert (found.state, found.next) == ("down", "make deploy")
    assert "nothing was deployed here" in found.headline


def test_one_host_without_anything_is_a_machine_that_was_replaced() -> None:
    found = changed("machine-dead", lambda a: a["machines"].update(kafka2={"complaint": BARE}))
    assert (found.state, found.next) == ("degraded", "make deploy")
    assert "nothing of Standfast is on kafka2" in found.line


# --- the overview ---


def test_the_overview_counts_leaders_and_replicas() -> None:
    found = overview(LAB, captured.seen("broker-missing"))
    hosts = found.hosts
    assert [hosts[n].registered for n in LAB.hosts] == [True, False, True]
    assert sum(hosts[n].leads or 0 for n in LAB.hosts) == 24
    assert (hosts["kafka2"].in_sync, hosts["kafka2"].hosted, hosts["kafka2"].leads) == (0, 24, 0)
    assert (hosts["kafka1"].in_sync, hosts["kafka1"].hosted) == (24, 24)
    assert sum(bool(h.controller) for h in hosts.values()) == 1
    assert [h.zookeeper for h in hosts.values()].count("leader") == 1
    assert hosts["kafka2"].processes["kafka"].uptime is None
    assert (hosts["kafka1"].processes["kafka"].uptime or 0) > 0


def test_what_could_not_be_seen_is_none_and_no_number() -> None:
    hosts = overview(LAB, captured.seen("all-down")).hosts
    assert hosts["kafka1"].unasked
    assert hosts["kafka1"].registered is hosts["kafka1"].leads is hosts["kafka1"].in_sync is None
    assert hosts["kafka1"].disk is None
    assert lag(LAB, "collector", captured.seen("all-down")).records is None


def test_a_lag_is_counted_in_records_and_seconds() -> None:
    found = lag(LAB, "collector", captured.seen("consumer-down"))
    assert found.records == 12
    assert found.seconds is not None
    assert 0 < found.seconds < 10
    read = lag(LAB, "archive", captured.seen("consumer-down"))
    assert (read.records, read.seconds, read.partitions) == (0, 0.0, 0)


def test_it_is_never_full_where_a_topics_end_is_unknown() -> None:
    found = changed("healthy", lambda a: a["ends"]["ends"]["trades"].pop("5"))
    assert found.state == "degraded"
    assert "nobody told how long 1 of its partitions are" in found.line
    assert changed("healthy", lambda a: a["ends"]["ends"]["trades"].clear()).state == "degraded"


def test_a_lag_of_which_a_partition_has_no_end_says_so() -> None:
    answers = captured.answers("healthy")
    del answers["ends"]["ends"]["trades"]["5"]
    assert lag(LAB, "collector", snapshot(answers)).partitions == 1
    answers = captured.answers("consumer-down")
    answers["groups"]["collector"]["waiting"] = None  # nothing of it could be fetched
    assert lag(LAB, "collector", snapshot(answers)).seconds is None


def disk_of(**changes: int) -> Any:
    answers = captured.answers("healthy")
    answers["machines"]["kafka1"]["disks"][DATA].update(changes)
    return overview(LAB, snapshot(answers)).hosts["kafka1"].disk


def test_days_left_are_counted_at_the_greater_of_what_is_promised_and_what_came() -> None:
    gb = 10**9
    quiet = disk_of(size=4 * gb, free=3 * gb, used=0, recent=0)
    assert (quiet.bytes_per_day, quiet.rate, quiet.days_left) == (50_000_000, "promised", None)
    busy = disk_of(size=4 * gb, free=2 * gb, used=gb, recent=gb)
    assert (busy.bytes_per_day, busy.rate, busy.days_left) == (gb, "written in the last day", 2.0)
    small = disk_of(size=4 * gb, free=100_000_000, used=0, recent=0)
    assert small.days_left == 2.0


def entry(roll: str, at: float, event: str, **more: str) -> dict[str, Any]:
    return {"roll": roll, "at": at, "event": event, "sentence": event, "by": "ops@there", **more}


def rolls(*journals: list[dict[str, Any]]) -> Any:
    return last_roll([verify_base.machine(journal=tuple(journal)) for journal in journals])


def test_the_last_roll_is_the_newest_of_all_hosts_journals() -> None:
    assert rolls([], []) is None
    first = [entry("a", 1, "begin"), entry("a", 2, "end")]
    found = rolls(first, [*first, entry("b", 3, "begin"), entry("b", 5, "stopped")])
    assert (found.roll, found.event, found.over, found.by) == ("b", "stopped", True, "ops@there")
    # A host that was away when it ended has no end of it.
    away = rolls([entry("a", 1, "begin"), entry("a", 9, "end")], [entry("a", 1, "begin")])
    assert (away.event, away.over) == ("end", True)
    going = rolls([entry("b", 3, "begin"), entry("b", 4, "step")])
    assert (going.event, going.over) == ("step", False)
    assert rolls([{"event": "end"}, {"at": "7", "roll": "x"}]) is None


# --- words ---


def test_partitions_are_named_in_ranges() -> None:
    assert ranges([5, 0, 1, 2, 7]) == "0-2, 5, 7"
    assert places({"trades": [0, 1], "audit": [3]}) == "trades 0-1 and audit 3"
    many = {f"t{n}": [0, 1] for n in range(6)}
    assert places(many) == "t0 0-1, t1 0-1, t2 0-1, t3 0-1 and 4 more partitions"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_many_partitions_make_no_long_sentence() -> None:
    partitions = tuple(Partition(1 + n % 3, (1, 2, 3), (1, 2)) for n in range(1000))
    assert len(with_topic(*partitions).line) < 400
