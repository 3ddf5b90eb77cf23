"""What a guardian reads of a cluster in ZooKeeper, and how it changes the topics' settings there.

Read after a sync(), changed by version in transactions. The settings are written as Kafka 3.9's
own tools write them with ZooKeeper: the content of /config/topics/NAME, and a node under
/config/changes that tells the brokers (AdminZkClient).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from standfast import registered
from standfast.laststand import Action, Record, Sight, Topic, changed

if TYPE_CHECKING:
    from kazoo.client import KazooClient

RECORD = "/standfast/last-stand"
PATIENCE = 2.0  # seconds for one answer of ZooKeeper's
ANY = -1  # whatever version a node has
CHUNK = 200  # topics in one transaction: far below ZooKeeper's limit of 1 MB


class Unknown(Exception):
    """What ZooKeeper holds could not be seen, or changed, now: one sentence."""


class Registry:
    """What ZooKeeper holds of the cluster, read after a sync() and changed by version."""

    def __init__(self, client: KazooClient) -> None:
        self._client = client
        self._versions: dict[str, tuple[dict[str, Any], int]] = {}  # topics' contents
        self._record: int | None = None  # the record's version, None where there is none

    def look(self, me: int, ask_others: Callable[[], frozenset[int]]) -> Sight:
        """Who lives, and the record; not the topics. Raises Unknown."""
        from kazoo.exceptions import NoNodeError

        if not self._client.connected:
            raise Unknown("not connected to any that serves")
        try:
            self._client.sync_async("/brokers").get(timeout=PATIENCE)
            asked = self._client.get_children_async("/brokers/ids")
            found = self._client.get_async(RECORD)
            alive = frozenset(map(int, asked.get(timeout=PATIENCE)))
            try:
                data, stat = found.get(timeout=PATIENCE)
                record, self._record = Record.load(data), stat.version
            except NoNodeError:
                record, self._record = None, None
            return Sight(alive, ask_others() if alive == {me} else frozenset(), record)
        except registered.errors() as error:
            raise Unknown(_words(error)) from error

    def topics(self) -> dict[str, Topic]:
        """Every topic, as it was after the last look or later. Raises Unknown."""
        try:
            return self._topics()
        except registered.errors() as error:
            raise Unknown(_words(error)) from error

    def apply(self, action: Action) -> None:
        """Make an action's changes: the record first where there is one, and last where it goes.

        Whatever was changed by another meanwhile makes it fail, whole. Raises Unknown, also where
        no answer comes in time: it may be made nevertheless, and the next look shows it.
        """
        changes = list(action.topics.items())
        try:
            if action.record is not None and self._record is None:
                folder = RECORD.rpartition("/")[0]
                self._client.ensure_path_async(folder).get(timeout=PATIENCE)
            for number, chunk in enumerate(_chunks(changes) or [[]]):
                transaction = self._client.transaction()
                if action.record is not None:
                    self._put(transaction, action.record, first=number == 0)
                for name, change in chunk:
                    self._change(transaction, name, change)
                if action.record is None and (number + 1) * CHUNK >= len(changes):
                    transaction.delete(RECORD, self._record if self._record is not None else ANY)
                self._commit(transaction)
        except registered.errors() as error:
            raise Unknown(_words(error)) from error

    def _commit(self, transaction: Any) -> None:
        from kazoo.exceptions import KazooException

        # While it connects again kazoo would keep it, and send it whenever that succeeds.
        if not self._client.connected:
            raise Unknown("the connection was lost")
        answers = transaction.commit_async().get(timeout=PATIENCE)
        if wrong := next((a for a in answers if isinstance(a, KazooException)), None):
            raise Unknown(f"somebody else changed it first ({wrong!r})")

    def _put(self, transaction: Any, record: Record, first: bool) -> None:
        # Nothing is lowered for a broker that is not registered. That it is the registration that
        # was looked at is not proved (each begins with version 0), and need not be: a broker that
        # was restarted meanwhile is as alone.
        transaction.check(f"/brokers/ids/{record.survivor}", ANY)
        if not first:
            return
        if self._record is None:
            transaction.create(RECORD, record.dump())
        else:
            transaction.set_data(RECORD, record.dump(), self._record)

    def _change(self, transaction: Any, name: str, change: Mapping[str, str | None]) -> None:
        content, version = self._versions[name]
        after = {**content, "config": changed(content.get("config", {}), change)}
        transaction.set_data(f"/config/topics/{name}", json.dumps(after).encode(), version)
        told = {"version": 2, "entity_path": f"topics/{name}"}
        transaction.create(
            "/config/changes/config_change_", json.dumps(told).encode(), sequence=True
        )

    def _topics(self) -> dict[str, Topic]:
        found = {}
        partitions = registered.states(self._client, PATIENCE)
        plans = {name: self._client.get_async(f"/brokers/topics/{name}") for name in partitions}
        asked = {name: self._client.get_async(f"/config/topics/{name}") for name in partitions}
        for name, states in partitions.items():
            plan = json.loads(plans[name].get(timeout=PATIENCE)[0])["partitions"]
            data, stat = asked[name].get(timeout=PATIENCE)
            content = json.loads(data)
            self._versions[name] = (content, stat.version)
            own = {key: str(value) for key, value in content.get("config", {}).items()}
            numbers = sorted(states)
            replicas = [len(plan[str(number)]) for number in numbers]
            found[name] = Topic(own, [states[number].isr for number in numbers], replicas)
        return found


def _chunks(changes: list[Any]) -> list[list[Any]]:
    def parts() -> Iterator[list[Any]]:
        rest = iter(changes)
        while part := list(islice(rest, CHUNK)):
            yield part

    return list(parts())


def _words(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()
