"""What a cluster's topics lack is found, and what cannot be altered in place is refused."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from standfast import topics
from standfast.errors import Failure, UserError
from standfast.topicplan import (
    Actual,
    Change,
    Desired,
    Topic,
    assignment,
    differences,
    normal,
    read,
)

TRADES = Topic("trades", 6, 3, settings={"min.insync.replicas": "2"})
CANARY = Topic("canary", 3, 3, leaders_by_broker=True)
DESIRED = Desired(("198.18.0.11:9092",), (1, 2, 3), (TRADES, CANARY))
WHOLE = {
    "trades": Actual(((2, 1, 3),) * 6, {"min.insync.replicas": "2", "retention.ms": "9"}),
    "canary": Actual(((1, 2, 3), (2, 3, 1), (3, 1, 2)), {}),
}


def found(**actual: Actual) -> list[tuple[str, str, str]]:
    changes = differences(DESIRED, WHOLE | actual)
    return [(change.kind, change.what, change.sentence) for change in changes]


def test_topics_as_desired_differ_in_nothing_and_undeclared_settings_are_left_alone() -> None:
    assert differences(DESIRED, WHOLE) == []


def test_a_topic_that_does_not_exist_is_to_be_created() -> None:
    changes = differences(DESIRED, {"canary": WHOLE["canary"]})
    assert [(change.topic, change.kind, change.found) for change in changes] == [
        ("trades", "create", None)
    ]


def test_partitions_are_added_and_the_sentence_says_that_keys_move() -> None:
    changes = found(trades=replace(WHOLE["trades"], replicas=((2, 1, 3),) * 4))
    assert [change[:2] for change in changes] == [("partitions", "partitions")]
    assert changes[0][2].endswith("should be 6, is 4; with more of them a key's records may move")


@pytest.mark.parametrize(
    ("topic", "replicas", "what"),
    [
        ("trades", ((2, 1, 3),) * 7, "partitions"),
        ("trades", ((2, 1, 3),) * 5 + ((2, 1),), "partition 5 replicas"),
        ("canary", ((1, 2, 3), (3, 2, 1), (3, 1, 2)), "partition 1 preferred leader"),
    ],
)
def test_what_cannot_be_altered_in_place_is_refused(
    topic: str, replicas: tuple[tuple[int, ...], ...], what: str
) -> None:
    changes = found(**{topic: replace(WHOLE[topic], replicas=replicas)})
    assert [change[:2] for change in changes] == [("refused", what)]


@pytest.mark.parametrize("settings", [{}, {"min.insync.replicas": "1"}])
def test_a_setting_counts_only_where_the_topic_itself_has_it(settings: dict[str, str]) -> None:
    changes = found(trades=replace(WHOLE["trades"], settings=settings))
    assert [change[:2] for change in changes] == [("setting", "min.insync.replicas")]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("True", "true", True),
        ("compact, delete", "compact,delete", True),
        ("0.50", "0.5", True),
        ("0012", "12", True),
        ("+1", "1", True),
        ("-1", "-1", True),
        # Beyond the whole numbers that a float can tell apart.
        ("9223372036854775807", "9223372036854775806", False),
        ("delete,compact", "compact,delete", False),
        ("LogAppendTime", "logappendtime", False),
    ],
)
def test_two_spellings_of_one_value_are_equal(one: str, other: str, same: bool) -> None:
    assert (normal(one) == normal(other)) is same


def test_each_broker_leads_a_partition_and_replicas_rotate() -> None:
    assert [assignment(i, 2, (1, 2, 3)) for i in range(4)] == [[1, 2], [2, 3], [3, 1], [1, 2]]


def test_a_partition_without_leader_or_with_a_replica_out_of_sync_is_not_settled() -> None:
    whole = SimpleNamespace(leader=1, replicas=[1, 2, 3], isrs=[3, 1, 2])
    behind = SimpleNamespace(leader=1, replicas=[1, 2, 3], isrs=[1, 3])
    orphan = SimpleNamespace(leader=-1, replicas=[1, 2, 3], isrs=[])
    assert topics.unsettled("t", {0: whole}) == []
    assert topics.unsettled("t", {0: whole, 1: behind, 2: orphan}) == [
        "topic t partition 1: not in sync on brokers [2]",
        "topic t partition 2 has no leader",
    ]


FILE = """\
bootstrap = ["198.18.0.11:9092"]
brokers = [1, 2, 3]
[[topic]]
name = "trades"
partitions = 6
replication = 3
[topic.settings]
"min.insync.replicas" = "2"
"""


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("replication = 3", "replication = 4", "trades.replication: must be 1 to 3"),
        ("partitions = 6", "partitions = 0", "trades.partitions: must be at least 1"),
        ("brokers = [1, 2, 3]", "", "brokers: missing"),
        ("name =", "nane =", "unexpected keyword argument 'nane'"),
        ('= "2"', "= 2", "trades.settings.min.insync.replicas: should be in quotes, is 2"),
        ("[[topic]]", "[[topic]", "line 3"),
    ],
)
def test_a_wrong_file_is_one_clear_error(
    tmp_path: Path, line: str, instead: str, message: str
) -> None:
    path = tmp_path / "topics.toml"
    path.write_text(FILE)
    assert read(path).topics == (TRADES,)
    path.write_text(FILE.replace(line, instead))
    with pytest.raises(UserError) as raised:
        read(path)
    assert raised.value.place == str(path)
    assert message in raised.value.what


def test_a_change_that_a_dying_controller_swallowed_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []

    def apply(admin: object, desired: Desired, changes: list[Change]) -> None:
        asked.append([change.topic for change in changes])
        if len(asked) == 1:
            raise topics.Unavailable("topic trades", "cannot be created: Timed out")

    monkeypatch.setattr(topics, "apply", apply)
    # The first request got as far as one of the two topics.
    monkeypatch.setattr(topics, "look", lambda admin, desired: {"trades": WHOLE["trades"]})
    admin: Any = None
    end = time.monotonic() + 5
    topics.converge(admin, DESIRED, differences(DESIRED, {}), end)
    assert asked == [["trades", "canary"], ["canary"]]


def test_a_cluster_that_stays_unavailable_is_given_up_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def apply(admin: object, desired: Desired, changes: list[Change]) -> None:
        raise topics.Unavailable("topic trades", "cannot be created: Timed out")

    monkeypatch.setattr(topics, "apply", apply)
    monkeypatch.setattr(topics, "look", lambda admin, desired: {})
    admin: Any = None
    with pytest.raises(Failure):
        topics.converge(admin, DESIRED, differences(DESIRED, {}), time.monotonic() + 0.5)
