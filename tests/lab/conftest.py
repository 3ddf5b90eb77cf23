"""What the lab's tests share: the deployed cluster, and the figures that they measure.

Needs root, `python -m dist` and `python -m lab up` before. The files run in the order of their
names: the deploy comes first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import connect
from cluster.model import Cluster
from drills import deploys
from drills.deploys import Deployed
from drills.hosts import Unit, units
from lab.machine import Lab

FIGURES = connect.ROOT / "build" / "figures.json"
_measured: dict[str, str] = {}
Figure = Callable[..., None]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The lab's cluster; from here on this process is in its network."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    found = connect.begin("testing")
    assert found.is_lab, "INVENTORY must name a lab: these tests break what they run on"
    return found


@pytest.fixture(scope="session")
def lab(cluster: Cluster) -> Lab:
    return Lab.load(cluster.path)


@pytest.fixture(scope="session")
def figure() -> Iterator[Figure]:
    """Call it with what was measured, its seconds, and the target: it ends up in
    build/figures.json and under the tests.

    A test asserts what would not hold without the mechanism that it tests; the target is stricter,
    and depends on what else the machine does.
    """

    def measured(what: str, seconds: float, target: float | None = None) -> None:
        word = "reached" if target and seconds < target else "MISSED"
        beside = f"  (target {target:g} s: {word})" if target else ""
        _measured[what] = f"{seconds:.2f} s{beside}"

    yield measured
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(_measured, indent=2) + "\n")


@pytest.fixture(scope="session")
def deployed(cluster: Cluster, lab: Lab, figure: Figure) -> tuple[Deployed, bool]:
    """The deploy that everything else stands on, and whether the hosts were bare before it."""
    found = connect.each(cluster.hosts, lambda host: connect.run(host, "ls /etc"))
    bare = not any("standfast" in str(answer).split() for answer in found.values())
    first = deploys.deploy(cluster.path)
    assert first.code == 0, f"the deploy failed:\n{first.last_words}"
    if bare:
        figure("deploy onto bare hosts", first.seconds, 90)
    else:
        figure("deploy onto deployed hosts", first.seconds)
    return first, bare


def services(cluster: Cluster) -> dict[str, list[str]]:
    """The services of each machine by name."""
    return {name: list(cluster.units(name).values()) for name in cluster.voters}


def processes(cluster: Cluster) -> dict[str, dict[str, Unit] | OSError]:
    """Every process of every machine."""
    names = services(cluster)
    return connect.each(names, lambda host: units(host, names[host]))


def inventory_with(cluster: Cluster, folder: Path, **changes: object) -> Path:
    """A copy of the inventory with some keys changed: `kafka__heap="1G"` changes kafka.heap."""
    import yaml

    tree = yaml.safe_load(cluster.path.read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = tree
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
    copy = folder / cluster.path.name
    copy.write_text(yaml.safe_dump(tree, sort_keys=False))
    return copy


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _measured:
        terminalreporter.section("measured")
        for what, seconds in _measured.items():
            terminalreporter.write_line(f"{what:75} {seconds}")
