"""What a running process takes without a restart, and what only a restart brings."""

from __future__ import annotations

import pytest

from cluster.live import (
    NEVER,
    POOLS,
    SERVER,
    Difference,
    corrections,
    difference,
    meaning,
    overrides,
    properties,
    reachable,
    takes,
)

STARTED = {SERVER: "# why\nbroker.id=1\nnum.io.threads=8\nlog.roll.ms=1000\n"}


def server(text: str) -> dict[str, str]:
    return {SERVER: text}


def test_files_that_are_equal_differ_in_nothing() -> None:
    assert difference(STARTED, STARTED) == Difference()


def test_comments_and_blank_lines_do_not_count() -> None:
    new = "# because\n\nbroker.id=1\n  # more\nnum.io.threads=8\n\nlog.roll.ms=1000\n"
    assert difference(STARTED, server(new)) == Difference()
    assert difference({"a.toml": "# a\nx = 1\n"}, {"a.toml": "x = 1\n"}) == Difference()
    assert difference({"k.service": "[Unit]\n# a\n"}, {"k.service": "[Unit]\n"}) == Difference()


def test_a_setting_that_kafka_takes_while_it_runs_needs_no_restart() -> None:
    new = server(STARTED[SERVER].replace("log.roll.ms=1000", "log.roll.ms=2000"))
    assert difference(STARTED, new) == Difference((), {"log.roll.ms": "2000"})


def test_a_setting_that_was_not_in_the_file_is_taken_too() -> None:
    new = server(STARTED[SERVER] + "log.retention.bytes=5\n")
    assert difference(STARTED, new).settings == {"log.retention.bytes": "5"}


def test_a_setting_that_the_file_loses_needs_a_restart() -> None:
    """Nobody knows what a broker without it would have: its default, or that of another setting."""
    new = server(STARTED[SERVER].replace("log.roll.ms=1000\n", ""))
    assert difference(STARTED, new) == Difference((f"{SERVER}: log.roll.ms",))


def test_one_setting_that_needs_a_restart_is_named_beside_those_that_do_not() -> None:
    new = server("broker.id=2\nnum.io.threads=9\nlog.roll.ms=1000\n")
    found = difference(STARTED, new)
    assert found.restart == (f"{SERVER}: broker.id",)
    assert found.settings == {"num.io.threads": "9"}


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ({"kafka.service": "a"}, {"kafka.service": "b"}, "kafka.service"),
        ({"a.xml": "<!-- a -->"}, {"a.xml": "<!-- b -->"}, "a.xml"),  # its comments are not known
        ({"mine.py": "# a"}, {"mine.py": "# b"}, "mine.py"),
        ({"zookeeper.properties": "a=1"}, {"zookeeper.properties": "a=2"}, "zookeeper.properties"),
        ({"consumer.properties": "a=1"}, {"consumer.properties": "a=2"}, "consumer.properties"),
        ({}, {"pgpass": "x"}, "pgpass"),
        ({"pgpass": "x"}, {}, "pgpass"),
    ],
)
def test_any_other_file_needs_a_restart(
    old: dict[str, str], new: dict[str, str], named: str
) -> None:
    assert difference(old, new) == Difference((named,))


def test_a_hash_inside_a_value_is_no_comment() -> None:
    assert properties("a=1#2\n#b=3\n  # c=4\nd = 5 \nnothing\n") == {"a": "1#2", "d": "5"}
    assert meaning("a.toml", "x = '#1'") != meaning("a.toml", "x = '#2'")


def test_of_a_setting_that_stands_twice_the_last_counts() -> None:
    assert properties("a=1\na=2\n") == {"a": "2"}


@pytest.mark.parametrize(
    ("old", "new", "taken"),
    [
        ("8", "16", True), ("8", "17", False), ("8", "4", True), ("8", "3", False),
        ("3", "1", True),  # Kafka halves whole numbers: 3 // 2 is 1
        ("1", "2", True), ("1", "3", False), ("8", "many", False),
        (None, "16", True), (None, "17", False),  # its default is 8
    ],
)  # fmt: skip
def test_a_pool_of_threads_is_at_most_doubled_and_at_most_halved(
    old: str | None, new: str, taken: bool
) -> None:
    assert takes("num.io.threads", old, new) is taken


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("log.retention.ms", True),
        ("min.insync.replicas", True),
        ("unclean.leader.election.enable", True),
        ("zookeeper.session.timeout.ms", False),  # read-only
        ("listeners", False),  # of one broker: a listener is left to a restart
        ("ssl.keystore.location", False),
        ("no.such.setting", False),
        *((name, False) for name in sorted(NEVER)),
    ],
)
def test_only_what_kafka_lets_one_set_for_all_brokers_is_set_live(name: str, taken: bool) -> None:
    assert takes(name, "1", "2") is taken


def test_every_pool_is_a_setting_that_kafka_takes_while_it_runs() -> None:
    assert all(takes(name, "4", "5") for name in POOLS)


def test_a_broker_needs_no_setting_of_its_own_where_only_a_restart_does_it() -> None:
    new = server("broker.id=2\nnum.io.threads=9\nlog.roll.ms=1000\n")
    assert overrides(STARTED, new) == {}
    assert overrides(STARTED, server(STARTED[SERVER].replace("=8", "=9"))) == {
        "num.io.threads": "9"
    }


# --- what is to be changed of a broker's dynamic settings ---

NINE = server(STARTED[SERVER].replace("=8", "=9"))


def test_a_setting_is_applied_once() -> None:
    assert corrections(STARTED, NINE, {}) == {"num.io.threads": "9"}
    assert corrections(STARTED, NINE, {"num.io.threads": "9"}) == {}
    assert corrections(STARTED, NINE, {"num.io.threads": "7"}) == {"num.io.threads": "9"}


def test_a_setting_that_the_file_has_after_a_restart_is_taken_away() -> None:
    assert corrections(NINE, NINE, {"num.io.threads": "9"}) == {"num.io.threads": None}


def test_a_setting_that_says_another_thing_than_the_file_is_taken_away() -> None:
    assert corrections(STARTED, STARTED, {"log.roll.ms": "7"}) == {"log.roll.ms": None}


def test_what_no_file_names_is_somebody_elses() -> None:
    throttle = {"leader.replication.throttled.rate": "1000000"}
    assert corrections(STARTED, NINE, {**throttle, "num.io.threads": "9"}) == {}
    assert corrections(STARTED, STARTED, throttle) == {}


def test_what_was_applied_and_is_in_no_file_any_more_is_taken_away() -> None:
    """It was added, applied, and taken out of the inventory again: neither the files that the
    broker started with have it, nor the new ones.
    """
    applied = server(STARTED[SERVER] + "log.retention.bytes=5\n")
    there = {"log.retention.bytes": "5"}
    assert corrections(STARTED, STARTED, there, applied) == {"log.retention.bytes": None}


def test_a_pool_that_was_doubled_already_is_not_quartered_at_once() -> None:
    four = server(STARTED[SERVER].replace("=8", "=4"))
    found = corrections(STARTED, four, {"num.io.threads": "16"})
    assert found == {"num.io.threads": "4"}
    assert not reachable(found, {"num.io.threads": "16"})
    assert reachable(found, {"num.io.threads": "8"})
    assert reachable(found, {})
    assert reachable({"num.io.threads": None}, {"num.io.threads": "16"})
