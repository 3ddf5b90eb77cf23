"""The deploy on real hosts: it changes what must change, once, and nothing where it cannot."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import connect
from cluster.model import Cluster
from cluster.render import Artifact
from dist.archive import sha256
from drills.deploys import Deployed, deploy
from drills.hosts import unit
from drills.wait import wait_until
from lab.machine import Lab
from roles.archives.operations import commands
from tests.lab.conftest import Figure, inventory_with, processes

OTHER_THREADS = {"num.io.threads": "9"}

pytestmark = pytest.mark.usefixtures("deployed")


def links(cluster: Cluster) -> dict[str, str | OSError]:
    """Where `staged`, `current` and `good` of every set point, on every machine with sets."""
    find = "find /etc/standfast -mindepth 2 -maxdepth 2 -type l -printf '%P %l\\n' | sort"
    return connect.each(
        cluster.voters, lambda host: connect.run(host, f"sh -c {shlex.quote(find)}")
    )


def of(found: dict[str, str | OSError], kind: str) -> dict[str, list[str]]:
    return {
        host: [line for line in str(text).splitlines() if f"/{kind} " in line]
        for host, text in found.items()
    }


@pytest.fixture
def victim(cluster: Cluster) -> str:
    """The machine whose loss the cluster feels least."""
    return list(cluster.witnesses or cluster.hosts)[-1]


@pytest.fixture
def changed(cluster: Cluster, tmp_path: Path) -> Path:
    """An inventory that asks for another set on every machine."""
    return inventory_with(cluster, tmp_path, kafka__settings=OTHER_THREADS, zookeeper__heap="97M")


def assert_one_message(done: Deployed | subprocess.CompletedProcess[str], *words: str) -> None:
    text = done.text if isinstance(done, Deployed) else done.stdout + done.stderr
    assert "Traceback" not in text, text
    for word in words:
        assert word in text, f"nothing says {word!r}:\n{text}"


def test_a_deploy_onto_bare_hosts_brings_every_service_up(
    cluster: Cluster, deployed: tuple[Deployed, bool]
) -> None:
    done, _ = deployed
    assert done.code == 0
    for host, found in processes(cluster).items():
        assert not isinstance(found, OSError), found
        assert {name: u.state for name, u in found.items()} == dict.fromkeys(found, "active"), host


def test_a_second_deploy_changes_nothing_and_restarts_nothing(
    cluster: Cluster, figure: Figure
) -> None:
    before, staged = processes(cluster), links(cluster)
    done = deploy(cluster.path)
    assert done.code == 0, done.last_words
    assert done.changes == 0, done.text
    assert "stale" not in done.text, done.text
    assert processes(cluster) == before
    assert links(cluster) == staged
    figure("deploy that changes nothing", done.seconds, 6)


def test_a_changed_setting_is_staged_and_not_live(cluster: Cluster, changed: Path) -> None:
    before, was = processes(cluster), links(cluster)
    try:
        done = deploy(changed)
        assert done.code == 0, done.last_words
        assert_one_message(
            done,
            "kafka.service is stale: the roll, without a restart, makes it live",
            "num.io.threads: 8 (the default) -> 9",
            "zookeeper.service is stale: only a restart makes it live",
            "fab plan shows what a roll would do; fab roll makes it live",
        )
        everywhere = f"[{', '.join(cluster.hosts)}] kafka.service is stale"
        assert done.text.count("kafka.service is stale") == done.text.count(everywhere) == 1
        found = links(cluster)
        assert of(found, "current") == of(was, "current")
        for host in cluster.hosts:
            mine = [line for line in of(found, "staged")[host] if line.startswith("kafka/")]
            assert mine != [line for line in of(was, "staged")[host] if line.startswith("kafka/")]
        assert processes(cluster) == before
    finally:
        again = deploy(cluster.path)
    assert again.code == 0, again.last_words
    assert "stale" not in again.text, again.text
    assert links(cluster) == was
    assert processes(cluster) == before


def test_an_unreachable_host_stops_a_deploy_before_any_other_is_changed(
    cluster: Cluster, lab: Lab, victim: str, changed: Path
) -> None:
    was = links(cluster)
    lab.link_down(victim)
    try:
        done = deploy(changed, seconds=60)
    finally:
        lab.link_up(victim)
    assert done.code == 1
    assert_one_message(done, victim)
    assert done.seconds < 30, f"it took {done.seconds:.0f} s to say so"
    assert links(cluster) == was


def test_a_wrong_ssh_key_stops_a_deploy_before_any_host_is_changed(
    cluster: Cluster, tmp_path: Path
) -> None:
    was = links(cluster)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True
    )
    assert cluster.ssh.config
    text = cluster.ssh.config.read_text()
    key = next(line.split()[1] for line in text.splitlines() if "IdentityFile " in line)
    (tmp_path / "ssh_config").write_text(text.replace(key, str(tmp_path / "other")))
    done = deploy(
        inventory_with(
            cluster,
            tmp_path,
            ssh__config=str(tmp_path / "ssh_config"),
            kafka__settings=OTHER_THREADS,
        )
    )
    assert done.code == 1
    assert_one_message(done, "uthentication")
    assert links(cluster) == was


def test_a_host_that_shows_another_key_is_refused(
    cluster: Cluster, tmp_path: Path, victim: str
) -> None:
    was = links(cluster)
    assert cluster.ssh.known_hosts
    lines = cluster.ssh.known_hosts.read_text().splitlines()
    address = cluster.machines[victim].address
    mine = next(n for n, line in enumerate(lines) if address in line.split()[0])
    other = next(line.split()[2] for n, line in enumerate(lines) if n != mine)
    lines[mine] = " ".join([*lines[mine].split()[:2], other])
    (tmp_path / "known_hosts").write_text("\n".join(lines) + "\n")
    done = deploy(
        inventory_with(
            cluster,
            tmp_path,
            ssh__known_hosts=str(tmp_path / "known_hosts"),
            kafka__settings=OTHER_THREADS,
        )
    )
    assert done.code == 1
    assert_one_message(done, victim)
    assert links(cluster) == was


@contextmanager
def full_disk(host: str) -> Iterator[None]:
    """Every block taken, those too that are kept for root."""
    ballast = "/var/tmp/ballast"
    fill = f"""
        free=$(stat -f -c '%f' /var/tmp); size=$(stat -f -c '%S' /var/tmp)
        fallocate -l $(( (free - 2048) * size )) {ballast}
        dd if=/dev/zero of={ballast}.rest bs=4096 2>/dev/null
        dd if=/dev/zero of={ballast}.rest bs=4096 count=1 oflag=append conv=notrunc && exit 1
        sync; exit 0
    """
    try:
        connect.run(host, f"sh -c {shlex.quote(fill)}")
        yield
    finally:
        connect.run(host, f"rm -f {ballast} {ballast}.rest")


def test_a_host_with_a_full_disk_is_named_and_a_second_deploy_repairs_it(
    cluster: Cluster, victim: str, tmp_path: Path
) -> None:
    before, was = processes(cluster), links(cluster)
    other = inventory_with(
        cluster, tmp_path, zookeeper__settings={"autopurge.snapRetainCount": "6"}
    )
    with full_disk(victim):
        done = deploy(other)
    assert done.code == 1, done.text
    assert_one_message(done, victim, "No space left on device")
    assert of(links(cluster), "current") == of(was, "current")
    again = deploy(cluster.path)
    assert again.code == 0, again.last_words
    assert links(cluster) == was
    assert processes(cluster) == before
    assert not connect.run(victim, "find /etc/standfast -name '.new' -o -name '*.old'").strip()


def test_an_archive_that_arrives_with_a_wrong_checksum_is_not_unpacked(
    cluster: Cluster, victim: str
) -> None:
    archive = cluster.zookeeper.archive
    upload, place = "/var/tmp/standfast-test.tar", "/opt/standfast/zookeeper/test"
    size = archive.stat().st_size
    connect.run(victim, f"sh -c 'head -c {min(size, 10**6)} /dev/zero > {upload}'")
    script = " && ".join(commands(Artifact(place), upload, sha256(archive)))
    try:
        with pytest.raises(OSError, match="checksum"):
            connect.run(victim, f"sh -c {shlex.quote(script)}")
        assert "test" not in connect.run(victim, "ls /opt/standfast/zookeeper").split()
    finally:
        connect.run(victim, f"rm -rf {upload} {place} {place}.new")


def test_what_a_half_finished_deploy_left_is_repaired_by_the_next(
    cluster: Cluster, victim: str
) -> None:
    before = processes(cluster)
    current = connect.run(victim, "readlink -f /etc/standfast/zookeeper/staged").strip()
    # The last run was cut off while it staged: a folder half there, a link that was not moved.
    connect.run(
        victim,
        "sh -c 'mkdir -p /etc/standfast/.new/junk && touch /etc/standfast.tar && "
        "rm /etc/standfast/probe/staged && mkdir -p /opt/standfast/zookeeper/0123.new/libs'",
    )
    try:
        done = deploy(cluster.path)
        assert done.code == 0, done.last_words
        assert connect.run(victim, "readlink -f /etc/standfast/zookeeper/staged").strip() == current
        assert connect.run(victim, "readlink /etc/standfast/probe/staged").strip()
        assert processes(cluster) == before
        assert deploy(cluster.path).changes == 0
    finally:
        connect.run(victim, "rm -rf /opt/standfast/zookeeper/0123.new")


def test_a_service_that_was_stopped_is_started_by_the_next_deploy(
    cluster: Cluster, victim: str
) -> None:
    connect.run(victim, "systemctl stop standfast-probe.service")
    done = deploy(cluster.path)
    assert done.code == 0, done.last_words
    assert done.changes == 1, done.text
    wait_until(
        lambda: unit(victim, "standfast-probe.service").state == "active", 10, "the probe to run"
    )


def test_a_service_that_may_be_broken_by_what_it_has_is_left_to_the_roll(
    cluster: Cluster, victim: str, changed: Path
) -> None:
    """It does not run, and its cure is staged: to start it and wait for it would be in vain."""
    was = links(cluster)
    connect.run(victim, "systemctl stop zookeeper.service")
    try:
        done = deploy(changed)
        assert done.code == 0, done.last_words
        assert_one_message(
            done, f"[{victim}] zookeeper.service does not run", "left to the roll", "fab roll"
        )
        assert unit(victim, "zookeeper.service").state == "inactive"
        assert of(links(cluster), "current") == of(was, "current")
    finally:
        again = deploy(cluster.path)
    # What is staged is what it had again: it merely stopped.
    assert again.code == 0, again.last_words
    assert unit(victim, "zookeeper.service").state == "active"
    assert links(cluster) == was


REFUSED: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "another number and another port": (
        {"hosts__kafka1__broker_id": 7, "ports__zookeeper_peer": 2889},
        ("hosts.kafka1.broker_id: 1 -> 7", "ports.zookeeper_peer: 2888 -> 2889", "put it back"),
    ),
    "fewer partitions": (
        {"topics__trades__partitions": 3},
        ("topics.trades.partitions: 6 -> 3", "make a new topic"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_cluster_with_data_is_refused_ends_a_deploy_before_any_host_is_changed(
    cluster: Cluster, tmp_path: Path, name: str
) -> None:
    changes, words = REFUSED[name]
    was = links(cluster)
    done = deploy(inventory_with(cluster, tmp_path, **changes))
    assert done.code == 1
    assert_one_message(done, "refused, and no host was changed", *words)
    assert "Starting operation" not in done.text
    assert links(cluster) == was


BAD = {
    "an unknown key": ({"kafka__heep": "1G"}, "kafka.heep"),
    "a misspelt setting": ({"kafka__settings": {"num.io.thread": "9"}}, "num.io.thread"),
    "a taken id": ({"hosts__kafka2__broker_id": 1}, "hosts.kafka2.broker_id"),
    "an unsafe value": ({"feed__settings": {"acks": "1"}}, "feed.settings.acks"),
    "an archive that is not there": ({"kafka__archive": "build/none.tar"}, "build/none.tar"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_inventory_ends_a_deploy_before_any_host_is_changed(
    cluster: Cluster, tmp_path: Path, name: str
) -> None:
    changes, word = BAD[name]
    done = deploy(inventory_with(cluster, tmp_path, **changes))
    assert done.code != 0
    assert_one_message(done, "standfast: ", word)
    assert "Starting operation" not in done.text


def test_an_inventory_that_is_not_there_is_said_by_name(tmp_path: Path) -> None:
    done = deploy(tmp_path / "none.yml")
    assert done.code == 2
    assert_one_message(done, "standfast: ", "none.yml")
