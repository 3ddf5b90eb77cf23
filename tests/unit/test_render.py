"""What a host's files are, and what their fingerprint stands for."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from cluster.inventory import load
from cluster.model import Cluster
from cluster.render import Artifact, Artifacts, FileSet, file_sets

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = Artifacts(
    kafka=Artifact("/opt/standfast/kafka/aaa"),
    zookeeper=Artifact("/opt/standfast/zookeeper/bbb"),
    host=Artifact("/opt/standfast/host/ccc", link="/opt/standfast/host/current"),
)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A copy of the lab's inventory, with a password for its sink."""
    text = (ROOT / "inventory/lab.yml").read_text()
    (tmp_path / "password").write_text("secret-of-the-sink\n")
    path = tmp_path / "lab.yml"
    path.write_text(text.replace("build/lab/postgresql.password", str(tmp_path / "password")))
    return path


def sets_of(cluster: Cluster, name: str, artifacts: Artifacts = ARTIFACTS) -> dict[str, FileSet]:
    return {s.service: s for s in file_sets(cluster, cluster.machines[name], artifacts)}


def test_every_kind_of_machine_gets_its_services(inventory: Path) -> None:
    cluster = load(inventory)
    host = sets_of(cluster, "kafka1")
    assert list(host)[:6] == ["base", "zookeeper", "kafka", "topics", "probe", "alert"]
    assert set(cluster.consumers) < set(host)
    assert list(sets_of(cluster, "witness1")) == ["base", "zookeeper", "probe", "alert"]
    assert sets_of(cluster, "db1") == {}


def test_each_setting_has_its_reason_above_it(inventory: Path) -> None:
    text = sets_of(load(inventory), "kafka1")["kafka"].files["server.properties"]
    lines = text.splitlines()
    settings = [n for n, line in enumerate(lines) if line and not line.startswith("#")]
    assert len(settings) > 20
    bare = [lines[n] for n in settings if not lines[n - 1].startswith("# ")]
    assert bare == []


def test_an_accepted_risk_stands_in_the_rendered_file(inventory: Path) -> None:
    text = inventory.read_text().replace(
        "settings: {}}\nzookeeper:",
        "settings: {log.flush.interval.messages: 1000}}\nzookeeper:",
    )
    risk = "{setting: kafka.settings.log.flush.interval.messages, reason: we have batteries}"
    inventory.write_text(text.replace("accept_risk: []", f"accept_risk: [{risk}]"))
    rendered = sets_of(load(inventory), "kafka1")["kafka"].files["server.properties"]
    assert "# RISK ACCEPTED: we have batteries\nlog.flush.interval.messages=1000" in rendered


def test_the_fingerprint_changes_with_a_setting_of_that_service_alone(inventory: Path) -> None:
    before = sets_of(load(inventory), "kafka1")
    text = inventory.read_text()
    inventory.write_text(text.replace("kafka: {heap: 384M", "kafka: {heap: 400M"))
    after = sets_of(load(inventory), "kafka1")
    assert [n for n in before if before[n].fingerprint != after[n].fingerprint] == ["kafka"]


def test_the_fingerprint_changes_with_the_archive(inventory: Path) -> None:
    other = Artifacts(Artifact("/opt/standfast/kafka/ddd"), ARTIFACTS.zookeeper, ARTIFACTS.host)
    cluster = load(inventory)
    before, after = sets_of(cluster, "kafka1"), sets_of(cluster, "kafka1", other)
    assert before["kafka"].fingerprint != after["kafka"].fingerprint


def test_a_new_version_of_the_hosts_programs_restarts_no_broker(inventory: Path) -> None:
    newer = Artifacts(
        ARTIFACTS.kafka,
        ARTIFACTS.zookeeper,
        Artifact("/opt/standfast/host/eee", link="/opt/standfast/host/current"),
    )
    cluster = load(inventory)
    before, after = sets_of(cluster, "kafka1"), sets_of(cluster, "kafka1", newer)
    changed = [n for n in before if before[n].fingerprint != after[n].fingerprint]
    assert changed == ["probe", "alert", "guardian", "collector", "archive", "large-trades"]


def test_the_fingerprint_does_not_depend_on_where_the_inventory_lies(
    inventory: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.yml"
    shutil.copy(inventory, copy)
    before, after = sets_of(load(inventory), "kafka1"), sets_of(load(copy), "kafka1")
    assert [s.fingerprint for s in before.values()] == [s.fingerprint for s in after.values()]


def test_a_password_is_in_a_secret_file_and_in_no_other(inventory: Path) -> None:
    for wanted in sets_of(load(inventory), "kafka1").values():
        for name, text in wanted.files.items():
            assert ("secret-of-the-sink" in text) == (name in wanted.secrets)


def test_users_find_the_processes_by_their_properties_files(inventory: Path) -> None:
    sets = sets_of(load(inventory), "kafka1")
    assert (
        "kafka.Kafka /etc/standfast/kafka/current/server.properties"
        in (sets["kafka"].files["kafka.service"])
    )
    assert (
        "/etc/standfast/zookeeper/current/zookeeper.properties"
        in (sets["zookeeper"].files["zookeeper.service"])
    )


def test_nothing_gives_up_restarting(inventory: Path) -> None:
    for wanted in sets_of(load(inventory), "kafka1").values():
        if wanted.unit:
            unit = wanted.files[wanted.unit]
            assert "Restart=always" in unit
            assert "StartLimitIntervalSec=0" in unit


@pytest.mark.parametrize(
    ("said", "rendered"),
    [
        ("alert: {command: [/bin/tell, 'a b']}", {"command": ["/bin/tell", "a b"]}),
        ("alert: {webhook: 'https://hooks.example.com/x'}",
         {"webhook": "https://hooks.example.com/x"}),
        ("", {}),
    ],
)  # fmt: skip
def test_every_machine_knows_whom_to_tell_and_tells_nobody_else(
    inventory: Path, said: str, rendered: dict[str, object]
) -> None:
    inventory.write_text(f"{inventory.read_text()}\n{said}\n")
    cluster = load(inventory)
    for name in cluster.voters:
        wanted = sets_of(cluster, name)["alert"]
        assert tomllib.loads(wanted.files["alert.toml"]) == {
            "cluster": "lab",
            "host": name,
            "state": "/var/lib/standfast/alert/state.json",
            **rendered,
        }
        assert ("alert.toml" in wanted.secrets) == ("webhook" in rendered)


def test_the_probe_counts_the_restarts_of_every_other_unit(inventory: Path) -> None:
    cluster = load(inventory)
    for name in cluster.voters:
        counted = tomllib.loads(sets_of(cluster, name)["probe"].files["probe.toml"])["units"]
        assert set(counted) == set(cluster.units(name).values()) - {"standfast-probe.service"}
