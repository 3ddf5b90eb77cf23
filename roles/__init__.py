"""What pyinfra does on the hosts, one folder a role; deploy.py says in which order."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from pyinfra import host
from pyinfra.api import FactBase
from pyinfra.api.exceptions import DeployError
from pyinfra.api.host import Host

from cluster.model import Machine
from cluster.render import Artifacts, FileSet, file_sets
from connect import cluster
from dist.artifacts import artifacts as artifacts_of
from dist.errors import BuildError

P = ParamSpec("P")
T = TypeVar("T")
_facts: dict[tuple[str, type[FactBase]], object] = {}
_asking: dict[tuple[str, type[FactBase]], threading.Lock] = defaultdict(threading.Lock)


def once(of: Host, fact: type[FactBase[T]], /, **arguments: object) -> T:
    """What a fact says of a host, asked once a deploy.

    For what a dozen operations ask, and the other hosts' greenlets, that judge the cluster as a
    whole. It stays true for them: an operation changes its own service alone, and nothing else does
    while a deploy runs.
    """
    key = (of.name, fact)
    with _asking[key]:
        if key not in _facts:
            _facts[key] = of.get_fact(fact, **arguments)
        return _facts[key]  # type: ignore[return-value]


def or_stop(work: Callable[P, T]) -> Callable[P, T]:
    """Let what is wrong on the controller (an archive, a password's file) end the deploy with
    its one sentence.
    """

    @wraps(work)
    def stopped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        except (BuildError, OSError) as error:
            raise DeployError(str(error)) from None

    return stopped


@cache
@or_stop
def artifacts() -> Artifacts:
    """The archives that every host gets, as they lie on the controller."""
    return artifacts_of(cluster())


def until(condition: str, seconds: int, sentence: str) -> str:
    """The shell command that waits until `condition` holds, or ends with the sentence."""
    loop = f"timeout {seconds} sh -c 'until {condition}; do sleep 0.2; done'"
    return f"{loop} || {{ echo 'standfast: {sentence}' >&2; exit 1; }}"


def machine() -> Machine:
    """The machine of the inventory that pyinfra is at."""
    return cluster().machines[host.name]


@cache
@or_stop
def _rendered(name: str) -> dict[str, FileSet]:
    sets = file_sets(cluster(), cluster().machines[name], artifacts())
    return {s.service: s for s in sets}


def rendered(name: str | None = None) -> dict[str, FileSet]:
    """The rendered sets of a machine (this one), by service, in the order in which they start."""
    return _rendered(name or host.name)
