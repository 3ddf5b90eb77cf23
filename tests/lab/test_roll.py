"""The roll on real hosts, under load: no record lost, a bad change stopped at one host, and what
dies meanwhile made good.

Those marked `drill` take longer, and run with `make drills`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import connect
from cluster import commands
from cluster.model import Cluster
from drills import hosts
from drills.deploys import deploy
from drills.fab import Done, Running, roll
from drills.hosts import Unit, unit
from drills.outside import outside
from drills.stream import Stream
from drills.wait import wait_until
from lab.machine import Lab
from tasks import ask
from tests.lab.conftest import Figure, inventory_with, processes
from tests.lab.test_deploy import links
from tests.lab.test_faults import DEATH

PAUSE, WHOLE = 2.0, 90.0  # targets, in seconds
LITTLE = 200.0  # records a second
RESTARTS = {"queued.max.requests": "600"}  # Kafka reads it at its start
# A class that is not there: the broker ends while it starts.
NEVER_STARTS = {"authorizer.class.name": "org.example.NoSuchAuthorizer"}
# It starts, and hardly anybody can connect to it.
NEVER_REJOINS = {"max.connections.per.ip": "1"}

pytestmark = pytest.mark.usefixtures("deployed")


@contextmanager
def flowing(cluster: Cluster, name: str, rate: float) -> Iterator[Stream]:
    """A stream while the block runs; at its end every record is looked for."""
    folder = connect.ROOT / "build" / "drills" / time.strftime(f"{name}-%Y%m%d-%H%M%S")
    with Stream(cluster, folder, name=name, rate=rate) as stream:
        stream.start()
        stream.healthy()
        yield stream
        stream.healthy(120)
        assert stream.stop(), "the feed did not have everything acknowledged"
        result = stream.result()
        assert result.problems() == []
        assert result.acknowledged > 10 * rate


def staged(inventory: Path) -> None:
    """Deploy, and see that nothing was restarted by it."""
    done = deploy(inventory)
    assert done.code == 0, done.last_words


def went_well(done: Done) -> Done:
    assert done.code == 0, done.text
    assert "Traceback" not in done.text, done.text
    return done


@pytest.fixture
def back(cluster: Cluster) -> Iterator[None]:
    """Whatever a test staged or made live, the lab's own inventory is live again after it."""
    yield
    staged(cluster.path)
    went_well(roll(cluster.path))


@pytest.mark.parametrize("rate", [500.0, pytest.param(2000.0, marks=pytest.mark.drill)])
def test_rolling_one_setting_over_every_broker_and_voter_loses_nothing(
    cluster: Cluster, tmp_path: Path, figure: Figure, rate: float
) -> None:
    changed = inventory_with(cluster, tmp_path, kafka__settings=RESTARTS, zookeeper__heap="97M")
    before = processes(cluster)
    with flowing(cluster, "roll", rate) as stream:
        staged(changed)
        assert processes(cluster) == before, "the deploy restarted something"
        for service in ("kafka", "zookeeper"):
            with stream.fault(f"roll of {service}"):
                done = went_well(roll(changed, "--only", service))
            pause = stream.faults[-1].acknowledged.worst
            what = f"roll of {service}, {rate:.0f} records/s"
            figure(f"{what}: acknowledgements paused", pause, PAUSE)
            figure(f"{what}: the whole", done.seconds, WHOLE)
            assert pause < DEATH, "as long as a machine's death"
    after = processes(cluster)
    for host, found in before.items():
        now = after[host]
        assert isinstance(found, dict), found
        assert isinstance(now, dict), now
        # What systemd itself had to start again (see `servers`) is not of the roll.
        rolled = {
            n for n, u in found.items() if now[n].pid != u.pid and now[n].restarts <= u.restarts
        }
        expected = {"zookeeper.service", "kafka.service"} & set(found)
        assert rolled == expected, f"{host}: only what is stale is restarted"
    assert "nothing to roll" in went_well(roll(changed)).text


def test_a_roll_goes_on_though_brokers_and_its_controller_die(cluster: Cluster, lab: Lab) -> None:
    """Kafka's controller is killed while another broker restarts; then the roll itself; a second
    one that begins meanwhile is refused.
    """
    with flowing(cluster, "roll-faults", LITTLE) as stream:
        staged(cluster.path)
        controller = stream.seen.brokers().controller
        assert controller is not None
        with Running(cluster.path, "roll", "--yes") as rolling:
            rolling.says(": restarting it", 60)
            second = roll(cluster.path, seconds=60)
            assert second.code == 1, second.text
            assert "another roll is under way" in second.text
            first = _host(rolling.says(r"kafka on \w+: restarting it", 240))
            assert first != controller, "the controller's broker comes last"
            hosts.signal(controller, "kafka.service")
            rolling.says(f"kafka on {first}: healthy", 180)
            at = unit(first, "kafka.service")
            rolling.says(r"kafka on \w+: restarting it", 120)
            rolling.kill()
        done = went_well(roll(cluster.path))
        assert f"kafka on {first}: restarting" not in done.text
        assert unit(first, "kafka.service") == at, "what was done is not done again"
        assert "nothing to roll" in went_well(roll(cluster.path)).text
    assert deploy(cluster.path).changes == 0


def _host(line: str) -> str:
    found = re.search(r" on (\w+):", line)
    assert found, line
    return found[1]


def test_a_bad_change_is_stopped_at_the_first_host_and_the_last_good_put_back(
    cluster: Cluster, lab: Lab, tmp_path: Path, back: None, figure: Figure
) -> None:
    bad = inventory_with(cluster, tmp_path, kafka__settings=NEVER_STARTS)
    with flowing(cluster, "roll-bad", LITTLE) as stream:
        staged(bad)
        was = links(cluster)
        last = list(cluster.hosts)[-1]
        # The power goes between the deploy and the roll: it comes back on what ran before.
        with outside():
            lab.kill(last)
            lab.boot(last)
        stream.whole(120)
        assert of_kafka(links(cluster)) == of_kafka(was)
        runs = connect.run(last, "cat /run/standfast/kafka/fingerprint").strip()
        current = connect.run(last, "readlink /etc/standfast/kafka/current").strip()
        assert runs == current != connect.run(last, "readlink /etc/standfast/kafka/staged").strip()

        before = servers(cluster)
        done = roll(bad)
        assert done.code == 1, done.text
        first = _host(next(line for line in done.text.splitlines() if ": restarting it" in line))
        assert "put back, and is healthy" in done.text
        assert "NoSuchAuthorizer" in done.text, "its own error is shown"
        assert of_kafka(links(cluster)) == of_kafka(was)
        after = servers(cluster)
        others = [host for host in cluster.voters if host != first]
        assert {h: after[h] for h in others} == {h: before[h] for h in others}
        assert unit(first, "kafka.service").state == "active"
        figure("a change with which a broker does not start: stopped and put back", done.seconds)
        staged(cluster.path)
    assert "nothing to roll" in went_well(roll(cluster.path)).text


def servers(cluster: Cluster) -> dict[str, dict[str, Unit]]:
    """The processes that hold data. A consumer may end by itself when its coordinator dies under
    its return (Kafka fences it as if it were another), and be started again.
    """
    found = {}
    for host, units in processes(cluster).items():
        assert isinstance(units, dict), units
        held = ("kafka.service", "zookeeper.service")
        found[host] = {name: unit for name, unit in units.items() if name in held}
    return found


def of_kafka(found: dict[str, str | OSError]) -> dict[str, list[str]]:
    """Where `current` and `good` of the brokers' sets point."""
    return {
        host: [line for line in str(text).splitlines() if re.match(r"kafka/(current|good) ", line)]
        for host, text in found.items()
    }


# --- the drills ---


@pytest.mark.drill
def test_what_kafka_takes_while_it_runs_is_applied_without_a_restart(
    cluster: Cluster, tmp_path: Path, back: None
) -> None:
    before = processes(cluster)
    live = {"num.io.threads": "12", "log.cleaner.backoff.ms": "20000"}
    changed = inventory_with(cluster, tmp_path, kafka__settings=live)
    staged(changed)
    done = went_well(roll(changed))
    assert "without a restart" in done.text
    assert processes(cluster) == before
    for host in cluster.hosts.values():
        assert ask.overrides(host.broker_id) == {"settings": live}
    assert "nothing to roll" in went_well(roll(changed)).text
    # A broker that restarts reads it from its file, and the override is taken away again.
    name = next(iter(cluster.hosts))
    number = cluster.hosts[name].broker_id
    connect.run(name, "systemctl restart kafka.service", seconds=120)
    wait_until(lambda: "settings" in ask.overrides(number), 60, "the broker to answer")
    went_well(roll(changed))
    assert ask.overrides(number) == {"settings": {}}


@pytest.mark.drill
def test_a_broker_that_comes_up_and_does_not_rejoin_gets_its_last_good_set_back(
    cluster: Cluster, tmp_path: Path, figure: Figure
) -> None:
    bad = inventory_with(cluster, tmp_path, kafka__settings=NEVER_REJOINS)
    with flowing(cluster, "roll-rejoin", LITTLE):
        staged(bad)
        was = links(cluster)
        done = roll(bad, "--wait", "45")
        assert done.code == 1, done.text
        assert "put back, and is healthy" in done.text, done.text
        assert of_kafka(links(cluster)) == of_kafka(was)
        figure("a change with which a broker does not rejoin: stopped and put back", done.seconds)
        staged(cluster.path)
    assert "nothing to roll" in went_well(roll(cluster.path)).text


@pytest.mark.drill
def test_a_disk_that_is_nearly_full_shuts_the_gate(
    cluster: Cluster, tmp_path: Path, back: None
) -> None:
    changed = inventory_with(cluster, tmp_path, kafka__settings=RESTARTS)
    staged(changed)
    before = processes(cluster)
    host, ballast = list(cluster.hosts)[-1], "/var/tmp/ballast"
    fill = "set -- $(stat -f -c '%S %b %a' /var/tmp); fallocate -l $(( $1 * ($3 - $2 / 20) ))"
    try:
        connect.run(host, commands.sh(f"{fill} {ballast}"))
        done = roll(changed, "--wait", "5")
    finally:
        connect.run(host, f"rm -f {ballast}")
    assert done.code == 1, done.text
    assert "a tenth" in done.text
    assert processes(cluster) == before


@pytest.mark.drill
def test_a_host_that_goes_silent_between_its_gate_and_its_restart_stops_the_roll(
    cluster: Cluster, lab: Lab, tmp_path: Path, back: None
) -> None:
    changed = inventory_with(cluster, tmp_path, kafka__settings=RESTARTS)
    with flowing(cluster, "roll-silent", LITTLE) as stream:
        staged(changed)
        before = servers(cluster)
        with Running(changed, "roll", "--yes") as rolling:
            silent = _host(rolling.says(": restarting it, 1 of 3", 60))
            lab.link_down(silent)
            try:
                done = rolling.end(180)
            finally:
                lab.link_up(silent)
        assert done.code == 1, done.text
        assert silent in done.text
        stream.whole(120)
        others = [host for host in cluster.hosts if host != silent]
        after = servers(cluster)
        assert {h: after[h] for h in others} == {h: before[h] for h in others}
        went_well(roll(changed))


@pytest.mark.drill
def test_a_roll_whose_purpose_is_to_cure_a_broken_host_takes_it_first(
    cluster: Cluster, tmp_path: Path
) -> None:
    """A broker runs on a set with which it cannot start; the inventory was mended meanwhile."""
    bad = inventory_with(cluster, tmp_path, kafka__settings=NEVER_STARTS)
    broken = list(cluster.hosts)[-1]
    with flowing(cluster, "roll-cure", LITTLE):
        staged(bad)
        connect.run(
            broken,
            "sh -c 'cd /etc/standfast/kafka && ln -sfn $(readlink staged) current && "
            "systemctl daemon-reload && systemctl restart --no-block kafka'",
        )
        wait_until(
            lambda: unit(broken, "kafka.service").restarts > 0, 60, "the broker to be broken"
        )
        mended = tmp_path / "mended"
        mended.mkdir()
        cure = inventory_with(cluster, mended, kafka__settings=RESTARTS)
        staged(cure)
        done = went_well(roll(cure))
        first = next(line for line in done.text.splitlines() if "ing it, 1 of " in line)
        assert f"kafka on {broken}: starting it" in first
        staged(cluster.path)
        went_well(roll(cluster.path))


@pytest.mark.drill
def test_ctrl_c_ends_a_roll_after_the_host_it_is_at(
    cluster: Cluster, tmp_path: Path, back: None
) -> None:
    changed = inventory_with(cluster, tmp_path, kafka__settings=RESTARTS)
    staged(changed)
    with Running(changed, "roll", "--yes") as rolling:
        first = _host(rolling.says(": restarting it, 1 of 3", 60))
        rolling.interrupt()
        done = rolling.end(180)
    assert done.code == 130, done.text
    assert f"kafka on {first}: healthy" in done.text
    assert "fab roll goes on from there" in done.text
    again = went_well(roll(changed))
    assert f"kafka on {first}: restarting" not in again.text
