"""The lab's network: a bridge in a namespace of its own, a cable to each host, one way out.

Only the hosts have a way out, and only for packages: DNS, HTTP and HTTPS. What runs in the
controller's namespace has none. This machine's own network sees one link and one nftables table;
it has no route to the hosts.
"""

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
    return (NAMESPACES / namespace).exists()


def answers(namespace: str, address: str, port: int) -> bool:
    """Whether a server speaks first on that port, as sshd does, seen from that namespace."""
    try:
        with inside(namespace), socket.create_connection((address, port), timeout=1) as connection:
            connection.settimeout(2)
            return bool(connection.recv(1))
    except OSError:
        return False


def _ip(namespace: str, *lines: str, check: bool = True) -> str:
    command = command_in(namespace, "ip", "-batch", "-")
    return run(*command, place=namespace, stdin="\n".join(lines) + "\n", check=check)


def _nft(namespace: str | None, rules: str) -> None:
    command = command_in(namespace, "nft", "-f", "-") if namespace else ["nft", "-f", "-"]
    run(*command, place=namespace or "nftables", stdin=rules)


def build(plan: Plan) -> None:
    """Make the controller's namespace and the way out; what is there already is left alone."""
    lab = plan.title
    if not exists(lab):
        run("ip", "netns", "add", lab, place=lab)
    links = {link["ifname"] for link in json.loads(_links(lab))}
    if "bridge" not in links:
        _ip(
            lab,
            "link set lo up",
            "link add bridge type bridge forward_delay 0",
            f"address add {plan.controller}/24 dev bridge",
            "link set bridge up",
        )
    if "uplink" not in links:
        _build_way_out(plan)


def _links(namespace: str) -> str:
    return run(*command_in(namespace, "ip", "-j", "link", "show"), place=namespace) or "[]"


def _build_way_out(plan: Plan) -> None:
    lab, uplink = plan.title, plan.uplink
    outside, within = plan.uplink_addresses
    taken = run("ip", "-o", "-4", "address", "show", "to", f"{outside}/30", place=lab)
    if taken:
        raise LabError(
            f"lab {plan.name}",
            f"{outside} is in use on {taken.split()[1]}: another lab has the network "
            f"{plan.network}; give this one other addresses",
        )
    run("ip", "link", "add", uplink, "type", "veth", "peer", "name", "uplink", "netns", lab,
        place=lab)
    run("ip", "address", "add", f"{outside}/30", "dev", uplink, place=lab)
    run("ip", "link", "set", uplink, "up", place=lab)
    _ip(
        lab,
        f"address add {within}/30 dev uplink",
        "link set uplink up",
        f"route add default via {outside}",
    )
    forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    run(*command_in(lab, "sh", "-c", forward), place=lab)
    hosts = ", ".join(str(machine.address) for machine in plan.machines)
    _nft(lab, f"""
        table ip {lab}
        delete table ip {lab}
        table ip {lab} {{
          chain forward {{
            type filter hook forward priority filter
            iifname "uplink" ct state established,related accept
            iifname "uplink" drop
            oifname "uplink" ip saddr {{ {hosts} }} tcp dport {{ 53, 80, 443 }} accept
            oifname "uplink" ip saddr {{ {hosts} }} udp dport 53 accept
            oifname "uplink" drop
          }}
          chain output {{
            type filter hook output priority filter
            oifname "uplink" drop
          }}
          chain postrouting {{
            type nat hook postrouting priority srcnat
            oifname "uplink" masquerade
          }}
        }}""")
    _nft(None, f"""
        table ip {lab}
        delete table ip {lab}
        table ip {lab} {{
          chain forward {{
            type filter hook forward priority filter
            oifname "{uplink}" ct state established,related accept
            oifname "{uplink}" drop
          }}
          chain input {{
            type filter hook input priority filter
            iifname "{uplink}" tcp dport 53 accept
            iifname "{uplink}" udp dport 53 accept
            iifname "{uplink}" drop
          }}
          chain postrouting {{
            type nat hook postrouting priority srcnat
            ip saddr {within} oifname != "{uplink}" masquerade
          }}
        }}""")
    _forwarding(uplink).write_text("1")
    _allow_forwarding(plan)


def _forwarding(link: str) -> Path:
    return Path("/proc/sys/net/ipv4/conf") / link / "forwarding"


def _allow_forwarding(plan: Plan) -> None:
    """Let answers in through this machine's own links; note which of them did not do so before."""
    notes = plan.state / "forwarding"
    notes.mkdir(parents=True, exist_ok=True)
    for link in _ways_out():
        others = Path("/run").glob(f"*-lab/forwarding/{link}")
        if _forwarding(link).read_text().strip() == "0" or any(others):
            (notes / link).touch()
        _forwarding(link).write_text("1")


def _restore_forwarding(plan: Plan) -> None:
    """Undo it, unless another lab still needs it."""
    for note in (plan.state / "forwarding").glob("*"):
        note.unlink()
        others = Path("/run").glob(f"*-lab/forwarding/{note.name}")
        if not any(others) and _forwarding(note.name).exists():
            _forwarding(note.name).write_text("0")


def _ways_out() -> list[str]:
    routes = json.loads(run("ip", "-j", "route", "show", "default", place="network") or "[]")
    return sorted({route["dev"] for route in routes if "dev" in route})


def mtu_out() -> int:
    """The smallest packet size of this machine's own ways out, in bytes."""
    sizes = [int(Path(f"/sys/class/net/{link}/mtu").read_text()) for link in _ways_out()]
    return min([1500, *sizes])


def plug_in(plan: Plan, machine: Machine) -> None:
    """Give a host a fresh namespace with an address: what a fault left in the old one is gone."""
    lab, own = plan.title, plan.title_of(machine.name)
    unplug(plan, machine.name)
    run("ip", "netns", "add", own, place=own)
    # A fixed hardware address: the other hosts' tables still fit after a reboot.
    mac = "02:53:" + ":".join(f"{byte:02x}" for byte in machine.address.packed)
    _ip(
        lab,
        f"link add {machine.name} type veth peer name eth0 address {mac} netns {own}",
        f"link set {machine.name} master bridge up",
    )
    _ip(
        own,
        "link set lo up",
        f"address add {machine.address}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {plan.controller} mtu {mtu_out()}",
    )


def unplug(plan: Plan, host: str) -> None:
    """Take a host's cable and namespace away; nothing happens where there is none."""
    if exists(plan.title):
        _ip(plan.title, f"link delete {host}", check=False)
    if exists(plan.title_of(host)):
        run("ip", "netns", "delete", plan.title_of(host), place=plan.title_of(host))


def set_link(plan: Plan, host: str, up: bool) -> None:
    """Connect or disconnect a host's cable at the bridge's end, where the host cannot see why."""
    _ip(plan.title, f"link set {host} {'up' if up else 'down'}")


def link_is_up(plan: Plan, host: str) -> bool:
    shown = run(*command_in(plan.title, "ip", "-j", "link", "show", host), place=host, check=False)
    return bool(shown.strip()) and "UP" in json.loads(shown)[0]["flags"]


def remove(plan: Plan) -> None:
    """Take away every namespace, link and rule that bears the lab's name."""
    if exists(plan.title):
        for link in json.loads(_links(plan.title)):
            if link["ifname"] != "lo":
                _ip(plan.title, f"link delete {link['ifname']}", check=False)
    for path in NAMESPACES.glob(f"{plan.name}-*"):
        run("ip", "netns", "delete", path.name, place=path.name)
    if Path(f"/sys/class/net/{plan.uplink}").exists():
        run("ip", "link", "delete", plan.uplink, place=plan.uplink)
    _nft(None, f"table ip {plan.title}\ndelete table ip {plan.title}\n")
    _restore_forwarding(plan)
