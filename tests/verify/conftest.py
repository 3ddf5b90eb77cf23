"""Which machines each check is made on, and what all checks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import connect
from dist.artifacts import artifacts
from dist.errors import BuildError
from tests.verify import machines
from tests.verify.looks import Looks

GROUPS = ("services", "files", "ensemble", "brokers", "topics", "machine", "canary")


def pytest_configure(config: pytest.Config) -> None:
    """The inventory first: a wrong one ends here. Before any thread: all enter its network."""
    connect.begin("verify")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A check that names a `voter`, `broker`, `machine` … is made on each of them."""
    cluster = connect.cluster()
    each = {
        "voter": list(cluster.voters),
        "broker": list(cluster.hosts),
        "machine": list(cluster.machines),
        "database": list(cluster.databases),
        "collector": list(machines.collectors(cluster)),
    }
    for name, values in each.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What everything else depends on comes first, the canary last: it is on its way meanwhile."""

    def place(item: pytest.Item) -> int:
        group = item.path.stem.removeprefix("test_")
        return GROUPS.index(group) if group in GROUPS else len(GROUPS)

    # A cluster without a database, or without a collector, has nothing to check there.
    items[:] = [item for item in items if all(isinstance(v, str) for v in _params(item).values())]
    items.sort(key=place)
    for item in items:
        item.user_properties.append(("check", check(item)))


def check(item: pytest.Item) -> tuple[str, str, str]:
    """(group, check, machine) of a test; machine is "cluster" where it is made on all at once."""
    assert isinstance(item, pytest.Function)
    params = _params(item)
    where = next(
        (params[n] for n in ("voter", "broker", "machine", "database") if n in params), "cluster"
    )
    label = " ".join((item.function.__doc__ or item.name).split()).rstrip(".")
    return item.path.stem.removeprefix("test_"), label.format(**params), str(where)


def _params(item: pytest.Item) -> dict[str, object]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


@pytest.fixture(scope="session")
def looks() -> Iterator[Looks]:
    """Everything that is seen of the cluster."""
    cluster = connect.cluster()
    try:
        seen = Looks(cluster, artifacts(cluster))
    except (BuildError, OSError) as error:
        pytest.exit(f"standfast: {error}", returncode=2)
    yield seen
    seen.close()
