"""The lab itself: a lab of its own beside any other, and each fault as it must look.

Needs root. Its hosts are bare; it takes some twenty seconds and leaves nothing behind, which is
its last test.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lab import host as hosts
from lab import network
from lab.machine import Lab, LabError
from lab.plan import REPOSITORY
from lab.shell import wait_until

NAME = "labcheck"
INVENTORY = """
lab: {name}
ssh: {{config: {folder}/ssh_config}}
hosts:
  one: {{address: 198.18.77.11, disk: 1GB}}
  two: {{address: 198.18.77.12, disk: 1GB}}
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")


def traces(name: str) -> list[str]:
    """Everything on this machine that bears a lab's name, anywhere a lab could leave something."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if f"{name}-" in line or f"/{name}/ssh" in line:
                found.append(f"process {process.name}: {line[:150]}")
            mounts = (process / "mounts").read_text().splitlines()
            found += [f"mount of {process.name}: {line}" for line in mounts if name in line]
    commands = (
        ["nft", "list", "ruleset"],
        ["ip", "-o", "link"],
        ["ip", "-o", "address"],
        ["ip", "route"],
        ["losetup", "--all"],
    )
    for command in commands:
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found += [f"{command[0]}: {line}" for line in shown.splitlines() if name in line]
    root = hosts.cgroup_root()
    assert root is not None
    for folder in (root, Path("/run"), Path("/run/netns"), Path("/run/systemd/nspawn/propagate")):
        if folder.exists():
            found += [str(path) for path in folder.iterdir() if path.name.startswith(f"{name}-")]
    return found


def forwarding() -> dict[str, str]:
    """Which of this machine's lasting links forward packets."""
    paths = Path("/proc/sys/net/ipv4/conf").glob("*/forwarding")
    return {path.parent.name: path.read_text() for path in paths if "-up" not in path.parent.name}


def shell(lab: Lab, host: str, command: str) -> str:
    done = subprocess.run(
        lab.ssh_command(host, command), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{host}: {command}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def forwarding_before() -> dict[str, str]:
    return forwarding()


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Under build/, so that the base image and the packages are on the same file system.
    folder = REPOSITORY / "build" / NAME
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lab.yml"
    path.write_text(INVENTORY.format(name=NAME, folder=folder))
    return path


@pytest.fixture(scope="module")
def lab(inventory: Path, forwarding_before: dict[str, str]) -> Iterator[Lab]:
    lab = Lab.load(inventory)
    lab.down()
    lab.up()
    yield lab
    lab.down()


def test_hosts_are_whole_machines_and_bare(lab: Lab) -> None:
    for host in ("one", "two"):
        assert shell(lab, host, "systemctl is-system-running") == "running"
        assert shell(lab, host, "sudo systemctl start network-online.target") == ""
        assert shell(lab, host, "systemctl is-active network-online.target") == "active"
        assert shell(lab, host, "hostname") == host
        assert shell(lab, host, "which java python3 || true") == ""
        assert shell(lab, host, "sudo id -u") == "0"
        assert shell(lab, host, "ls /var/log/journal") == shell(lab, host, "cat /etc/machine-id")
    assert shell(lab, "one", "cat /etc/machine-id") != shell(lab, "two", "cat /etc/machine-id")
    size = int(shell(lab, "one", "df --output=size -B1 /var/lib | tail -1"))
    assert 10**9 <= size < 1.1 * 10**9


def test_hosts_know_each_other_by_name_and_themselves_by_their_own_address(lab: Lab) -> None:
    assert shell(lab, "one", "getent hosts one two").split() == [
        "198.18.77.11", "one", "198.18.77.12", "two",
    ]  # fmt: skip
    assert "1 received" in shell(lab, "one", "sudo ping -c1 -W2 two")


def test_up_again_leaves_running_hosts_alone_and_boots_the_dead(lab: Lab) -> None:
    boot = shell(lab, "one", "cat /proc/sys/kernel/random/boot_id")
    lab.kill("two")
    lab.up()
    assert shell(lab, "one", "cat /proc/sys/kernel/random/boot_id") == boot
    assert [status.state for status in lab.status()] == ["running", "running"]


def test_a_host_with_another_key_is_refused(lab: Lab) -> None:
    known = lab.plan.folder / "known_hosts"
    right = known.read_text()
    one, two = (line.split()[2] for line in right.splitlines())
    known.write_text(right.replace(one, "-").replace(two, one).replace("-\n", f"{two}\n"))
    try:
        command = lab.ssh_command("one", "true")
        command[6:6] = ["-o", "ControlPath=none"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    finally:
        known.write_text(right)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_only_hosts_have_a_way_out_and_only_for_packages(lab: Lab) -> None:
    outside, _ = lab.plan.uplink_addresses
    with socket.create_server((str(outside), 53)), socket.create_server((str(outside), 9092)):
        bash = "timeout 2 bash -c ': < /dev/tcp/{}/{}'"
        assert shell(lab, "one", bash.format(outside, 53)) == ""
        assert shell(lab, "one", bash.format(outside, 9092) + " || echo no") == "no"
        inside = lab.command("sh", "-c", bash.format(outside, 53))
        assert subprocess.run(inside, capture_output=True, check=False).returncode != 0
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert "198.18.77." not in routes, "this machine's own network must not know the hosts"


def test_packages_pass_a_firewall_that_drops_what_it_does_not_know(lab: Lab) -> None:
    """As Docker's does; here one that drops this lab's packets alone, to disturb nobody."""
    firewall = f"""
        table ip check_firewall {{
          chain forward {{
            type filter hook forward priority filter
            iifname "{lab.plan.uplink}" drop
            oifname "{lab.plan.uplink}" drop
          }}
        }}"""
    subprocess.run(["nft", "-f", "-"], input=firewall, text=True, check=True)
    try:
        lab.up()
        listed = subprocess.run(
            ["nft", "list", "chain", "ip", "check_firewall", "forward"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        ours = [line for line in listed.splitlines() if f'comment "{lab.plan.title}"' in line]
        assert len(ours) == 2, listed
        assert listed.index(ours[-1]) < listed.index("drop"), listed
    finally:
        subprocess.run(["nft", "delete", "table", "ip", "check_firewall"], check=True)


def test_a_killed_host_is_silent_and_keeps_what_was_written(lab: Lab) -> None:
    """Its peers must find out for themselves: no reset comes, as from a machine that is gone."""
    shell(lab, "two", "sudo sh -c 'echo written > /root/written'")
    with network.inside(lab.plan.title):
        peer = socket.create_connection(("198.18.77.12", 22), timeout=5)
    peer.recv(100)
    peer.settimeout(1)
    lab.kill("two")
    peer.sendall(b"SSH-2.0-a_peer_that_goes_on_talking\r\n")
    with pytest.raises(TimeoutError):
        peer.recv(100)
    peer.close()
    with pytest.raises(LabError, match="two: is not running"):
        lab.kill("two")
    lab.boot("two")
    assert shell(lab, "two", "sudo cat /root/written") == "written"


def test_a_power_cut_loses_what_was_not_flushed_and_keeps_what_was(lab: Lab) -> None:
    for host in ("one", "two"):
        shell(
            lab,
            host,
            "sudo sh -c 'echo kept > /root/flushed; sync -f /root; echo lost > /root/unflushed'",
        )
    lab.cut("one", "two")
    assert [status.state for status in lab.status()] == ["off", "off"]
    lab.up()
    for host in ("one", "two"):
        assert shell(lab, host, "sudo cat /root/flushed") == "kept"
        assert shell(lab, host, "sudo ls /root/unflushed 2>/dev/null || echo lost") == "lost"
        assert shell(lab, host, "systemctl is-system-running") == "running"


def test_power_off_is_orderly_and_reboot_brings_the_host_back(lab: Lab) -> None:
    unit = "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStop=touch /root/stopped\\n"
    shell(
        lab,
        "one",
        f"printf '{unit}' | sudo tee /run/systemd/system/mark.service >/dev/null && "
        "sudo systemctl daemon-reload && sudo systemctl start mark",
    )
    lab.reboot("one")
    assert shell(lab, "one", "sudo ls /root/stopped") == "/root/stopped"


def test_a_frozen_host_does_nothing_until_it_is_thawed(lab: Lab) -> None:
    shell(lab, "one", "nohup sh -c 'while :; do date +%s%N > /tmp/beat; sleep 0.05; done' "
          ">/dev/null 2>&1 &")  # fmt: skip
    pid = hosts.init(lab.plan, "one")
    beat = Path(f"/proc/{pid}/root/tmp/beat")
    wait_until(beat.exists, 5, "one", "the heart does not beat")
    lab.freeze("one")
    assert lab.status()[0].state == "frozen"
    before = beat.read_text()
    time.sleep(0.3)
    assert beat.read_text() == before
    with pytest.raises(LabError, match="one: is frozen: thaw it first"):
        lab.power_off("one")
    lab.thaw("one")
    wait_until(lambda: beat.read_text() != before, 5, "one", "the heart does not beat again")


def test_a_pulled_cable_cuts_a_host_off_until_it_is_back(lab: Lab) -> None:
    lab.link_down("two")
    assert not network.answers(lab.plan.title, "198.18.77.12", 22)
    assert lab.status()[1].link == "down"
    lab.link_up("two")
    # Neighbours may have to be asked for its address first.
    wait_until(
        lambda: network.answers(lab.plan.title, "198.18.77.12", 22), 10, "two", "no answer again"
    )


def test_a_host_whose_supervisor_died_is_repaired(lab: Lab) -> None:
    """The host runs on without it: a second start beside it would destroy the disk."""
    supervisor = hosts.group(lab.plan, "one") / "supervisor" / "cgroup.procs"
    os.kill(int(supervisor.read_text()), signal.SIGKILL)
    lab.up()
    lab.kill("one")
    lab.boot("one")
    assert shell(lab, "one", "systemctl is-system-running") == "running"


def test_two_commands_at_once_do_not_meet(lab: Lab) -> None:
    refused: list[LabError] = []

    def boot() -> None:
        try:
            lab.boot("one")
        except LabError as error:
            refused.append(error)

    lab.kill("one")
    threads = [threading.Thread(target=boot) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert shell(lab, "one", "systemctl is-system-running") == "running"
    inits = [pid for pid in hosts.processes(hosts.group(lab.plan, "one")) if hosts.is_init(pid)]
    assert len(inits) == 1
    assert all("another command" in str(error) for error in refused)


def test_a_second_lab_on_the_same_addresses_is_refused(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(INVENTORY.format(name="labcheckb", folder=tmp_path / "build"))
    second = Lab.load(path)
    with pytest.raises(LabError, match=r"another lab has the network 198\.18\.77\.0/24"):
        second.up()
    second.down()
    assert traces("labcheckb") == []
    assert shell(lab, "one", "systemctl is-system-running") == "running"


def test_a_folder_of_another_lab_is_refused(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(INVENTORY.format(name="labcheckb", folder=lab.plan.folder))
    with pytest.raises(LabError, match="belongs to the lab labcheck: name another"):
        Lab.load(path).up()


@pytest.mark.parametrize("seconds", [0.15, 0.3, 0.5, 0.8, 1.2])
def test_down_leaves_nothing_behind_after_a_crash_half_way(
    lab: Lab, inventory: Path, forwarding_before: dict[str, str], seconds: float
) -> None:
    lab.down()
    command = [sys.executable, "-m", "lab", "--inventory", str(inventory), "up"]
    up = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    time.sleep(seconds)
    up.kill()
    up.wait()
    lab.down()
    assert traces(NAME) == []
    assert not list((lab.plan.folder / "disks").glob("*"))


def test_up_goes_on_where_a_crash_left_it(lab: Lab, inventory: Path) -> None:
    command = [sys.executable, "-m", "lab", "--inventory", str(inventory), "up"]
    for seconds in (0.2, 0.45, 0.7):
        up = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        up.kill()
        up.wait()
    lab.up()
    assert [status.state for status in lab.status()] == ["running", "running"]


def test_down_leaves_nothing_behind(lab: Lab, forwarding_before: dict[str, str]) -> None:
    lab.up()
    assert traces(NAME), "the check itself must see a lab that is up"
    lab.down()
    assert traces(NAME) == []
    assert forwarding() == forwarding_before
    lab.down()  # twice is fine
