"""What the cluster says of itself while a drill runs, twice a second, for the judge to read.

One line a look, JSON. `isr` and `min_isr` stand only in lines where something of them changed, and
then hold what changed alone; a reader folds (short_times in checker.py does). What did not answer
is missing from its line: nothing is made up. `through` says that the registry was read.

    {"at": Unix ms, "voters": {"kafka1": ["leader", "0x100000012"]}, "through": true,
     "isr": {"trades/0": {"leader": 1, "isr": [1, 2, 3], "version": 7, "mtime": Unix ms}},
     "min_isr": {"trades": 2}, "brokers": [1, 2, 3], "controller": 1, "last_stand": false}
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import connect
from cluster.model import Cluster
from cluster.settings import broker_settings
from cluster.snapshot import LAST_STAND
from standfast import clients, registered

EVERY = 0.5  # seconds between two looks
PATIENCE = 1.0  # seconds for an answer


class Recorder(threading.Thread):
    """Writes until `stop()`; whatever happens meanwhile, it goes on."""

    def __init__(self, cluster: Cluster, path: Path) -> None:
        super().__init__(name="recorder", daemon=True)
        self._cluster, self._path = cluster, path
        self._end = threading.Event()
        self._known: dict[str, dict[str, Any]] = {"isr": {}, "min_isr": {}}
        host = next(iter(cluster.hosts.values()))
        rows = {row.name: row.value for row in broker_settings(cluster, host)}
        self._default = int(rows["min.insync.replicas"])
        self._client = clients.zookeeper(cluster.zookeeper_connect.split(","), 3.0, steadfast=True)

    def run(self) -> None:
        """Look, and write what was seen."""
        self._client.start_async()
        with (
            self._path.open("a", encoding="utf-8") as file,
            ThreadPoolExecutor(len(self._cluster.voters)) as pool,
        ):
            while not self._end.is_set():
                began = time.monotonic()
                line = json.dumps(self._look(pool)) + "\n"
                with suppress(OSError):  # a full disk: the judge sees the hole
                    file.write(line)
                    file.flush()
                self._end.wait(max(0.0, began + EVERY - time.monotonic()))
        self._client.stop()

    def stop(self) -> None:
        """End it, and wait for its last line."""
        self._end.set()
        self.join(10)

    def _look(self, pool: ThreadPoolExecutor) -> dict[str, Any]:
        seen: dict[str, Any] = {"at": time.time_ns() // 1_000_000}
        port = self._cluster.ports.zookeeper
        voters = {name: f"{v.address}:{port}" for name, v in self._cluster.voters.items()}
        answers = pool.map(_voter, voters.values())
        try:
            seen |= self._registry()
        except (*registered.errors(), RuntimeError) as error:
            seen["unread"] = f"{type(error).__name__} {error}".strip()
        found = zip(voters, answers, strict=True)
        return seen | {"voters": {name: answer for name, answer in found if answer}}

    def _registry(self) -> dict[str, Any]:
        from kazoo.exceptions import NoNodeError

        client = self._client
        if not client.connected:
            raise ConnectionError("ZooKeeper does not serve")
        # What a voter that lags says may be older than what it is held against.
        client.sync_async("/brokers").get(timeout=PATIENCE)
        ids = client.get_children_async("/brokers/ids")
        controller = client.get_async("/controller")
        stand = client.exists_async(LAST_STAND)
        states = registered.states(client, PATIENCE)
        configs = {name: client.get_async(f"/config/topics/{name}") for name in states}
        try:
            number = json.loads(controller.get(timeout=PATIENCE)[0])["brokerid"]
        except NoNodeError:
            number = None
        least = {}
        for name, answer in configs.items():
            own = json.loads(answer.get(timeout=PATIENCE)[0]).get("config", {})
            least[name] = int(own.get("min.insync.replicas", self._default))
        isr = {
            f"{topic}/{n}": {
                "leader": state.leader,
                "isr": list(state.isr),
                "version": state.version,
                "mtime": state.mtime,
            }
            for topic, of in states.items()
            for n, state in of.items()
        }
        return {
            "through": True,
            "brokers": sorted(map(int, ids.get(timeout=PATIENCE))),
            "controller": number,
            "last_stand": stand.get(timeout=PATIENCE) is not None,
            **self._changed("isr", isr),
            **self._changed("min_isr", least),
        }

    def _changed(self, key: str, now: dict[str, Any]) -> dict[str, Any]:
        known = self._known[key]
        news = {name: value for name, value in now.items() if known.get(name) != value}
        self._known[key] = now
        return {key: news} if news else {}


def _voter(address: str) -> list[str] | None:
    """A voter's mode ("" where it serves nobody) and the last transaction that it knows."""
    try:
        said = connect.zookeeper_answer(address, "srvr", PATIENCE)
    except OSError:
        return None
    lines = dict(line.partition(": ")[::2] for line in said.splitlines() if ": " in line)
    return [lines.get("Mode", ""), lines.get("Zxid", "")]
