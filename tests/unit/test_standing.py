"""What a guardian reads of ZooKeeper, and the transactions that it makes of an action."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from kazoo.exceptions import BadVersionError, ConnectionLoss, NoNodeError, RolledBackError
from kazoo.handlers.threading import KazooTimeoutError

from standfast import standing
from standfast.laststand import ALONE, Action, Record, Topic
from standfast.standing import CHUNK, PATIENCE, RECORD, Registry, Unknown

ME = 3
SAVED = {"min.insync.replicas": "2", "flush.messages": None}


class Answer:
    """As kazoo's: comes at once, is an error, or never comes."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def get(self, timeout: float | None = None) -> Any:
        assert timeout == PATIENCE, "every wait has a deadline"
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


class Transaction:
    """Notes what it is made of."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.made: list[tuple[Any, ...]] = []

    def check(self, path: str, version: int) -> None:
        self.made.append(("check", path, version))

    def create(self, path: str, value: bytes, sequence: bool = False) -> None:
        self.made.append(("create", path, json.loads(value)))

    def set_data(self, path: str, value: bytes, version: int) -> None:
        self.made.append(("set", path, json.loads(value), version))

    def delete(self, path: str, version: int) -> None:
        self.made.append(("delete", path, version))

    def commit_async(self) -> Answer:
        self.client.committed.append(self.made)
        return Answer(self.client.answer)


class Client:
    """A ZooKeeper of some nodes: content and version."""

    def __init__(self, nodes: dict[str, tuple[Any, int]]) -> None:
        self.nodes = nodes
        self.connected = True
        self.answer: Any = []  # to a transaction
        self.committed: list[list[tuple[Any, ...]]] = []
        self.ensured: list[str] = []
        self.ensuring: Any = True

    def sync_async(self, path: str) -> Answer:
        return Answer(path)

    def get_children_async(self, path: str) -> Answer:
        inside = (node.removeprefix(path + "/") for node in self.nodes if node.startswith(path))
        return Answer(sorted({rest.split("/")[0] for rest in inside}))

    def get_async(self, path: str) -> Answer:
        if path not in self.nodes:
            return Answer(NoNodeError())
        content, version = self.nodes[path]
        return Answer((json.dumps(content).encode(), SimpleNamespace(version=version, mtime=0)))

    def ensure_path_async(self, path: str) -> Answer:
        self.ensured.append(path)
        return Answer(self.ensuring)

    def transaction(self) -> Transaction:
        return Transaction(self)


def topic(name: str, own: dict[str, str], version: int, *copies: list[int]) -> dict[str, Any]:
    """Its nodes; `copies` are the replicas of each partition, of which broker 3 is in sync."""
    states = {
        f"/brokers/topics/{name}/partitions/{n}/state": ({"leader": ME, "isr": [ME]}, 5)
        for n in range(len(copies))
    }
    plan = {"partitions": {str(n): ids for n, ids in enumerate(copies)}}
    config = {"version": 1, "config": own}
    return {
        f"/brokers/topics/{name}": (plan, 1), f"/config/topics/{name}": (config, version), **states,
    }  # fmt: skip


def cluster(record: Record | None = None, topics: int = 1) -> Client:
    """Broker 3 alone, and the topics t0, t1, … whose settings have versions 100, 101, …"""
    nodes: dict[str, tuple[Any, int]] = {f"/brokers/ids/{ME}": ({}, 0)}
    for number in range(topics):
        nodes |= topic(f"t{number}", {"retention.ms": "7"}, 100 + number, [1, 2, 3])
    if record:
        nodes[RECORD] = (json.loads(record.dump()), 9)
    return Client(nodes)


def looked(client: Client) -> Registry:
    registry = Registry(client)  # type: ignore[arg-type]
    registry.look(ME, frozenset)
    registry.topics()
    return registry


def lower(count: int = 1) -> Action:
    names = [f"t{number}" for number in range(count)]
    record = Record(ME, 1.5, dict.fromkeys(names, SAVED))
    return Action("lower", "", {name: dict(ALONE) for name in names}, record)


def restore(count: int = 1) -> Action:
    names = [f"t{number}" for number in range(count)]
    return Action("restore", "", {name: {"flush.messages": None} for name in names})


TOLD = ("create", "/config/changes/config_change_", {"version": 2, "entity_path": "topics/t0"})


def test_a_topic_has_its_own_settings_its_in_sync_sets_and_numbers_of_replicas() -> None:
    client = cluster(topics=0)
    client.nodes |= topic("trades", {"flush.messages": "1"}, 4, [1, 2, 3], [3])
    registry = Registry(client)  # type: ignore[arg-type]
    found = Topic({"flush.messages": "1"}, [(ME,), (ME,)], [3, 1])
    assert registry.topics() == {"trades": found}


def test_a_look_says_who_lives_and_what_was_noted() -> None:
    record = Record(ME, 1.5, {"t0": SAVED})
    for noted in (None, record):
        seen = Registry(cluster(noted)).look(ME, lambda: frozenset({1}))  # type: ignore[arg-type]
        assert (seen.registered, seen.answering, seen.record) == ({ME}, {1}, noted)


def test_others_are_asked_only_while_one_is_registered_alone() -> None:
    client = cluster()
    client.nodes["/brokers/ids/1"] = ({}, 0)
    seen = Registry(client).look(ME, lambda: pytest.fail("asked"))  # type: ignore[arg-type]
    assert seen.registered == {1, ME}


def test_lowering_notes_first_what_was_found_and_changes_by_version() -> None:
    client = cluster()
    looked(client).apply(lower())
    assert client.ensured == ["/standfast"]
    after = {"version": 1, "config": {"retention.ms": "7", **ALONE}}
    assert client.committed == [
        [
            ("check", f"/brokers/ids/{ME}", -1),
            ("create", RECORD, json.loads(lower().record.dump())),  # type: ignore[union-attr]
            ("set", "/config/topics/t0", after, 100),
            TOLD,
        ]
    ]


def test_a_record_that_is_there_is_changed_by_version() -> None:
    client = cluster(Record(ME, 1.5, {}))
    looked(client).apply(lower())
    assert client.ensured == []
    made = client.committed[0]
    assert (made[1][0], made[1][1], made[1][3]) == ("set", RECORD, 9)


def test_many_topics_are_several_transactions_and_the_first_has_the_whole_record() -> None:
    client = cluster(topics=CHUNK + 1)
    looked(client).apply(lower(CHUNK + 1))
    first, second = client.committed
    assert [step[:2] for step in first + second if step[1] == RECORD] == [("create", RECORD)]
    assert len(first[1][2]["topics"]) == CHUNK + 1
    assert second[0] == ("check", f"/brokers/ids/{ME}", -1)
    assert second[1][1] == f"/config/topics/t{CHUNK}"


def test_restoring_takes_the_record_away_last_and_by_version() -> None:
    count = CHUNK + 1
    client = cluster(Record(1, 1.5, {f"t{n}": SAVED for n in range(count)}), count)
    looked(client).apply(restore(count))
    first, second = client.committed
    assert second[-1] == ("delete", RECORD, 9)
    assert not [step for step in first + second[:-1] if step[0] in ("delete", "check")]
    assert first[0] == ("set", "/config/topics/t0", client.nodes["/config/topics/t0"][0], 100)


def test_a_record_goes_where_nothing_else_has_to_be_put_back() -> None:
    client = cluster(Record(1, 1.5, {"gone": SAVED}))
    looked(client).apply(Action("restore", ""))
    assert client.committed == [[("delete", RECORD, 9)]]


@pytest.mark.parametrize("action", [lower(CHUNK + 1), restore(CHUNK + 1)])
def test_a_conflict_is_unknown_and_nothing_more_is_changed(action: Action) -> None:
    client = cluster(topics=CHUNK + 1)
    client.answer = [RolledBackError(), BadVersionError()]
    with pytest.raises(Unknown, match="somebody else"):
        looked(client).apply(action)
    assert len(client.committed) == 1


@pytest.mark.parametrize("error", [KazooTimeoutError(), ConnectionLoss()])
def test_an_answer_that_does_not_come_is_unknown(error: Exception) -> None:
    client = cluster()
    registry = looked(client)
    client.answer = error
    with pytest.raises(Unknown, match=type(error).__name__):
        registry.apply(lower())
    client.ensuring = error
    with pytest.raises(Unknown, match=type(error).__name__):
        registry.apply(lower())
    assert len(client.committed) == 1


def test_without_a_connection_nothing_is_left_to_be_sent_later() -> None:
    client = cluster()
    registry = looked(client)
    client.connected = False
    for act in (lambda: registry.apply(lower()), lambda: registry.look(ME, frozenset)):
        with pytest.raises(Unknown, match="connect"):
            act()
    assert client.committed == []


def test_a_topic_that_is_deleted_just_now_is_unknown() -> None:
    client = cluster()
    del client.nodes["/config/topics/t0"]
    with pytest.raises(Unknown, match="NoNode"):
        standing.Registry(client).topics()  # type: ignore[arg-type]
