"""The verification's questions about a machine: each sees what it is there to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from cluster import machine_health, service_health
from cluster.observed import (
    FileSeen,
    Finding,
    FolderSeen,
    Listener,
    MachineSeen,
    Sysctl,
)
from tasks import look
from tests.unit.verify_base import ARTIFACTS, GB, lab, machine, sets
from tests.verify import machines

KAFKA = next(s for s in sets("kafka1") if s.service == "kafka")
ARCHIVE = next(s for s in sets("kafka1") if s.service == "archive")
SYSCTL = next(s for s in sets("kafka1") if s.service == "base").files["sysctl.conf"]
DATA = machines.DATA
Question = Callable[[MachineSeen], list[Finding]]

SERVICES: dict[str, Question] = {
    name: partial(getattr(service_health, name), sets("kafka1"))
    for name in ("active", "supervised", "current", "limits", "files", "links", "guarded")
}
MACHINE: dict[str, Question] = {
    "owned": lambda s: service_health.owned(machines.owners(lab(), lab().voters["kafka1"]), s),
    "unpacked": lambda s: service_health.unpacked(
        machines.archives(lab(), lab().voters["kafka1"], ARTIFACTS), s
    ),
    "versions": machine_health.versions,
    "kernel": lambda s: machine_health.kernel(SYSCTL, s),
    "synchronised": machine_health.synchronised,
    "large_enough": lambda s: machine_health.large_enough(lab(), lab().hosts["kafka1"], DATA, s),
    "room": lambda s: machine_health.room(lab(), DATA, s),
    "file_system": lambda s: machine_health.file_system(DATA, s),
    "ports": lambda s: machine_health.ports(lab(), lab().voters["kafka1"], False, s),
}
QUESTIONS = {**SERVICES, **MACHINE}


def said(findings: list[Finding]) -> str:
    return " | ".join(str(finding) for finding in findings)


def with_file(name: str, file: FileSeen | None, service: str = "kafka") -> MachineSeen:
    """The machine with one file of a set in another way; None: without it."""
    seen = machine()
    here = seen.sets[service]
    there = {**here.files[here.staged or ""], name: file}
    kept = {n: f for n, f in there.items() if f is not None}
    changed = replace(here, files={here.staged or "": kept})
    return replace(seen, sets={**seen.sets, service: changed})


def with_unit(unit: str = "kafka.service", **properties: str) -> MachineSeen:
    seen = machine()
    return replace(seen, units={**seen.units, unit: {**seen.units[unit], **properties}})


def with_disk(**changes: object) -> MachineSeen:
    return machine(disks={DATA: replace(machine().disks[DATA], **changes)})


def with_process(**changes: object) -> MachineSeen:
    seen = machine()
    process = replace(seen.processes["kafka.service"], **changes)
    return replace(seen, processes={**seen.processes, "kafka.service": process})


def with_set(**changes: str | None) -> MachineSeen:
    seen = machine()
    return replace(seen, sets={**seen.sets, "kafka": replace(seen.sets["kafka"], **changes)})


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_machine_as_it_should_be_has_no_finding(question: str) -> None:
    assert said(QUESTIONS[question](machine())) == ""


def test_a_witness_as_it_should_be_has_no_finding() -> None:
    mine, seen = sets("witness1"), machine("witness1")
    for name in SERVICES:
        assert said(getattr(service_health, name)(mine, seen)) == ""


LISTENERS = machine().listeners
BROKEN: list[tuple[str, MachineSeen, str]] = [
    (
        "active",
        with_unit(ActiveState="failed", SubState="failed"),
        "found failed (failed), enabled",
    ),
    ("active", with_unit(UnitFileState="disabled"), "disabled"),
    ("active", machine(units={}), "unknown (), not installed"),
    ("supervised", with_unit(Restart="no"), "expected Restart=always, found no"),
    ("supervised", with_unit(RestartUSec="1min"), "expected RestartSec=2 s, found 60 s"),
    (
        "supervised",
        with_unit(StartLimitIntervalUSec="10s"),
        "StartLimitIntervalSec=0 s, found 10 s",
    ),
    ("supervised", with_unit(ExecStopPost=""), "found nothing"),
    ("supervised", with_unit("consumer-collector.service", WatchdogUSec="0"), "WatchdogSec=10 s"),
    ("supervised", with_unit("consumer-collector.service", WatchdogSignal="6"), "WatchdogSignal=9"),
    ("supervised", with_unit(OOMScoreAdjust="0"), "OOMScoreAdjust=-900, found 0"),
    ("supervised", with_unit(NeedDaemonReload="yes"), "its file has changed since"),
    ("supervised", with_unit(LoadState="not-found"), "a unit that systemd knows"),
    ("current", with_set(running="0ld"), "stale: staged "),
    ("current", with_set(running=None), "running none"),
    ("current", with_set(current="0ld"), "current 0ld"),
    ("current", machine(sets={}), "staged none"),
    ("limits", with_process(open_files=1024), "100000 open files, found 1024"),
    ("limits", with_process(oom_score_adj=0), "oom_score_adj -900, found 0"),
    ("limits", machine(processes={}), "a running process"),
    ("files", with_file("server.properties", None), "expected the file, found no such file"),
    ("files", machine(sets={}), "expected the file, found no such file"),
    ("links", machine(links={}), "no link"),
    (
        "guarded",
        with_file("pgpass", FileSeen("x", 0o444, "standfast"), "archive"),
        "expected standfast 0400, found standfast 0444",
    ),
    (
        "guarded",
        with_file("pgpass", FileSeen("x", 0o400, "kafka"), "archive"),
        "found kafka 0400",
    ),
    (
        "guarded",
        with_file("server.properties", FileSeen("x", 0o666, "root", "")),
        "expected root 0644, found root 0666",
    ),
    ("owned", machine(folders={}), "no such directory"),
    ("owned", machine(folders={DATA: FolderSeen("root", 0o750)}), "found root 0750"),
    ("owned", machine(folders={DATA: FolderSeen("kafka", 0o755)}), "found kafka 0755"),
    ("unpacked", machine(whole=frozenset()), "/opt/standfast/kafka/k: expected unpacked"),
    ("versions", machine(python="3.9"), "python3: expected 3.11, found 3.9"),
    ("versions", machine(java={"kafka.service": "11.0.2"}), "expected Java 17, found 11.0.2"),
    ("versions", machine(release="buster"), "found buster"),
    ("kernel", machine(sysctl={"vm.swappiness": Sysctl("60", True)}), "expected 1, found 60"),
    ("kernel", machine(sysctl={}), "found unknown"),
    ("synchronised", machine(synchronised=False), "not synchronised"),
    ("large_enough", with_disk(size=3 * GB), "expected 4 GB, as declared, found 3 GB"),
    ("large_enough", machine(disks={}), "expected a directory"),
    ("room", with_disk(free=GB // 10, used=0), "room for 750 MB: 15 x 50 MB"),
    ("room", with_disk(free=GB // 4, used=4 * GB), "at least 500 MB free, found 250 MB"),
    ("file_system", with_disk(kind="btrfs"), "found btrfs"),
    ("file_system", with_disk(options=("rw", "nobarrier")), "mounted with nobarrier"),
    ("file_system", with_disk(options=("rw", "data=writeback")), "mounted with data=writeback"),
    ("file_system", with_disk(kind="overlay"), "found overlay"),
    ("ports", machine(listeners=()), "198.18.0.11:9092: expected kafka.service, found nobody"),
    (
        "ports",
        machine(listeners=(*LISTENERS, Listener("*", 9999, "java", 101))),
        "*:9999: expected no listener, found kafka.service",
    ),
    (
        "ports",
        machine(listeners=(*LISTENERS, Listener("*", 2181, "java", 7))),
        "*:2181: expected no listener, found java (process 7)",
    ),
    (
        "ports",
        machine(listeners=tuple(replace(x, pid=7) for x in LISTENERS)),
        "198.18.0.11:2181: expected zookeeper.service, found java (process 7)",
    ),
]


@pytest.mark.parametrize(
    ("question", "seen", "expected"),
    BROKEN,
    ids=[f"{question}: {expected}" for question, _, expected in BROKEN],
)
def test_what_is_not_as_it_should_be_is_seen(
    question: str, seen: MachineSeen, expected: str
) -> None:
    findings = QUESTIONS[question](seen)
    assert expected in said(findings)
    assert any(finding.settable for finding in findings)


def test_a_file_that_differs_is_named_with_its_first_line_that_does() -> None:
    text = KAFKA.files["server.properties"].replace(
        "min.insync.replicas=2", "min.insync.replicas=1"
    )
    seen = with_file("server.properties", FileSeen("x", 0o644, "root", text))
    found = said(service_health.files([KAFKA], seen))
    assert "/etc/standfast/kafka/staged/server.properties" in found
    assert "'min.insync.replicas=2', found 'min.insync.replicas=1'" in found


def test_a_secret_that_differs_is_named_and_never_shown() -> None:
    seen = with_file("pgpass", FileSeen("x", 0o400, "standfast"), "archive")
    found = said(service_health.files([ARCHIVE], seen))
    assert "archive/staged/pgpass" in found
    assert "hunter2" not in found


def test_a_set_in_use_that_somebody_edited_is_seen_though_another_is_staged() -> None:
    seen = machine()
    here = seen.sets["kafka"]
    files = {**here.files, "0ld": {"server.properties": FileSeen("x", 0o644, "root", "a=1")}}
    edited = replace(here, current="0ld", files=files)
    found = service_health.files([KAFKA], replace(seen, sets={"kafka": edited}))
    assert "edited by hand" in said(found)


def test_a_sets_fingerprint_is_the_one_that_it_was_rendered_under() -> None:
    assert service_health.fingerprint(KAFKA.user, KAFKA.digests) == KAFKA.fingerprint


def test_a_secret_never_leaves_its_machine(tmp_path: Path) -> None:
    for name in ("pgpass", "collector.toml"):
        (tmp_path / name).write_text("hunter2")
    found = look.files(tmp_path, ["pgpass"])
    assert found["pgpass"]["text"] is None
    assert found["pgpass"]["digest"] == found["collector.toml"]["digest"]
    assert found["collector.toml"]["text"] == "hunter2"


def test_what_a_directory_takes_of_its_disk_is_counted(tmp_path: Path) -> None:
    (tmp_path / "trades-0").mkdir()
    (tmp_path / "trades-0" / "segment.log").write_bytes(b"x" * 100_000)
    found = look.disks([str(tmp_path), str(tmp_path / "none")])
    assert found.keys() == {str(tmp_path)}
    assert found[str(tmp_path)]["used"] >= 100_000
    assert found[str(tmp_path)]["kind"]


def test_a_leader_must_listen_for_its_followers() -> None:
    found = machine_health.ports(lab(), lab().voters["kafka1"], True, machine())
    assert "198.18.0.11:2888: expected zookeeper.service, found nobody listens" in said(found)


CONTAINER = {"container": "systemd-nspawn", "may_raise_limits": False, "most_open_files": 20000}
CLOSED = {"vm.swappiness": Sysctl("60", False), "vm.max_map_count": Sysctl("65530", False)}


@pytest.mark.parametrize(
    ("question", "seen"),
    [
        ("limits", replace(with_process(open_files=20000, oom_score_adj=0), **CONTAINER)),
        ("kernel", machine(sysctl=CLOSED, **CONTAINER)),
        ("synchronised", machine(synchronised=False, can_synchronise=False, **CONTAINER)),
        ("file_system", replace(with_disk(kind="overlay"), **CONTAINER)),
    ],
)
def test_what_a_container_cannot_set_is_neither_passed_nor_failed(
    question: str, seen: MachineSeen
) -> None:
    findings = QUESTIONS[question](seen)
    assert findings
    assert not any(finding.settable for finding in findings)


@pytest.mark.parametrize(
    ("question", "seen"),
    [
        ("limits", replace(with_process(open_files=1024), **CONTAINER)),
        ("limits", replace(with_process(oom_score_adj=-500), **CONTAINER)),
        (
            "kernel",
            machine(sysctl={n: replace(s, writable=True) for n, s in CLOSED.items()}, **CONTAINER),
        ),
        ("kernel", machine(sysctl=CLOSED)),
        ("file_system", replace(with_disk(kind="overlay", options=("nobarrier",)), **CONTAINER)),
    ],
)
def test_a_container_is_no_excuse_for_what_it_could_set(question: str, seen: MachineSeen) -> None:
    assert any(finding.settable for finding in QUESTIONS[question](seen))


def test_a_process_without_a_limit_of_open_files_has_enough() -> None:
    assert service_health.limits([KAFKA], with_process(open_files=None)) == []
