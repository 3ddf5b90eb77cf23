"""The hosts' one way out, for packages: DNS, HTTP and HTTPS, through this machine's own network.

What runs in the controller's namespace has none. This machine sees one link and one nftables
table more, and has no route to the hosts: it knows only the lab's end of the cable between them.
"""

import json
from pathlib import Path

from lab.network import command_in, inside, ip
from lab.plan import Plan
from lab.shell import LabError, run

# In the controller's namespace: the hosts alone may leave, and only for packages.
INSIDE = """
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
}}
"""
# On this machine: nothing comes in but answers, and nothing of its own is reached but a resolver.
OUTSIDE = """
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
}}
"""


def _nft(namespace: str | None, rules: str) -> None:
    command = command_in(namespace, "nft", "-f", "-") if namespace else ["nft", "-f", "-"]
    run(*command, place=namespace or "nftables", stdin=rules)


def build(plan: Plan) -> None:
    """Make the way out, or whatever of it is missing."""
    lab, uplink = plan.title, plan.uplink
    outside, within = plan.uplink_addresses
    if not Path(f"/sys/class/net/{uplink}").exists():
        taken = run("ip", "-o", "-4", "address", "show", "to", f"{outside}/30", place=lab)
        if taken:
            raise LabError(
                f"lab {plan.name}",
                f"{outside} is in use on {taken.split()[1]}: another lab has the network "
                f"{plan.network}; give this one other addresses",
            )
        add = f"ip link add {uplink} type veth peer name uplink netns {lab}"
        run(*add.split(), place=lab)
    # No IPv6 on either end: it would be a way out of its own.
    run(*f"ip link set {uplink} addrgenmode none up".split(), place=lab)
    run(*f"ip address replace {outside}/30 dev {uplink}".split(), place=lab)
    ip(
        lab,
        f"address replace {within}/30 dev uplink",
        "link set uplink addrgenmode none up",
        f"route replace default via {outside}",
    )
    with inside(lab):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    hosts = ", ".join(str(machine.address) for machine in plan.machines)
    _nft(lab, INSIDE.format(lab=lab, hosts=hosts))
    _nft(None, OUTSIDE.format(lab=lab, uplink=uplink, within=within))
    _forwarding(uplink).write_text("1")
    _allow_forwarding(plan)
    _close_other_firewalls(plan)
    _open_other_firewalls(plan)


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


def mtu() -> int:
    """The smallest packet size of this machine's own ways out, in bytes."""
    sizes = [int(Path(f"/sys/class/net/{link}/mtu").read_text()) for link in _ways_out()]
    return min([1500, *sizes])


def remove(plan: Plan) -> None:
    """Take the link and every rule away, and set this machine's forwarding as it was."""
    if Path(f"/sys/class/net/{plan.uplink}").exists():
        run("ip", "link", "delete", plan.uplink, place=plan.uplink)
    _nft(None, f"table ip {plan.title}\ndelete table ip {plan.title}\n")
    _close_other_firewalls(plan)
    _restore_forwarding(plan)


def _other_firewalls() -> list[tuple[str, list[tuple[str, int]]]]:
    """Each forward chain of this machine's own firewalls, and its rules: (comment, handle)."""
    listed = json.loads(run("nft", "-j", "-a", "list", "ruleset", place="nftables"))["nftables"]
    found: dict[str, list[tuple[str, int]]] = {}
    for entry in listed:
        chain = entry.get("chain", {})
        if (
            chain.get("hook") == "forward"
            and chain["family"] in ("ip", "inet")
            and not chain["table"].endswith("-lab")
        ):
            found[f"{chain['family']} {chain['table']} {chain['name']}"] = []
    for entry in listed:
        rule = entry.get("rule", {})
        name = f"{rule.get('family')} {rule.get('table')} {rule.get('chain')}"
        if name in found:
            found[name].append((rule.get("comment", ""), rule["handle"]))
    return list(found.items())


def _open_other_firewalls(plan: Plan) -> None:
    """Let packages through firewalls that drop what they do not know, such as Docker's.

    One drop anywhere is final, so our own table cannot do it. The rules bear the lab's name.
    """
    for chain, _ in _other_firewalls():
        for match in (
            f'iifname "{plan.uplink}"',
            f'oifname "{plan.uplink}" ct state established,related',
        ):
            _nft(None, f'insert rule {chain} {match} accept comment "{plan.title}"\n')


def _close_other_firewalls(plan: Plan) -> None:
    for chain, rules in _other_firewalls():
        for comment, handle in rules:
            if comment == plan.title:
                _nft(None, f"delete rule {chain} handle {handle}\n")
