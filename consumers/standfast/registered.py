"""What ZooKeeper holds of Kafka's partitions, read at once: all questions are asked together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kazoo.client import KazooClient


@dataclass(frozen=True)
class State:
    """A partition as its controller and leader noted it. `mtime` in Unix ms, ZooKeeper's clock."""

    leader: int
    isr: tuple[int, ...]
    version: int
    mtime: int


NONE = State(-1, (), -1, 0)  # the controller has not given it a state yet


def states(client: KazooClient, patience: float) -> dict[str, dict[int, State]]:
    """Every partition's state, by topic and number; `patience` in seconds for each answer.

    Raises kazoo's errors, and ValueError or KeyError where a node's content is not Kafka's.
    """
    names = client.get_children_async("/brokers/topics").get(timeout=patience)
    plans = {name: client.get_async(f"/brokers/topics/{name}") for name in names}
    asked: dict[str, dict[int, Any]] = {}
    for name, plan in plans.items():
        numbers = sorted(map(int, json.loads(plan.get(timeout=patience)[0])["partitions"]))
        asked[name] = {
            n: client.get_async(f"/brokers/topics/{name}/partitions/{n}/state") for n in numbers
        }
    return {
        name: {number: _state(answer, patience) for number, answer in of.items()}
        for name, of in asked.items()
    }


def _state(asked: Any, patience: float) -> State:
    from kazoo.exceptions import NoNodeError

    try:
        data, stat = asked.get(timeout=patience)
    except NoNodeError:
        return NONE
    content = json.loads(data)
    return State(int(content["leader"]), tuple(map(int, content["isr"])), stat.version, stat.mtime)


def errors() -> tuple[type[BaseException], ...]:
    """What a question to ZooKeeper may raise; a ValueError or KeyError: a node is not Kafka's."""
    from kazoo.exceptions import KazooException
    from kazoo.handlers.threading import KazooTimeoutError

    return (OSError, KazooException, KazooTimeoutError, ValueError, KeyError, TypeError)
