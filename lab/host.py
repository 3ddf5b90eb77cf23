"""One host's life: its disk, its boot, its end. Its processes are those of one control group.

The disk is mounted in a mount namespace that only the host's supervisor lives in: with the host's
last process the mounts and the loop device are gone, whatever killed it.
"""

import fcntl
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from lab import packages, ssh
from lab.plan import USER, Plan
from lab.shell import LabError, run, wait_until

FS_IOC_SHUTDOWN = 0x8004587D
WITHOUT_FLUSHING = 2
POWER_OFF = signal.SIGRTMIN + 4  # systemd's signal for an orderly power-off
# Runs as root before the host exists; "$0" is its control group.
BOOT = """
set -e
echo $$ > "$0/cgroup.procs"
exec unshare --mount --propagation slave sh -e -c '
  mount -o loop "$IMAGE" "$MOUNTS/disk"
  mkdir -p "$MOUNTS/disk/upper" "$MOUNTS/disk/work"
  mount -t overlay lab -o "lowerdir=$LOWER,upperdir=$MOUNTS/disk/upper,workdir=$MOUNTS/disk/work" \
    "$MOUNTS/root"
  if ! [ -e "$MOUNTS/disk/seeded" ]; then
    cp -r --preserve=mode "$SEED/." "$MOUNTS/root/"
    chroot "$MOUNTS/root" chown -R "$LOGIN:" "/home/$LOGIN"
    sync -f "$MOUNTS/disk"
    touch "$MOUNTS/disk/seeded"
  fi
  exec "$@"' sh "$@"
"""


def cgroup_root() -> Path | None:
    """Where this machine's unified (version 2) control groups are, alone or beside version 1."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, path, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(path)
    return None


def group(plan: Plan, host: str | None = None) -> Path:
    """The control group of a host, or the lab's own around them all."""
    root = cgroup_root()
    if root is None:
        raise LabError(
            "kernel",
            "no control groups version 2 are mounted: mount them, "
            "`mount -t cgroup2 none /sys/fs/cgroup`",
        )
    return root / plan.title / host if host else root / plan.title


def processes(folder: Path) -> list[int]:
    """The numbers of all processes in a control group and below it."""
    found = []
    for path, _, _ in os.walk(folder):  # which passes over groups that end meanwhile
        try:
            found += [int(line) for line in (Path(path) / "cgroup.procs").read_text().split()]
        except OSError:
            continue
    return found


def is_init(pid: int) -> bool:
    """Whether a process is number 1 of a process namespace below this one."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
    return len(numbers) > 1 and numbers[-1] == "1"


def init(plan: Plan, host: str) -> int | None:
    """The process that is number 1 inside the host, or None when the host is off."""
    return next((pid for pid in processes(group(plan, host)) if is_init(pid)), None)


def runs(plan: Plan, host: str) -> bool:
    """Whether any process of the host is there, whole or half dead."""
    return bool(processes(group(plan, host)))


def disk_is_free(plan: Plan, host: str) -> bool:
    """Whether no loop device holds the host's disk any more."""
    image = str(plan.disk_of(host))
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if path.read_text().strip().removesuffix(" (deleted)") == image:
                return False
        except OSError:
            continue  # a device that was freed meanwhile
    return True


def _image_size(plan: Plan, host: str) -> int:
    # ext4 keeps 2 to 4 % and its journal for itself: add them, so that `df` shows what was asked.
    return int(plan.machine(host).disk * 1.04) + 64 * 2**20


def disk_fits(plan: Plan, host: str) -> bool:
    """Whether the host's disk has the size that the inventory gives it now."""
    return plan.disk_of(host).stat().st_size == _image_size(plan, host)


def make_disk(plan: Plan, host: str) -> None:
    """Make a host's disk: a sparse file with ext4 on it, of at least the size promised."""
    image = plan.disk_of(host)
    if image.exists():
        return
    image.parent.mkdir(parents=True, exist_ok=True)
    unfinished = image.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with unfinished.open("wb") as file:
        file.truncate(_image_size(plan, host))
    run(
        "mkfs.ext4",
        "-q",
        "-F",
        "-E",
        "lazy_itable_init=1,lazy_journal_init=1",
        unfinished,
        place=host,
    )
    unfinished.rename(image)


def _make_group(plan: Plan, host: str) -> None:
    own, lab = group(plan, host), group(plan)
    own.mkdir(parents=True, exist_ok=True)
    for controller in (lab / "cgroup.controllers").read_text().split():
        if controller in ("cpu", "io", "memory", "pids"):
            # Where the machine cannot give a host its limits, deploy and verify find that out.
            with suppress(OSError):
                (lab / "cgroup.subtree_control").write_text(f"+{controller}")


def start(plan: Plan, host: str, base: Path) -> None:
    """Boot a host whose disk and network are ready; returns at once."""
    mounts = plan.state / host
    for folder in ("disk", "root"):
        (mounts / folder).mkdir(parents=True, exist_ok=True)
    _make_group(plan, host)
    environment = {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "IMAGE": str(plan.disk_of(host)),
        "MOUNTS": str(mounts),
        "LOWER": f"{base}:{packages.layer(plan)}",
        "SEED": str(ssh.seed(plan, plan.machine(host))),
        "LOGIN": USER,
        # The same control groups inside on every machine, and net.* of /proc/sys to be set.
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        "SYSTEMD_NSPAWN_LOCK": "0",  # it would leave lock files behind; the lab has its own
    }
    with plan.console_of(host).open("ab") as console:
        subprocess.run(
            [
                "setsid", "--fork", "sh", "-c", BOOT, str(group(plan, host)),
                "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
                f"--directory={mounts / 'root'}", f"--machine={plan.title_of(host)}",
                f"--hostname={host}", "--capability=CAP_NET_ADMIN",
                f"--network-namespace-path=/run/netns/{plan.title_of(host)}",
                "--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
            ],
            env=environment, stdin=subprocess.DEVNULL, stdout=console, stderr=console, check=True,
        )  # fmt: skip


def last_words(plan: Plan, host: str) -> str:
    """The last line on a host's console, for a message about its death."""
    try:
        lines = plan.console_of(host).read_text(errors="replace").strip().splitlines()
    except OSError:
        return "no console log"
    return lines[-1].strip() if lines else "no console output"


def cut_disk(plan: Plan, host: str) -> None:
    """Make the disk stop dead: what was not flushed to it by now is lost, as in a power cut."""
    for pid in processes(group(plan, host)):
        disk = Path(f"/proc/{pid}/root{plan.state}/{host}/disk")
        if (disk / "upper").is_dir():
            fd = os.open(disk, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.ioctl(fd, FS_IOC_SHUTDOWN, WITHOUT_FLUSHING.to_bytes(4, "little"))
            finally:
                os.close(fd)
            return
    raise LabError(host, "its power cannot be cut: it is not running")


def end(plan: Plan, host: str) -> None:
    """Kill a host's process number 1, and with it every process inside, in an instant."""
    pid = init(plan, host)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def ask_to_power_off(plan: Plan, host: str) -> None:
    pid = init(plan, host)
    if pid is not None:
        os.kill(pid, POWER_OFF)


def wait_until_gone(plan: Plan, host: str, seconds: float) -> None:
    """Wait for the last process and for the disk; then sweep the host's control group away."""
    place = f"lab {plan.name}: {host}"
    wait_until(lambda: not runs(plan, host), seconds, place, "its processes did not end")
    wait_until(lambda: disk_is_free(plan, host), 20, place, "its disk was not let go")
    remove_group(group(plan, host))


def remove_group(folder: Path) -> None:
    """Remove an empty control group with all below it; nothing happens where there is none."""
    if not folder.exists():
        return
    for path, _, _ in os.walk(folder, topdown=False):
        Path(path).rmdir()


def freeze(plan: Plan, host: str, frozen: bool) -> None:
    """Stop all processes inside a host, or let them go on; its supervisor is not among them."""
    inside = group(plan, host) / "payload"
    (inside / "cgroup.freeze").write_text("1" if frozen else "0")
    wait_until(
        lambda: is_frozen(plan, host) == frozen,
        10,
        f"lab {plan.name}: {host}",
        "its processes did not all " + ("stop" if frozen else "go on"),
    )


def is_frozen(plan: Plan, host: str) -> bool:
    """Whether all processes inside a host stand still."""
    events = group(plan, host) / "payload" / "cgroup.events"
    return events.exists() and "frozen 1" in events.read_text()


def kill_group(plan: Plan, host: str | None = None) -> None:
    """Kill whatever is left of a host, or of the lab, without asking what it is."""
    folder = group(plan, host)
    if folder.exists():
        (folder / "cgroup.kill").write_text("1")


def sweep(plan: Plan) -> None:
    """Remove what a supervisor that was killed leaves in systemd-nspawn's own folders."""
    for folder in (Path("/run/systemd/nspawn/propagate"), Path("/run/systemd/nspawn/unix-export")):
        for path in folder.glob(f"{plan.name}-*"):
            path.rmdir()
