"""What systemd is told, and the count of starts that survives a crash."""

import socket
from pathlib import Path

import pytest

from standfast.supervision import Sparing, Starts, Watchdog, notify


def test_systemd_is_told_through_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(1)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        watchdog = Watchdog()
        watchdog.ready()
        watchdog.ready()
        watchdog.progress(lambda: "3 new")
        watchdog.progress(lambda: "not within the same second")
        assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1", b"WATCHDOG=1\nSTATUS=3 new"]
        systemd.settimeout(0.05)
        with pytest.raises(TimeoutError):
            systemd.recv(100)


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    assert notify("READY=1") is False


def test_starts_are_counted_until_there_is_progress(tmp_path: Path) -> None:
    path = tmp_path / "starts.json"
    assert [Starts(path).begin() for _ in range(4)] == [0, 1, 2, 3]
    starts = Starts(path)
    starts.begin()
    starts.progress()
    assert Starts(path).begin() == 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"starts_without_progress": "x"}'])
def test_a_damaged_count_is_no_reason_not_to_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "starts.json"
    path.write_text(content)
    assert Starts(path).begin() == 0


def test_what_repeats_is_said_once_and_a_change_at_once() -> None:
    sparing = Sparing(30.0)
    assert sparing.now("sink", "down")
    assert not sparing.now("sink", "down")
    assert sparing.now("sink", "full")
    sparing.over("sink")
    assert sparing.now("sink", "full")
