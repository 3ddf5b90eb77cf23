"""What the lab is to be: its machines, read from the inventory, and every name derived from it."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.shell import LabError

REPOSITORY = Path(__file__).resolve().parent.parent
CACHE = REPOSITORY / "build" / "cache"
USER = "ops"
DEFAULT_DISK = "4GB"
RESERVED = ("lab", "image", "ssh", "forwarding", "bridge", "uplink", "lo", "all", "default")
# RFC 2544 sets 198.18.0.0/15 aside for test networks, so it is nobody's. The hosts live in its
# first half; the second holds the pairs of addresses that lead from a lab to this machine.
HOSTS_NETWORK = ipaddress.IPv4Network("198.18.0.0/16")
UNITS = {"": 1, "MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class Machine:
    """One host: its name, its address, the size in bytes of the file system on its disk."""

    name: str
    address: ipaddress.IPv4Address
    disk: int


@dataclass(frozen=True)
class Plan:
    """A lab. Every name on this machine begins with the lab's, so nothing need be remembered."""

    name: str
    machines: tuple[Machine, ...]
    folder: Path  # keys, ssh_config, disks and consoles of this lab
    source: str  # the inventory, as the user named it

    @property
    def title(self) -> str:
        """The name of all that the lab has once: namespace, control group, nftables table."""
        return f"{self.name}-lab"

    @property
    def state(self) -> Path:
        """Mount points and SSH's sockets; gone when the lab is down."""
        return Path("/run") / self.title

    @property
    def uplink(self) -> str:
        """The end of the cable to this machine's own network that lies outside the lab."""
        return f"{self.name}-up"

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"{self.machines[0].address}/24", strict=False)

    @property
    def controller(self) -> ipaddress.IPv4Address:
        return self.network[1]

    @property
    def uplink_addresses(self) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
        """The cable's two ends: this machine's, the lab's."""
        third = self.network.network_address.packed[2]
        pair = ipaddress.IPv4Network(f"198.19.{third}.0/30")
        return pair[1], pair[2]

    def title_of(self, host: str) -> str:
        """The name of a host's network namespace, and of its machine."""
        return f"{self.name}-{host}"

    def disk_of(self, host: str) -> Path:
        return self.folder / "disks" / f"{host}.img"

    def console_of(self, host: str) -> Path:
        return self.folder / f"{host}.console.log"

    def machine(self, host: str) -> Machine:
        for machine in self.machines:
            if machine.name == host:
                return machine
        names = ", ".join(machine.name for machine in self.machines)
        raise LabError(host, f"is no host of the lab {self.name}: it has {names}", usage=True)


def parse_size(value: object) -> int:
    """'2GB', '512 MiB' or a plain number of bytes, as bytes; ValueError where it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", str(value).strip())
    if not match or match[2].upper() not in UNITS:
        raise ValueError(f"must be a size such as 2GB, is {value!r}")
    return int(float(match[1]) * UNITS[match[2].upper()])


def load(path: str | Path) -> Plan:
    """Read the lab out of an inventory; LabError names the first key that is wrong."""
    source = str(path)
    try:
        inventory = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise LabError(source, "no such file: name an inventory that exists", usage=True) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(source, f"cannot be read: {error}", usage=True) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "somewhere"
        problem = getattr(error, "problem", None) or "no valid YAML"
        raise LabError(source, f"is not YAML ({where}: {problem})", usage=True) from None
    if not isinstance(inventory, dict):
        raise LabError(source, "must be a YAML mapping, with `lab:` and `hosts:`", usage=True)
    return _plan(inventory, source)


def _plan(inventory: dict[str, Any], source: str) -> Plan:
    name = inventory.get("lab")
    if name is None:
        raise LabError(
            source, "has no `lab:`, so its hosts are not a lab's and are left alone", usage=True
        )
    # No hyphen, so that one lab's names never begin with another's; 15 characters for a link.
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9]{0,11}", name):
        raise LabError(
            f"{source}: lab",
            f"must be 1 to 12 lower-case letters and digits, is {name!r}",
            usage=True,
        )
    promise = inventory.get("promise")
    default = promise.get("disk") if isinstance(promise, dict) else None
    machines: list[Machine] = []
    for section in ("hosts", "witnesses", "databases"):
        entries = inventory.get(section) or {}
        if not isinstance(entries, dict):
            raise LabError(f"{source}: {section}", "must be a mapping of hosts", usage=True)
        for host, entry in entries.items():
            disk = default if section == "hosts" else None
            machine = _machine(f"{source}: {section}.{host}", str(host), entry, disk)
            for other in machines:
                if machine.name == other.name or machine.address == other.address:
                    raise LabError(
                        f"{source}: {section}.{host}",
                        f"name or address is taken by {other.name} ({other.address})",
                        usage=True,
                    )
            machines.append(machine)
    if not machines:
        raise LabError(f"{source}: hosts", "names no host", usage=True)
    ssh = inventory.get("ssh")
    config = ssh.get("config") if isinstance(ssh, dict) else None
    folder = (REPOSITORY / (str(config) if config else "build/lab/ssh_config")).parent
    plan = Plan(name, tuple(machines), folder, source)
    for machine in machines:
        if machine.address not in plan.network or machine.address.packed[3] in (0, 1, 255):
            raise LabError(
                f"{source}: {machine.name}.address",
                f"must lie in the lab's network {plan.network} and not be {plan.controller}, "
                f"the controller's, is {machine.address}",
                usage=True,
            )
    return plan


def _machine(place: str, name: str, entry: object, default_disk: object) -> Machine:
    if name in RESERVED or not re.fullmatch(r"[a-z][a-z0-9-]{0,14}", name):
        raise LabError(
            place,
            "a host's name must be 1 to 15 lower-case letters, digits and hyphens, and none of "
            + ", ".join(RESERVED),
            usage=True,
        )
    if not isinstance(entry, dict):
        raise LabError(place, "must be a mapping with an `address:`", usage=True)
    try:
        address = ipaddress.IPv4Address(str(entry.get("address")))
    except ValueError:
        raise LabError(
            f"{place}.address", f"must be an IPv4 address, is {entry.get('address')!r}", usage=True
        ) from None
    if address not in HOSTS_NETWORK:
        raise LabError(
            f"{place}.address",
            f"must lie in {HOSTS_NETWORK}, which is set aside for tests, is {address}",
            usage=True,
        )
    try:
        disk = parse_size(entry.get("disk") or default_disk or DEFAULT_DISK)
    except ValueError as error:
        raise LabError(f"{place}.disk", str(error), usage=True) from None
    if disk < 10**9:
        raise LabError(f"{place}.disk", f"must be at least 1GB, is {disk} bytes", usage=True)
    return Machine(name, address, disk)
