"""A server that hangs is ended within its time; in every doubt it is let alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standfast import probe, process, questions
from standfast.health import PATIENCE, History, Process, Sight, decide
from standfast.local import Host, Server
from standfast.supervision import Stop

NOW = 1000.0
TWO, THREE = "198.18.0.12:9092", "198.18.0.13:9092"
ALL = {TWO: True, THREE: True}
HUNG = History(
    kind="kafka",
    process=Process(4711, 99),
    active=True,
    ready=True,
    since=0.0,
    sights=(
        Sight("Metadata", silent_since=NOW - 13, complaint="Connection refused"),
        Sight("a write to /data", silent_since=None),
    ),
)
ZOOKEEPER = replace(HUNG, kind="zookeeper")


def voters(serving: int, silent: int) -> dict[str, bool]:
    return {f"voter{i}:2181": i < serving for i in range(serving + silent)}


def test_a_broker_that_is_silent_while_all_others_answer_is_ended() -> None:
    assert decide(HUNG, ALL, NOW).do == "kill"


def test_the_others_are_asked_before_anything_is_ended() -> None:
    assert decide(HUNG, None, NOW).do == "ask"


@pytest.mark.parametrize(
    ("history", "peers", "verdict", "reason"),
    [
        pytest.param(replace(HUNG, process=None), ALL, "down", "not running", id="is-down"),
        pytest.param(replace(HUNG, active=False), ALL, "changing", "systemd", id="is-stopping"),
        pytest.param(
            replace(HUNG, ready=False), ALL, "starting", "has not served yet", id="recovers-its-log"
        ),
        pytest.param(
            replace(HUNG, sights=(Sight("Metadata", None),)), ALL, "answers", "", id="answers"
        ),
        pytest.param(
            replace(HUNG, sights=(Sight("Metadata", NOW - PATIENCE + 0.1),)),
            ALL,
            "silent",
            "no answer for 12 s",
            id="not-silent-for-long-enough",
        ),
        pytest.param(
            replace(HUNG, since=NOW - 5),
            ALL,
            "silent",
            "for 5 s",
            id="the-probe-itself-stood-still",
        ),
        pytest.param(
            HUNG, {TWO: True, THREE: False}, "held", f"do not answer: {THREE}", id="another-is-down"
        ),
        pytest.param(
            HUNG, {TWO: False, THREE: False}, "held", f"{TWO}, {THREE}", id="a-cause-all-share"
        ),
        pytest.param(replace(HUNG, ended=True), ALL, "ended", "not gone yet", id="killed-already"),
        pytest.param(ZOOKEEPER, voters(1, 1), "held", "quorum of 3 needs 2", id="no-quorum-of-3"),
        pytest.param(ZOOKEEPER, voters(2, 2), "held", "quorum of 5 needs 3", id="no-quorum-of-5"),
        pytest.param(ZOOKEEPER, {}, "held", "quorum of 1 needs 1", id="a-lone-zookeeper"),
    ],
)
def test_a_server_is_never_ended_while(
    history: History, peers: dict[str, bool], verdict: str, reason: str
) -> None:
    action = decide(history, peers, NOW)
    assert (action.do, action.verdict) == ("wait", verdict)
    assert reason in action.reason


@pytest.mark.parametrize("peers", [voters(2, 0), voters(3, 1), voters(4, 0)])
def test_a_zookeeper_is_ended_while_a_quorum_serves_without_it(peers: dict[str, bool]) -> None:
    assert decide(ZOOKEEPER, peers, NOW).do == "kill"


def test_a_disk_that_does_not_come_back_ends_a_server_that_still_answers() -> None:
    sights = (Sight("Metadata", None), Sight("a write to /data", NOW - 13))
    action = decide(replace(HUNG, sights=sights), ALL, NOW)
    assert action.do == "kill"
    assert action.reason.startswith("a write to /data: no answer for 13 s")


# What follows runs the probe itself against processes that speak srvr.

SERVER = """
import os, signal, socket, sys
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    client = listening.accept()[0]
    client.recv(4)
    client.sendall(b"Zookeeper version: 3.9.5\\nMode: follower\\nNode count: 5\\n")
    client.close()
"""

Start = Callable[[], tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start() -> Iterator[Start]:
    started = []

    def start_one() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", SERVER]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(server)
        assert server.stdout is not None
        return server, f"127.0.0.1:{server.stdout.readline().strip()}"

    yield start_one
    for server in started:
        server.kill()
        server.wait(5)


class Probe:
    """The probe in a thread, with the times cut down to a fifteenth; `seen` is its state file."""

    def __init__(self, path: Path, address: str, peers: list[str], pid: int) -> None:
        self.path = path
        server = Server("zookeeper", "test.service", address, tuple(peers), (str(path.parent),))
        host = Host("test", 0.1, {"zookeeper": server})
        self.stop = Stop()

        def process_of(unit: str) -> tuple[Process | None, bool]:
            started = process.start_of(pid)
            return (None if started is None else Process(pid, started)), True

        self._thread = threading.Thread(
            target=probe.watch, args=(host, path, self.stop, process_of, 0.8), daemon=True
        )
        self._thread.start()

    def seen(self) -> dict[str, Any]:
        if not self.path.exists():
            return {"verdict": "", "ready": False}
        return dict(json.loads(self.path.read_text())["servers"]["zookeeper"])

    def wait_for(self, verdict: str, seconds: float = 8.0) -> None:
        deadline = time.monotonic() + seconds
        while (seen := self.seen())["verdict"] != verdict:
            assert time.monotonic() < deadline, f"waited for {verdict!r}, last seen: {seen}"
            time.sleep(0.05)

    def end(self) -> None:
        self.stop.asked = True
        self._thread.join(10)


def test_a_frozen_server_is_killed_and_nothing_else_is(start: Start, tmp_path: Path) -> None:
    server, address = start()
    peers = [start(), start()]
    watching = Probe(tmp_path / "state.json", address, [at for _, at in peers], server.pid)
    watching.wait_for("answers")
    frozen = time.monotonic()
    os.kill(server.pid, signal.SIGSTOP)
    assert server.wait(8) == -signal.SIGKILL
    # In production: 12 s of patience, two rounds of 2 s, up to 3 s for the peers.
    assert time.monotonic() - frozen < 4
    watching.wait_for("down")
    watching.end()
    assert [peer.poll() for peer, _ in peers] == [None, None]
    assert (tmp_path / questions.DISK_FILE).exists()


def test_a_frozen_server_is_let_alone_while_another_is_down(start: Start, tmp_path: Path) -> None:
    server, address = start()
    _, other = start()
    watching = Probe(tmp_path / "state.json", address, [other, "127.0.0.1:1"], server.pid)
    watching.wait_for("answers")
    os.kill(server.pid, signal.SIGSTOP)
    watching.wait_for("held")
    time.sleep(1)  # some rounds more
    watching.end()
    assert server.poll() is None


def test_a_server_that_never_served_is_let_alone(start: Start, tmp_path: Path) -> None:
    server, address = start()
    peers = [start()[1], start()[1]]
    os.kill(server.pid, signal.SIGSTOP)
    watching = Probe(tmp_path / "state.json", address, peers, server.pid)
    watching.wait_for("starting")
    time.sleep(1.6)  # twice the patience
    assert watching.seen()["verdict"] == "starting"
    watching.end()
    assert server.poll() is None


def test_a_probe_that_was_restarted_remembers_who_has_served(start: Start, tmp_path: Path) -> None:
    server, address = start()
    peers = [start()[1], start()[1]]
    state = tmp_path / "state.json"
    first = Probe(state, address, peers, server.pid)
    first.wait_for("answers")
    first.end()
    os.kill(server.pid, signal.SIGSTOP)
    second = Probe(state, address, peers, server.pid)
    assert server.wait(8) == -signal.SIGKILL
    second.end()


def test_a_server_is_killed_when_its_disk_hangs(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, back = threading.Event(), threading.Event()

    def write(directory: str) -> None:
        if hangs.is_set():
            back.wait(20)

    monkeypatch.setattr(questions, "disk_write", write)
    server, address = start()
    peers = [start()[1], start()[1]]
    watching = Probe(tmp_path / "state.json", address, peers, server.pid)
    watching.wait_for("answers")
    hangs.set()
    assert server.wait(8) == -signal.SIGKILL
    back.set()
    watching.end()


def test_a_disk_that_reports_an_error_is_said_and_ends_nothing(
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def write(directory: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(questions, "disk_write", write)
    server, address = start()
    watching = Probe(tmp_path / "state.json", address, [start()[1], start()[1]], server.pid)
    watching.wait_for("answers")
    time.sleep(1.6)  # twice the patience
    assert watching.seen()["verdict"] == "answers"
    watching.end()
    assert server.poll() is None
    assert (
        f"<2>alarm disk: a write to {tmp_path}: No space left on device" in capfd.readouterr().err
    )


def test_a_probe_that_stood_still_does_not_hold_it_against_the_server(
    start: Start, tmp_path: Path
) -> None:
    server, address = start()
    one = Server("zookeeper", "test.service", address, (start()[1], start()[1]), ())
    main = Process(server.pid, process.start_of(server.pid) or 0)
    watching = probe.Watch(one, 0.2, lambda unit: (main, True), 1.2, ready=main)
    os.kill(server.pid, signal.SIGSTOP)
    watching.start()
    watching.look(time.monotonic())
    time.sleep(1.5)
    watching.woke(time.monotonic())
    watching.look(time.monotonic())
    assert watching.action.do == "wait"
    assert server.poll() is None


def test_sigkill_never_reaches_a_later_process_of_the_same_number(start: Start) -> None:
    server, _ = start()
    started = process.start_of(server.pid)
    assert started is not None
    assert process.end(Process(server.pid, started - 1)) == "it is gone already"
    assert server.poll() is None
    assert "sent SIGKILL" in process.end(Process(server.pid, started))
    assert server.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("said", "code", "active"),
    [
        ("MainPID={pid}\\nActiveState=active\\n", 0, True),
        ("MainPID={pid}\\nActiveState=deactivating\\n", 0, False),
        ("", 1, None),
    ],
)
def test_only_what_systemd_calls_active_is_active(
    said: str, code: int, active: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\nprintf '{said.format(pid=os.getpid())}'\nexit {code}\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    here = Process(os.getpid(), process.start_of(os.getpid()) or 0)
    assert process.of_unit("kafka.service") == (None if active is None else (here, active))


def test_the_disk_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / questions.DISK_FILE).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        questions.disk_write(str(tmp_path))
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_zookeeper_that_answers_nonsense_or_nothing_gives_no_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            questions.zookeeper_mode(f"127.0.0.1:{silent.getsockname()[1]}", 0.3)
    assert time.monotonic() - began < 1
