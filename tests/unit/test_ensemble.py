"""A voter's ensemble is narrowed and made whole again; what it holds is copied or put aside."""

from __future__ import annotations

import argparse
import json
import shutil
import syslog
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.inventory import load
from cluster.narrow import sight
from cluster.render import file_sets
from standfast import ensemble
from standfast.clients import parse_properties
from standfast.ensemble import PROPERTIES, RECORD, Places, Record, narrow, serving, whole, wipe
from standfast.errors import Failure, UserError
from tests.unit import voters_base
from tests.unit.inventory_base import write
from tests.unit.test_render import ARTIFACTS

SETTINGS = """# ZooKeeper on kafka2, one of the 4 voters of the ensemble of "test".

# Every voter.
server.1=10.0.0.1:2888:3888
server.2=10.0.0.2:2888:3888
server.3=10.0.0.3:2888:3888
server.10=10.0.0.10:2888:3888
clientPort=2181
clientPortAddress=10.0.0.2
# Nothing is lost in a power cut.
forceSync=yes
"""
ALONE = Record((2,), 1_700_000_000.0, "ops@desk", 3, 0x3_0000_0010)
DATA = {
    "data/myid": "2\n",
    "data/version-2/snapshot.1": "a tree",
    "data/version-2/currentEpoch": "3\n",
    "log/version-2/log.1": "",
}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Voter 2 of four, with data."""
    it = Places(
        set=tmp_path / "set",
        narrowed=tmp_path / "etc" / "ensemble",
        dropin=tmp_path / "zookeeper.service.d" / "ensemble.conf",
        home=tmp_path / "home",
    )
    for path, text in {it.set / PROPERTIES: SETTINGS, **at(it.home, DATA)}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return it


def at(folder: Path, files: dict[str, str]) -> dict[Path, str]:
    return {folder / name: text for name, text in files.items()}


def found(folder: Path) -> dict[str, str]:
    """Every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def empty(places: Places) -> None:
    """A voter that has its number, and no data."""
    for place in (places.data, places.log):
        shutil.rmtree(place)


class Systemd:
    """What was asked of systemd, and what lay on the disk then."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.asked: list[str] = []
        self.there: dict[str, set[str]] = {}
        self.fails = ""

    def __call__(self, *words: str) -> None:
        self.asked.append(" ".join(words))
        home = {path.name for path in self.places.home.iterdir()}
        files = {self.places.narrowed / RECORD, self.places.dropin}
        self.there[words[0]] = home | {path.name for path in files if path.exists()}
        if words[0] == self.fails:
            raise Failure("systemctl", "it failed")


@pytest.fixture(autouse=True)
def systemd(places: Places, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    it = Systemd(places)
    monkeypatch.setattr(ensemble, "_systemctl", it)
    return it


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What goes to the system log, by priority."""
    lines: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "openlog", lambda *_, **__: None)
    monkeypatch.setattr(syslog, "syslog", lambda level, line: lines.append((level, line)))
    return lines


def alarms(said: list[tuple[int, str]]) -> list[str]:
    return [line for level, line in said if level == syslog.LOG_CRIT]


def settings(places: Places) -> dict[str, str]:
    """What ZooKeeper reads of the narrowed file: of a name that comes twice, this raises."""
    return parse_properties((places.narrowed / PROPERTIES).read_text(), "narrowed")


def copies(places: Places, name: str = "before-last-stand") -> list[Path]:
    return sorted(places.home.glob(f"{name}-*"))


# --- narrow ---


@pytest.mark.parametrize("voters", [(2,), (1, 2), (2, 10), (1, 2, 3, 10)])
def test_a_narrowed_voter_runs_with_the_records_voters_alone(
    places: Places, voters: tuple[int, ...]
) -> None:
    narrow(places, replace(ALONE, voters=voters))
    own = parse_properties(SETTINGS, "")
    kept = {n: v for n, v in own.items() if not n.startswith("server.")}
    servers = {f"server.{n}": f"10.0.0.{n}:2888:3888" for n in voters}
    assert settings(places) == {**kept, **servers, "standaloneEnabled": "false"}
    assert (places.set / PROPERTIES).read_text() == SETTINGS, "the inventory's stays as it is"


def test_the_files_that_this_repository_renders_can_be_narrowed(
    places: Places, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("password\n")
    cluster = load(write(tmp_path, "consumers: {mine: REMOVED}"), tmp_path)
    sets = {s.service: s for s in file_sets(cluster, cluster.hosts["kafka2"], ARTIFACTS)}
    (places.set / PROPERTIES).write_text(sets["zookeeper"].files[PROPERTIES])
    narrow(places, replace(ALONE, voters=(2, 5)))
    assert {n for n in settings(places) if n.startswith("server.")} == {"server.2", "server.5"}


def test_who_narrowed_it_and_when_stands_in_the_file(places: Places) -> None:
    narrow(places, ALONE)
    first = (places.narrowed / PROPERTIES).read_text().splitlines()[0]
    assert first.startswith("# A last stand since 2023-11-1")
    assert "by ops@desk" in first


def test_whoever_starts_a_narrowed_voter_starts_it_narrowed(
    places: Places, systemd: Systemd
) -> None:
    narrow(places, ALONE)
    assert places.record() == ALONE
    lines = places.dropin.read_text().splitlines()
    assert lines[1:] == ["[Service]", f"Environment=PROPERTIES={places.narrowed / PROPERTIES}"]
    assert systemd.asked == [
        "stop zookeeper.service", "daemon-reload", "restart --no-block zookeeper.service",
    ]  # fmt: skip
    assert {RECORD, places.dropin.name} <= systemd.there["restart"]


def test_its_data_are_copied_while_it_stands_still(places: Places, systemd: Systemd) -> None:
    narrow(places, ALONE)
    (copy,) = copies(places)
    assert found(copy) == {name: text for name, text in DATA.items() if "version-2" in name}
    assert {name: found(places.home).get(name) for name in DATA} == DATA
    assert systemd.there["stop"] == {"data", "log"}
    assert RECORD not in systemd.there["stop"], "what is interrupted here is no last stand yet"


def test_a_voter_that_will_not_stop_is_not_narrowed(places: Places, systemd: Systemd) -> None:
    systemd.fails = "stop"
    with pytest.raises(Failure):
        narrow(places, ALONE)
    assert places.record() is None
    assert copies(places) == []


def test_its_data_are_copied_the_first_time_only(places: Places, systemd: Systemd) -> None:
    narrow(places, ALONE)
    before = copies(places)
    systemd.asked.clear()
    narrow(places, wider := replace(ALONE, voters=(1, 2)))
    assert copies(places) == before
    assert "stop zookeeper.service" not in systemd.asked, "it serves until its restart"
    assert places.record() == wider
    assert "server.1" in settings(places)


def test_a_voter_without_data_is_narrowed_too(places: Places, said: list[tuple[int, str]]) -> None:
    empty(places)
    narrow(places, ALONE)
    assert places.record() == ALONE
    assert copies(places) == []
    assert "there are none" in said[0][1]
    assert alarms(said) == ["alarm ensemble: ZooKeeper's ensemble is narrowed to the voters 2"]


@pytest.mark.parametrize(
    ("voters", "says"),
    [
        ((1, 3), r"this is voter 2, and not one of \(1, 3\)"),
        ((), "this is voter 2"),
        ((2, 4, 7), "no such voter: 4, 7"),
    ],
)
def test_a_record_that_is_not_for_this_voter_is_refused(
    places: Places, systemd: Systemd, voters: tuple[int, ...], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        narrow(places, replace(ALONE, voters=voters))
    assert systemd.asked == []
    assert not places.narrowed.exists()
    assert not places.dropin.exists()


# --- wipe, whole ---


def test_a_wiped_voter_keeps_its_number_and_all_that_it_held(
    places: Places, systemd: Systemd
) -> None:
    aside = wipe(places)
    assert [aside] == copies(places, "before-rejoin")
    assert aside is not None
    assert found(aside) == {name: text for name, text in DATA.items() if "version-2" in name}
    assert found(places.home / "data") == {"myid": "2\n"}
    assert found(places.home / "log") == {}, "it would vote, though it is empty"
    assert not places.data.exists() and not places.log.exists()
    assert systemd.asked == ["stop zookeeper.service"]
    assert systemd.there["stop"] == {"data", "log"}


def test_a_voter_without_data_has_nothing_to_put_aside(places: Places) -> None:
    empty(places)
    assert wipe(places) is None
    assert copies(places, "before-rejoin") == []


def test_a_voter_that_will_not_stop_is_not_wiped(places: Places, systemd: Systemd) -> None:
    systemd.fails = "stop"
    with pytest.raises(Failure):
        wipe(places)
    assert {name: found(places.home).get(name) for name in DATA} == DATA


def test_an_empty_voter_votes_where_it_is_told_to(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Any, ...]] = []
    monkeypatch.setattr("shutil.chown", lambda *words: given.append(words))
    wipe(places, vote=True)
    word = places.home / "log" / "initialize"
    assert word.exists(), "ZooKeeper looks for it beside its log's version-2"
    assert given == [(word, "zookeeper", "zookeeper")]


def test_a_whole_ensemble_leaves_nothing_behind(
    places: Places, systemd: Systemd, said: list[tuple[int, str]]
) -> None:
    narrow(places, ALONE)
    systemd.asked.clear()
    said.clear()
    whole(places)
    assert places.record() is None
    assert list(places.narrowed.iterdir()) == []
    assert list(places.dropin.parent.iterdir()) == []
    assert systemd.asked == ["daemon-reload"], "what runs is left alone"
    assert alarms(said) == ["alarm ensemble-whole: ZooKeeper's ensemble is the inventory's again"]


def test_where_nothing_was_narrowed_nobody_is_alarmed(
    places: Places, said: list[tuple[int, str]]
) -> None:
    whole(places)
    assert said == []


# --- what is there ---


def test_a_record_is_read_as_it_was_written() -> None:
    record = Record((2, 10), 1_700_000_000.123456, "ops@desk", 3, 0x3_0000_0010)
    assert Record.load(record.dump()) == record
    shuffled = json.dumps({**json.loads(record.dump()), "voters": [10, 2]})
    assert Record.load(shuffled) == record


NONSENSE = [
    "", "{", "[]", "null", "7", "{}", '{"voters": 2}', '{"voters": ["two"]}',
    '{"voters": [2], "since": null, "by": "me", "epoch": 3, "zxid": 1}',
    '{"voters": [2], "since": 1, "by": "me", "epoch": 3}',
]  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_a_record_that_makes_no_sense_is_not_taken_for_none(places: Places, text: str) -> None:
    places.narrowed.mkdir(parents=True)
    (places.narrowed / RECORD).write_text(text)
    with pytest.raises(Failure, match=RECORD):
        places.record()
    with pytest.raises(Failure):
        narrow(places, ALONE)


def test_a_machine_without_a_record_is_in_no_last_stand(places: Places) -> None:
    assert places.record() is None


def test_a_voters_number_is_the_one_of_its_own_address(places: Places) -> None:
    own = places.settings()
    assert ensemble.voter(own) == 2
    assert ensemble.voter({**own, "clientPortAddress": "10.0.0.10"}) == 10
    for address in ("10.0.0", "10.0.0.9", ""):
        with pytest.raises(UserError, match="names no voter"):
            ensemble.voter({**own, "clientPortAddress": address})


def test_a_machine_without_settings_is_no_voter(places: Places) -> None:
    (places.set / PROPERTIES).unlink()
    with pytest.raises(UserError, match="cannot be read"):
        ensemble.look(places)


def served(places: Places, address: str) -> None:
    """Voter 2 answers at this address."""
    host, _, port = address.partition(":")
    text = SETTINGS.replace("10.0.0.2\n", f"{host}\n").replace("10.0.0.2:", f"{host}:")
    (places.set / PROPERTIES).write_text(text.replace("=2181", f"={port}"))


def test_a_look_tells_what_the_controller_asks(places: Places) -> None:
    with ExitStack() as stack:
        answers = voters_base.members(1, 2), voters_base.mode("follower")
        served(places, stack.enter_context(voters_base.voter(*answers)))
        here = stack.enter_context(voters_base.refusing())
        ensemble._write(places.narrowed / RECORD, ALONE.dump())
        seen = ensemble.look(places, after=1, at=1, others=[here])
    assert (seen["id"], seen["mode"], seen["members"]) == (2, "follower", [1, 2])
    assert (seen["epoch"], seen["at"], seen["changes"]) == (3, None, [])
    assert seen["hears"] == [here], "a machine that refuses is there"
    read = sight(json.loads(json.dumps(seen)), {here: "kafka1"}, frozenset({2181}))
    assert read.record is not None and read.record.voters == (2,)
    assert (read.members, read.hears) == (frozenset({1, 2}), frozenset({"kafka1"}))


@pytest.mark.parametrize("answers", [True, False], ids=["not serving", "stopped"])
def test_a_voter_that_serves_nobody_is_looked_at_all_the_same(
    places: Places, answers: bool
) -> None:
    with voters_base.voter() if answers else voters_base.refusing() as address:
        served(places, address)
        seen = ensemble.look(places)
    assert (seen["mode"], seen["members"], seen["record"]) == ("", [], None)
    assert "snapshot.1: was not written to its end" in seen["fault"]


def test_the_look_of_an_empty_voter_says_so(places: Places) -> None:
    empty(places)
    with voters_base.refusing() as address:
        served(places, address)
        seen = ensemble.look(places)
    assert (seen["holds"], seen["fault"], seen["epoch"]) == (False, "", -1)
    assert (seen["zxid"], seen["logged"]) == (-1, -1)


def test_those_that_serve_are_found_with_the_voters_of_their_ensemble() -> None:
    with ExitStack() as stack:
        start: Callable[[Any], str] = stack.enter_context
        others = [
            one := start(voters_base.voter(voters_base.members(2, 12))),
            two := start(voters_base.voter(voters_base.members(1, 2))),
            start(voters_base.silent()),
            start(voters_base.voter()),
            start(voters_base.refusing()),
        ]
        assert serving(others, 0.3) == {one: {2, 12}, two: {1, 2}}
    assert serving([], 0.3) == {}


@pytest.mark.parametrize("ends", ["narrow", "whole"])
def test_the_mark_of_one_that_was_left_out_goes_when_it_is_brought_back(
    places: Places, ends: str
) -> None:
    ensemble.leave_out(places)
    assert places.left_out.exists()
    if ends == "narrow":
        narrow(places, Record((1, 2), 1.0, "ops@desk", 3, 16))
    else:
        whole(places)
    assert not places.left_out.exists()


# --- the command ---


def asked(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    ensemble.add_arguments(parser)
    return parser.parse_args(words)


def test_the_command_does_what_it_is_asked(
    places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ensemble, "Places", lambda: places)
    assert ensemble.run(asked("narrow", "--record", ALONE.dump())) == 0
    assert places.record() == ALONE
    assert ensemble.run(asked("whole")) == 0
    assert places.record() is None
    assert ensemble.run(asked("wipe")) == 0
    assert json.loads(capsys.readouterr().out) == {"aside": str(copies(places, "before-rejoin")[0])}
    with voters_base.refusing() as address:
        served(places, address)
        assert ensemble.run(asked("look", "--after", "1", "--others", f"{address},")) == 0
    assert json.loads(capsys.readouterr().out)["hears"] == [address]


@pytest.mark.parametrize("text", NONSENSE)
def test_a_record_that_makes_no_sense_narrows_nothing(
    places: Places, systemd: Systemd, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(ensemble, "Places", lambda: places)
    with pytest.raises(UserError, match="--record"):
        ensemble.run(asked("narrow", "--record", text))
    assert systemd.asked == []


def test_what_systemd_says_is_in_the_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: Systemd
) -> None:
    monkeypatch.undo()  # the real one, with a systemctl of our own
    (tmp_path / "systemctl").write_text('#!/bin/sh\necho "no such unit: $2" >&2\nexit 5\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Failure, match=r"stop a\.service: no such unit: a\.service"):
        ensemble._systemctl("stop", "a.service")
