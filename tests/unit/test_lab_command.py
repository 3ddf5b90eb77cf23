"""The lab's command line and what it asks of this machine, without a lab."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import __main__ as command
from lab import require
from lab.plan import REPOSITORY
from lab.shell import LabError, run, together, wait_until

INVENTORY = "lab: nosuchlab\nhosts: {one: {address: 198.18.200.11}}\n"


def lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "INVENTORY": "inventory/lab.yml"},
    )  # fmt: skip


@pytest.fixture
def inventory(tmp_path: Path) -> str:
    (tmp_path / "lab.yml").write_text(
        INVENTORY + f"ssh: {{config: {tmp_path / 'build' / 'ssh_config'}}}\n"
    )
    return str(tmp_path / "lab.yml")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["status"], 2, "none.yml: no such file: name an inventory that exists"),
        (["--inventory", "THE LAB", "boot", "kafka9"], 2, "kafka9: is no host of the lab"),
        (["--inventory", "THE LAB", "kill", "one", "kafka9"], 2, "kafka9: is no host of the lab"),
        (["--inventory", "THE LAB", "ssh", "kafka9"], 2, "kafka9: is no host of the lab"),
        (["--inventory", "THE LAB", "exec"], 2, "exec: needs a command"),
        (["--inventory", "THE LAB", "exec", "--", "true"], 1, "lab nosuchlab: is not up"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(
    inventory: str, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    if arguments[0] == "status":
        arguments = ["--inventory", str(tmp_path / "none.yml"), "status"]
    done = lab(*[inventory if word == "THE LAB" else word for word in arguments])
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.startswith("standfast: ")
    assert done.stderr.count("\n") == 1


def test_an_unknown_command_is_refused_with_the_list_of_all() -> None:
    done = lab("explode")
    assert done.returncode == 2
    assert all(name in done.stderr for name in command.COMMANDS)


def test_missing_programs_are_all_named_with_the_packages_that_bring_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name != "ip" else "/sbin/ip")
    with pytest.raises(LabError) as refused:
        require.programs()
    assert "lacks mmdebstrap, systemd-nspawn, nft" in str(refused.value)
    assert "apt-get install apt e2fsprogs mmdebstrap" in str(refused.value)
    assert "iproute2" not in str(refused.value)


def test_a_user_who_is_not_root_is_told_so_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LabError, match="needs root"):
        require.linux_and_root()


def test_another_system_than_linux_is_told_so_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(LabError, match="needs Linux, this is darwin"):
        require.linux_and_root()


def test_a_wait_that_runs_out_says_what_was_waited_for() -> None:
    with pytest.raises(LabError, match=r"one: sshd does not answer: waited 0.1 s in vain"):
        wait_until(lambda: False, 0.1, "one", "sshd does not answer")


def test_a_program_that_fails_is_reported_with_its_last_words() -> None:
    with pytest.raises(LabError, match=r"here: `sh -c .*` failed \(3\): no room"):
        run("sh", "-c", "echo first >&2; echo no room >&2; exit 3", place="here")
    with pytest.raises(LabError, match="nosuchprogram is not installed"):
        run("nosuchprogram", place="here")
    with pytest.raises(LabError, match=r"had not ended after 0.1 s"):
        run("sleep", "5", place="here", seconds=0.1)


def test_tasks_run_together_all_end_before_a_failure_is_told() -> None:
    ended = []

    def fail() -> None:
        raise LabError("one", "failed")

    with pytest.raises(LabError, match="one: failed"):
        together([fail, lambda: ended.append("two")])
    assert ended == ["two"]
