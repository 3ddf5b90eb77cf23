"""The lab's network: a bridge in a namespace of its own, and a cable to each host's namespace."""

import ctypes
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.plan import Machine, Plan
from lab.shell import LabError, run

NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def enter(lab: str) -> None:
    """Move the calling thread, and all that it starts, into the controller's namespace of a lab.

    Call it before any other thread exists. LabError if the lab is not up or the caller not root.
    """
    try:
        fd = os.open(NAMESPACES / f"{lab}-lab", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise LabError(f"lab {lab}", "is not up: bring it up with `make lab-up`") from None
    try:
        _setns(fd)
    except OSError as error:
        raise LabError(f"lab {lab}", f"cannot enter it ({error.strerror}): run as root") from None
    finally:
        os.close(fd)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Run a block of this thread inside a network namespace."""
    with Path("/proc/thread-self/ns/net").open() as home:
        with (NAMESPACES / namespace).open() as there:
            _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def command_in(namespace: str, *command: str) -> list[str]:
    """`ip netns exec` would copy the mount table and pin every disk: this only changes the net."""
    return ["nsenter", f"--net={NAMESPACES / namespace}", "--", *command]


def exists(namespace: str) -> bool:
    """Whether a network namespace of that name is there, whole."""
    try:
        return (NAMESPACES / namespace).stat().st_dev != NAMESPACES.stat().st_dev
    except FileNotFoundError:
        return False


def inhabitants(namespace: str) -> list[str]:
    """The programs that live in a network namespace, as 'PID name'."""
    if not exists(namespace):
        return []
    wanted = (NAMESPACES / namespace).stat().st_ino
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns/net").stat().st_ino == wanted:
                found.append(f"{process.name} {(process / 'comm').read_text().strip()}")
        except OSError:
            continue  # it ended meanwhile
    return found


def answers(namespace: str, address: str, port: int) -> bool:
    """Whether a server speaks first on that port, as sshd does, seen from that namespace."""
    try:
        with inside(namespace), socket.create_connection((address, port), timeout=1) as connection:
            connection.settimeout(2)
            return bool(connection.recv(1))
    except OSError:
        return False


def ip(namespace: str, *lines: str, check: bool = True) -> str:
    """Run lines of the program `ip` in a network namespace."""
    command = command_in(namespace, "ip", "-batch", "-")
    return run(*command, place=namespace, stdin="\n".join(lines) + "\n", check=check)


def build(plan: Plan) -> None:
    """Make the controller's namespace and the bridge, or whatever of them is missing."""
    lab = plan.title
    if not exists(lab):
        _add(lab)
    if "bridge" not in links(lab):
        ip(lab, "link add bridge type bridge forward_delay 0")
    ip(
        lab,
        "link set lo up",
        f"address replace {plan.controller}/24 dev bridge",
        "link set bridge up",
    )


def _add(namespace: str) -> None:
    (NAMESPACES / namespace).unlink(missing_ok=True)  # the empty file of one that died half made
    run("ip", "netns", "add", namespace, place=namespace)


def links(namespace: str) -> set[str]:
    """The names of the links in a namespace."""
    shown = run(*command_in(namespace, "ip", "-j", "link", "show"), place=namespace)
    return {link["ifname"] for link in json.loads(shown or "[]")}


def plug_in(plan: Plan, machine: Machine, mtu: int) -> None:
    """Give a host a fresh namespace with an address: what a fault left in the old one is gone.

    `mtu`, in bytes, is what fits through the way out.
    """
    lab, own = plan.title, plan.title_of(machine.name)
    unplug(plan, machine.name)
    _add(own)
    # A fixed hardware address: the other hosts' tables still fit after a reboot.
    mac = "02:53:" + ":".join(f"{byte:02x}" for byte in machine.address.packed)
    ip(
        lab,
        f"link add {machine.name} type veth peer name eth0 address {mac} netns {own}",
        f"link set {machine.name} master bridge up",
    )
    ip(
        own,
        "link set lo up",
        f"address add {machine.address}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {plan.controller} mtu {mtu}",
    )


def unplug(plan: Plan, host: str) -> None:
    """Take a host's cable and namespace away; nothing happens where there is none."""
    if exists(plan.title):
        ip(plan.title, f"link delete {host}", check=False)
    if exists(plan.title_of(host)):
        run("ip", "netns", "delete", plan.title_of(host), place=plan.title_of(host))


def set_link(plan: Plan, host: str, up: bool) -> None:
    """Connect or disconnect a host's cable at the bridge's end, where the host cannot see why."""
    ip(plan.title, f"link set {host} {'up' if up else 'down'}")


def link_is_up(plan: Plan, host: str) -> bool:
    shown = run(*command_in(plan.title, "ip", "-j", "link", "show", host), place=host, check=False)
    return bool(shown.strip()) and "UP" in json.loads(shown)[0]["flags"]


def remove(plan: Plan) -> None:
    """Take away every namespace and link that bears the lab's name."""
    if exists(plan.title):
        for link in links(plan.title):
            if link != "lo":
                ip(plan.title, f"link delete {link}", check=False)
    for path in NAMESPACES.glob(f"{plan.name}-*"):
        run("ip", "netns", "delete", path.name, place=path.name)
    if NAMESPACES.is_mount() and not any(NAMESPACES.iterdir()):
        run("umount", NAMESPACES, place=str(NAMESPACES))  # `ip netns add` had mounted it
