"""The lab as programs use it: `Lab.load("inventory/lab.yml").up()`, then hosts by name."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab import host as hosts
from lab import image, network, packages, require, ssh, status, uplink
from lab import plan as plans
from lab.network import enter
from lab.shell import LabError, run, together, wait_until
from lab.status import HostStatus

__all__ = ["HostStatus", "Lab", "LabError", "enter"]


def _silent(_: str) -> None:
    """Say nothing: what a program that uses the lab hears by default."""


@dataclass(frozen=True)
class Lab:
    """A lab on this machine. Every method raises LabError, with one line of what and what to do."""

    plan: plans.Plan
    say: Callable[[str], None] = _silent

    @classmethod
    def load(
        cls, inventory: str | Path = "inventory/lab.yml", say: Callable[[str], None] = _silent
    ) -> "Lab":
        """The lab that an inventory names; `say` is called with a line for each step."""
        return cls(plans.load(inventory), say)

    # --- the whole lab ---

    def up(self, suite: str | None = None) -> None:
        """Bring every host up, bare if it is new; hosts that run are left alone.

        `suite` is bookworm or trixie (default: $SUITE, then what the hosts are, then bookworm).
        """
        require.everything(self.plan)
        wanted = suite or os.environ.get("SUITE")
        if wanted not in (None, *image.SUITES):
            raise LabError(
                "SUITE", f"must be {' or '.join(image.SUITES)}, is {wanted!r}", usage=True
            )
        with self._alone():
            self._own_folder()
            base = self._base(wanted)
            ssh.prepare(self.plan)
            ssh.sockets(self.plan).mkdir(parents=True, exist_ok=True)
            network.build(self.plan)
            uplink.build(self.plan)
            names = [machine.name for machine in self.plan.machines]
            together([partial(self._ensure_running, name, base) for name in names])
            self._look_for_packages(base)

    def down(self) -> None:
        """End every host and take away all that the lab made, disks included; keep the images.

        Works from names alone: after a crash, or with hosts that the inventory no longer has.
        """
        require.linux_and_root()
        with self._alone():
            ssh.hang_up(self.plan)
            group = hosts.group(self.plan)
            names = (
                [path.name for path in group.iterdir() if path.is_dir()] if group.exists() else []
            )
            self._keep_packages(names)
            for name in names:
                hosts.end(self.plan, name)
            hosts.kill_group(self.plan)
            together([partial(hosts.wait_until_gone, self.plan, name, 20) for name in names])
            hosts.remove_group(group)
            for program in network.inhabitants(self.plan.title):
                self.say(f"process {program} still lives in the network that is now gone")
            network.remove(self.plan)
            uplink.remove(self.plan)
            for folder in ("disks", "seeds", "packages"):
                shutil.rmtree(self.plan.folder / folder, ignore_errors=True)
            (self.plan.folder / "base").unlink(missing_ok=True)
            shutil.rmtree(self.plan.state, ignore_errors=True)
            hosts.sweep(self.plan)

    def status(self) -> list[HostStatus]:
        """What each host of the inventory is like, in its order."""
        require.linux_and_root()
        return [status.of(self.plan, machine) for machine in self.plan.machines]

    # --- one host ---

    def boot(self, name: str) -> None:
        """Switch a host on and wait until it can be logged in to."""
        self.plan.machine(name)
        require.everything(self.plan)
        if not network.exists(self.plan.title):
            raise LabError(f"lab {self.plan.name}", "is not up: bring it up first")
        self._ensure_running(name, self._recorded_base())

    def check(self) -> None:
        """LabError naming what this machine lacks for a lab."""
        require.everything(self.plan)

    def power_off(self, name: str, seconds: float = 120) -> None:
        """Switch a host off in order, and wait until it is off."""
        self._running(name)
        if hosts.is_frozen(self.plan, name):
            raise LabError(f"lab {self.plan.name}: {name}", "is frozen: thaw it first")
        hosts.ask_to_power_off(self.plan, name)
        hosts.wait_until_gone(self.plan, name, seconds)
        ssh.hang_up(self.plan, name)

    def reboot(self, name: str) -> None:
        """Switch a host off in order and on again."""
        self.power_off(name)
        self.boot(name)

    def kill(self, *names: str) -> None:
        """Let hosts die silently: their links go down first, so that no connection is reset.

        What they had written and not flushed survives, as it does in a crash of all processes.
        """
        for name in names:
            self._running(name)
        for name in names:
            network.set_link(self.plan, name, up=False)
        for name in names:
            hosts.end(self.plan, name)
        self._bury(names)

    def cut(self, *names: str) -> None:
        """Cut the power of hosts at once: silent, and what was not flushed to disk is lost."""
        for name in names:
            self._running(name)
        for name in names:
            network.set_link(self.plan, name, up=False)
        together([partial(hosts.cut_disk, self.plan, name) for name in names])
        for name in names:
            hosts.end(self.plan, name)
        self._bury(names)

    def freeze(self, name: str) -> None:
        """Stop every process of a host where it stands; the kernel's side still answers."""
        self._running(name)
        hosts.freeze(self.plan, name, True)

    def thaw(self, name: str) -> None:
        """Let a frozen host go on."""
        self._running(name)
        hosts.freeze(self.plan, name, False)

    def link_down(self, name: str) -> None:
        """Pull a host's cable: nothing reaches it and nothing comes from it."""
        self._running(name)
        network.set_link(self.plan, name, up=False)

    def link_up(self, name: str) -> None:
        """Put a host's cable back."""
        self._running(name)
        network.set_link(self.plan, name, up=True)

    def ssh(self, name: str, command: Sequence[str] = ()) -> int:
        """Run a command on a host as the lab's user, or open a shell; return its exit code."""
        self._running(name)
        return subprocess.run(self.ssh_command(name, *command), check=False).returncode

    def ssh_command(self, name: str, *command: str) -> list[str]:
        """The program and arguments that run a command on a host over SSH."""
        return self.command("ssh", "-F", str(self.plan.folder / "ssh_config"), name, *command)

    def command(self, *command: str) -> list[str]:
        """The program and arguments that run a command in the controller's namespace."""
        if not network.exists(self.plan.title):
            raise LabError(f"lab {self.plan.name}", "is not up: bring it up first")
        return network.command_in(self.plan.title, *command)

    # --- how ---

    def _alone(self) -> AbstractContextManager[int]:
        return image.alone(self.plan.folder, f"lab {self.plan.name}", self.say, wait=False)

    def _own_folder(self) -> None:
        owner = self.plan.folder / "lab"
        if owner.exists() and owner.read_text().strip() != self.plan.name:
            raise LabError(
                str(self.plan.folder),
                f"belongs to the lab {owner.read_text().strip()}: name another `ssh.config`",
                usage=True,
            )
        owner.write_text(f"{self.plan.name}\n")

    def _base(self, suite: str | None) -> Path:
        """The image the hosts are built on: the one their disks began with, while there are any."""
        record = self.plan.folder / "base"
        if record.exists():
            base = self._recorded_base()
            own = image.suite_of(base)
            if suite not in (None, own):
                raise LabError(
                    f"lab {self.plan.name}",
                    f"its hosts are {own}, not {suite}: say SUITE={own}, or take it down first",
                )
            return base
        base = image.base(suite or image.SUITES[0], hosts.group(self.plan, "image"), self.say)
        packages.lay(self.plan, image.suite_of(base))
        record.write_text(f"{base}\n")
        return base

    def _recorded_base(self) -> Path:
        base = Path((self.plan.folder / "base").read_text().strip())
        if not base.exists():
            raise LabError(
                str(base),
                "the image that the hosts' disks are built on is gone: "
                "take the lab down and up again",
            )
        return base

    def _keep_packages(self, names: Sequence[str]) -> None:
        record = self.plan.folder / "base"
        inits = [hosts.init(self.plan, name) for name in names]
        if record.exists():
            suite = image.suite_of(Path(record.read_text().strip()))
            packages.keep(suite, [Path(f"/proc/{pid}/root") for pid in inits if pid])

    def _look_for_packages(self, base: Path) -> None:
        """Say so where a deploy would fail for want of packages."""
        mirror, port = image.mirror_of(base)
        probe = f"timeout 5 bash -c ': < /dev/tcp/{mirror}/{port}'"
        command = self.ssh_command(self.plan.machines[0].name, probe)
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            self.say(
                f"warning: the hosts do not reach {mirror}:{port}, so no package can be installed: "
                "look at this machine's network and firewall"
            )

    def _ensure_running(self, name: str, base: Path) -> None:
        place = f"lab {self.plan.name}: {name}"
        machine = self.plan.machine(name)
        began = time.monotonic()
        if hosts.init(self.plan, name) is not None and network.exists(self.plan.title_of(name)):
            network.set_link(self.plan, name, up=True)
            hosts.freeze(self.plan, name, False)
        else:
            # One boot of a host at a time: two of one disk would destroy it.
            with image.alone(self.plan.state / name, place, self.say, wait=False):
                hosts.kill_group(self.plan, name)
                hosts.wait_until_gone(self.plan, name, 20)
                network.plug_in(self.plan, machine, uplink.mtu())
                hosts.make_disk(self.plan, name)
                hosts.start(self.plan, name, base)
        if not hosts.disk_fits(self.plan, name):
            self.say(
                f"{name}'s disk has another size than the inventory says: it changes when the lab "
                "is taken down and brought up again"
            )
        lab, address = self.plan.title, str(machine.address)

        def answers() -> bool:
            if not hosts.runs(self.plan, name) and time.monotonic() - began > 2:
                words = hosts.last_words(self.plan, name)
                raise LabError(place, f"died while booting, its last words: {words}")
            return network.answers(lab, address, 22)

        log = self.plan.console_of(name)
        wait_until(answers, 60, place, f"sshd does not answer (see {log})", every=0.1)
        state = run(
            *self.ssh_command(name, "systemctl is-system-running --wait"),
            place=place,
            seconds=60,
            check=False,
        ).strip()
        if state != "running":
            raise LabError(
                place,
                f"booted, but its systemd says {state or 'nothing'}: "
                f"see `systemctl --failed` there and {log}",
            )
        self.say(f"{name} {address} runs ({time.monotonic() - began:.1f} s)")

    def _running(self, name: str) -> None:
        self.plan.machine(name)
        require.linux_and_root()
        if hosts.init(self.plan, name) is None:
            raise LabError(f"lab {self.plan.name}: {name}", "is not running")

    def _bury(self, names: Sequence[str]) -> None:
        for name in names:
            hosts.wait_until_gone(self.plan, name, 20)
            ssh.hang_up(self.plan, name)
