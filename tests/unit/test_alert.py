"""Alarms are handed on, and neither a restart nor a receiver that fails loses or repeats one."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from standfast import alertsend
from standfast.alert import Alert, Config, read
from standfast.alerts import Message
from standfast.alertsend import post
from standfast.errors import Failure, UserError
from standfast.supervision import Stop

# As journalctl --follow --no-tail: from --cursor= (the line itself too), or all of it.
JOURNALCTL = """
import json, pathlib, sys, time
path, start = pathlib.Path(sys.argv[1]), sys.argv[-1].removeprefix("--cursor=")
begun, shown = start.startswith("--since"), 0
while True:
    lines = path.read_text().splitlines()
    for line in lines[shown:]:
        begun = begun or json.loads(line)["__CURSOR"] == start
        if begun:
            print(line, flush=True)
    shown = len(lines)
    time.sleep(0.02)
"""
# Notes what it is told; fails, or hangs, while a file of that name is there.
COMMAND = """
import json, os, pathlib, sys, time
here = pathlib.Path(sys.argv[1])
if (here / "hang").exists():
    time.sleep(60)
if (here / "fail").exists():
    sys.exit("no route to the pager")
known = {k[10:].lower(): v for k, v in os.environ.items() if k.startswith("STANDFAST_")}
with (here / "told").open("a") as file:
    print(json.dumps([sys.argv[2], known, json.load(sys.stdin)]), file=file)
"""


class Host:
    """A host with a journal, the alert service, and a command that notes what it is told."""

    def __init__(self, root: Path, tells: bool = True) -> None:
        self.root = root
        self.lines = 0
        (root / "journal").touch()
        (root / "command.py").write_text(COMMAND)
        command = (sys.executable, str(root / "command.py"), str(root)) if tells else ()
        self.config = Config("lab", "kafka1", root / "state.json", command)

    def start(self) -> None:
        follow = (sys.executable, "-c", JOURNALCTL, str(self.root / "journal"))
        self.stop = Stop()
        self.thread = threading.Thread(
            target=Alert(self.config, (), follow).watch, args=[self.stop]
        )
        self.thread.start()

    def end(self) -> None:
        self.stop.asked = True
        self.thread.join(20)
        assert not self.thread.is_alive()

    def alarm(self, text: str) -> None:
        self.lines += 1
        entry = {
            "MESSAGE": f"alarm {text}",
            "_SYSTEMD_UNIT": "kafka.service",
            "__CURSOR": f"c{self.lines}",
            "__REALTIME_TIMESTAMP": str(int(time.time() * 1e6)),
        }
        with (self.root / "journal").open("a") as file:
            print(json.dumps(entry), file=file)

    def told(self) -> list[str]:
        path = self.root / "told"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)[0] for line in lines]

    def state(self) -> dict[str, Any]:
        path = self.root / "state.json"
        return dict(json.loads(path.read_text())) if path.exists() else {"causes": {}}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    host.start()
    yield host
    host.end()


def wait(for_what: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not for_what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_an_alarm_is_handed_to_the_command_once_with_all_that_is_known(host: Host) -> None:
    host.alarm("gate-kafka: broker 1 must not start")
    wait(lambda: host.told() != [])
    host.alarm("gate-kafka: broker 1 must not start")
    host.alarm("last-stand: alone")
    wait(lambda: len(host.told()) > 1)
    line, known, given = json.loads((host.root / "told").read_text().splitlines()[0])
    assert line == "lab kafka1: gate-kafka: broker 1 must not start"
    wanted = {
        "cluster": "lab",
        "host": "kafka1",
        "cause": "gate-kafka",
        "sentence": "broker 1 must not start",
        "at": given["at"],
    }
    assert known == {**wanted, "more": "0"}
    assert given == {**wanted, "more": 0, "text": line}
    assert host.told()[1:] == ["lab kafka1: last-stand: alone"]


def test_a_restart_repeats_none_and_loses_none(host: Host) -> None:
    host.alarm("a: before")
    wait(lambda: len(host.told()) == 1)
    host.end()
    host.alarm("b: while it was away")
    host.start()
    wait(lambda: len(host.told()) == 2)
    host.alarm("c: after")
    wait(lambda: len(host.told()) == 3)
    assert [line.split(": ")[2] for line in host.told()] == ["before", "while it was away", "after"]


def test_what_was_not_told_before_a_restart_is_told_after_it(host: Host) -> None:
    (host.root / "fail").touch()
    host.alarm("a: nobody heard it")
    wait(lambda: host.state()["causes"].get("a", {}).get("waiting") == 1)
    host.end()
    (host.root / "fail").unlink()
    host.start()
    wait(lambda: host.told() == ["lab kafka1: a: nobody heard it"])
    wait(lambda: host.state()["causes"]["a"]["waiting"] == 0)


def test_a_command_that_fails_is_tried_again_until_it_succeeds(
    host: Host, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("standfast.alerts.RETRY_FIRST", 0.2)
    (host.root / "fail").touch()
    host.alarm("a: hear me")
    said = ""
    deadline = time.monotonic() + 10
    while "could not be handed on" not in said:
        assert time.monotonic() < deadline
        said += capfd.readouterr().err
        time.sleep(0.05)
    assert "a could not be handed on: exit 1: no route to the pager" in said
    (host.root / "fail").unlink()
    wait(lambda: host.told() == ["lab kafka1: a: hear me"])


def test_a_command_that_hangs_is_ended_and_the_journal_is_read_meanwhile(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertsend, "ANSWER", 1.0)
    monkeypatch.setattr("standfast.alerts.RETRY_FIRST", 0.1)
    (host.root / "hang").touch()
    host.alarm("a: first")
    time.sleep(0.3)
    host.alarm("b: second")
    wait(lambda: "b" in host.state()["causes"], 0.9)
    (host.root / "hang").unlink()
    wait(lambda: sorted(line.split(": ")[2] for line in host.told()) == ["first", "second"])


def test_without_a_receiver_alarms_are_noted_for_the_status(tmp_path: Path) -> None:
    host = Host(tmp_path, tells=False)
    host.start()
    host.alarm("a: noted")
    wait(lambda: "a" in host.state()["causes"])
    host.end()
    assert host.state()["causes"]["a"]["sentence"] == "noted"
    assert host.told() == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"since": 1}'])
def test_a_damaged_state_is_no_reason_to_be_silent(tmp_path: Path, content: str) -> None:
    host = Host(tmp_path)
    (tmp_path / "state.json").write_text(content)
    host.start()
    host.alarm("a: heard")
    wait(lambda: host.told() == ["lab kafka1: a: heard"])
    host.end()


def test_a_journal_that_does_not_know_the_line_is_read_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fake journalctl that refuses a cursor, as the real one refuses one that makes no sense.
    monkeypatch.setattr("standfast.alert.AGAIN", 0.1)
    refuse = 'import sys\nif "--cursor" in sys.argv[-1]: sys.exit("Failed to seek to cursor")\n'
    monkeypatch.setattr(sys.modules[__name__], "JOURNALCTL", refuse + JOURNALCTL)
    host = Host(tmp_path)
    (tmp_path / "state.json").write_text('{"since": 1.0, "cursor": "gone", "causes": {}}')
    host.start()
    host.alarm("a: heard")
    wait(lambda: host.told() == ["lab kafka1: a: heard"])
    host.end()


# --- the webhook ---


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[bytes], list[int]]]:
    """A web server's address, what was posted to it, and what it answers next."""
    posted: list[bytes] = []
    answers: list[int] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(answers.pop(0) if answers else 200)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", posted, answers
    server.shutdown()
    server.server_close()


def test_a_webhook_gets_json(receiver: tuple[str, list[bytes], list[int]]) -> None:
    url, posted, _ = receiver
    to = alertsend.Receiver("lab", "kafka1", (), ())
    body = json.dumps(alertsend.content(to, Message("a", "it burns", 1_800_000_000.0, 12)))
    post(url, body.encode())
    assert json.loads(posted[0]) == {
        "cluster": "lab",
        "host": "kafka1",
        "cause": "a",
        "sentence": "it burns",
        "at": "2027-01-15T08:00:00Z",
        "more": 12,
        "text": "lab kafka1: a: it burns (12 more in the last hour)",
    }


@pytest.mark.parametrize("code", [302, 400, 500])
def test_a_webhook_that_does_not_take_it_is_a_failure(
    receiver: tuple[str, list[bytes], list[int]], code: int
) -> None:
    url, _, answers = receiver
    answers.append(code)
    with pytest.raises(Failure, match=str(code)):
        post(url, b"{}")


def test_a_webhook_that_nobody_answers_is_a_failure() -> None:
    with pytest.raises(Failure, match="refused"):
        post("http://127.0.0.1:1/hook", b"{}")


def test_a_webhook_is_posted_to_by_the_program_itself(
    tmp_path: Path, receiver: tuple[str, list[bytes], list[int]]
) -> None:
    url, posted, answers = receiver
    answers.append(500)
    path = tmp_path / "alert.toml"
    state = tmp_path / "state.json"
    path.write_text(f'cluster = "lab"\nhost = "kafka1"\nstate = "{state}"\nwebhook = "{url}"\n')
    host = Host(tmp_path)
    poster = (sys.executable, "-m", "standfast", "alert", str(path), "--post")
    follow = (sys.executable, "-c", JOURNALCTL, str(tmp_path / "journal"))
    alert = Alert(read(path), poster, follow)
    stop = Stop()
    thread = threading.Thread(target=alert.watch, args=[stop])
    thread.start()
    host.alarm("a: hear me")
    wait(lambda: len(posted) == 2, 20)
    stop.asked = True
    thread.join(20)
    assert json.loads(posted[1])["text"] == "lab kafka1: a: hear me"
    assert host.state()["causes"]["a"]["waiting"] == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [("host = 1\nstate = ''", "cluster: missing"), ("cluster =", "Invalid"), (None, "be read")],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "alert.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=says):
        read(path)
