"""What this machine must have before a lab can be made: the first thing missing, and what to do."""

import os
import shutil
import sys
from pathlib import Path

from lab.host import cgroup_root
from lab.plan import Plan
from lab.shell import LabError

# Program: the Debian or Ubuntu package that brings it.
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nft": "nftables",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "losetup": "mount",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "apt-config": "apt",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
IMAGE_BYTES = 600 * 10**6
HOST_BYTES = 10**9  # what a host writes once it is deployed to; its disk is sparse


def linux_and_root() -> None:
    """LabError unless this is Linux and the caller is root."""
    if sys.platform != "linux":
        raise LabError(
            "lab",
            f"needs Linux, this is {sys.platform}: use a Debian or Ubuntu "
            "machine, or a virtual one",
        )
    if os.geteuid() != 0:
        raise LabError("lab", "needs root, for its hosts' disks and networks: use sudo")


def everything(plan: Plan) -> None:
    """LabError naming the first thing that a lab needs and this machine lacks."""
    linux_and_root()
    programs()
    kernel()
    room(plan)


def programs() -> None:
    lacking = {name: package for name, package in PROGRAMS.items() if not shutil.which(name)}
    if not KEYRING.exists():
        lacking[KEYRING.name] = "debian-archive-keyring"
    if lacking:
        names = ", ".join(lacking)
        packages = " ".join(sorted(set(lacking.values())))
        raise LabError("lab", f"lacks {names}: `apt-get install {packages}`")


def kernel() -> None:
    if cgroup_root() is None:
        raise LabError(
            "lab",
            "needs control groups version 2, and none are mounted: use a "
            "machine with systemd, or mount them on /sys/fs/cgroup/unified",
        )
    if not Path("/proc/self/ns/net").exists():
        raise LabError("lab", "needs network namespaces, which this kernel lacks")
    if not Path("/dev/loop-control").exists():
        raise LabError("lab", "needs loop devices: `modprobe loop`, or a kernel that has them")
    filesystems = Path("/proc/filesystems").read_text().split()
    for name in ("overlay", "ext4"):
        module = any(Path(f"/lib/modules/{os.uname().release}").glob(f"kernel/fs/*/{name}.ko*"))
        if name not in filesystems and not module:
            raise LabError("lab", f"needs the file system {name}, which this kernel lacks")


def room(plan: Plan) -> None:
    new = [machine for machine in plan.machines if not plan.disk_of(machine.name).exists()]
    needed = IMAGE_BYTES + HOST_BYTES * len(new) if new else 0
    folder = plan.folder
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LabError(
            str(plan.folder),
            f"{free / 1e9:.1f} GB are free and {needed / 1e9:.1f} GB are needed: make room",
        )
