"""Keys, known_hosts and ssh_config of a lab: strict, and the same for every tool that connects."""

import shutil
from pathlib import Path

from lab.plan import USER, Machine, Plan
from lab.shell import run


def prepare(plan: Plan) -> None:
    """Make the lab's key, each host's own key, known_hosts and ssh_config; keys are kept."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    _key(plan.folder / "id_ed25519", f"{USER}@{plan.name}")
    keys = plan.folder / "hostkeys"
    keys.mkdir(mode=0o700, exist_ok=True)
    known = []
    for machine in plan.machines:
        public = _key(keys / machine.name, machine.name).split()
        known.append(f"{machine.name},{machine.address} {public[0]} {public[1]}\n")
    _write(plan.folder / "known_hosts", "".join(known))
    _write(plan.folder / "ssh_config", _config(plan))


def _write(path: Path, text: str) -> None:
    """At once, and only if it differs: another program may be reading the file."""
    if not path.exists() or path.read_text() != text:
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.write_text(text)
        unfinished.rename(path)


def sockets(plan: Plan) -> Path:
    """Where ssh keeps its shared connections; short, since a socket's path has 108 characters."""
    return plan.state / "ssh"


def _config(plan: Plan) -> str:
    hosts = "".join(
        f"Host {machine.name} {machine.address}\n    HostName {machine.address}\n\n"
        for machine in plan.machines
    )
    return f"""{hosts}Host *
    User {USER}
    IdentityFile {plan.folder / "id_ed25519"}
    IdentitiesOnly yes
    UserKnownHostsFile {plan.folder / "known_hosts"}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    HashKnownHosts no
    PasswordAuthentication no
    ConnectTimeout 5
    ServerAliveInterval 2
    ServerAliveCountMax 4
    LogLevel ERROR
    ControlMaster auto
    ControlPath {sockets(plan)}/%h
    ControlPersist 60
"""


def _key(path: Path, comment: str) -> str:
    """Make an ed25519 key unless it is there; return its public half."""
    public = path.with_name(path.name + ".pub")
    if not (path.exists() and public.exists()):
        path.unlink(missing_ok=True)
        run(
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            comment,
            "-f",
            path,
            place="ssh-keygen",
        )
    return public.read_text()


def seed(plan: Plan, machine: Machine) -> Path:
    """Lay out the files that make a host of the base image; return their folder."""
    root = plan.folder / "seeds" / machine.name
    if root.exists():
        shutil.rmtree(root)
    ssh = root / "etc/ssh"
    ssh.mkdir(parents=True)
    own = plan.folder / "hostkeys" / machine.name
    shutil.copyfile(own, ssh / "ssh_host_ed25519_key")
    (ssh / "ssh_host_ed25519_key").chmod(0o600)
    shutil.copyfile(own.with_name(own.name + ".pub"), ssh / "ssh_host_ed25519_key.pub")
    (root / "etc/hostname").write_text(f"{machine.name}\n")
    (root / "etc/machine-id").write_text("")  # empty: systemd makes one at the first boot
    # Never 127.0.1.1 for a host's own name: servers would listen there, where no peer hears them.
    names = "".join(f"{other.address} {other.name}\n" for other in plan.machines)
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{names}")
    home = root / "home" / USER / ".ssh"
    home.mkdir(parents=True, mode=0o700)
    shutil.copyfile(plan.folder / "id_ed25519.pub", home / "authorized_keys")
    (home / "authorized_keys").chmod(0o600)
    return root


def hang_up(plan: Plan, host: str | None = None) -> None:
    """End the shared connections to a host, or to all: after its death they would only hang."""
    if not sockets(plan).exists():
        return
    address = str(plan.machine(host).address) if host else None
    for socket in sockets(plan).iterdir():
        if address in (None, socket.name):
            run(
                "ssh",
                "-F",
                plan.folder / "ssh_config",
                "-O",
                "exit",
                socket.name,
                place=socket.name,
                seconds=5,
                check=False,
            )
            socket.unlink(missing_ok=True)
