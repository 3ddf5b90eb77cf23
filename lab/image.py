"""The bare file system that all hosts start from, built once a suite and kept in build/cache."""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from lab.plan import CACHE, USER
from lab.shell import LabError, run

SUITES = ("bookworm", "trixie")
# Bare on purpose: what a deploy needs, it installs, as it would on anybody's machines.
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "procps", "ca-certificates",
    "sudo", "nftables", "iputils-ping",
)  # fmt: skip
# Timers that would take dpkg's lock or the disk in the middle of a drill.
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "systemd-networkd.service", "systemd-networkd.socket",
    "systemd-resolved.service", "console-getty.service", "getty@.service",
)  # fmt: skip
RECIPE = 1  # raise it when what this file makes of the same packages changes
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SETTINGS_OF_NO_USE = ("IndexTargets", "Changelogs", "CompressionTypes", "Languages", "cdrom",
                      "GzipIndexes")  # fmt: skip


def sources(texts: list[str], codename: str, suite: str) -> list[str]:
    """Return one-line apt sources for `suite`, taken from this machine's own.

    `texts` are the contents of its apt source files, of either format; `codename` is its own
    suite. Only Debian's sources are taken (its suites, its component main, its key), so that a
    local mirror is used and a third party's repository is not. None: what mmdebstrap knows.
    """
    own = {codename, f"{codename}-updates", f"{codename}-security"}
    lines: list[str] = []
    for text in texts:
        for kinds, uris, suites, components, key in _entries(text):
            if "deb" not in kinds or "main" not in components or (key and "debian" not in key):
                continue
            for uri in uris:
                for name in suites:
                    if name not in own or "debian" not in urlsplit(uri).path:
                        continue
                    signed = KEYRING if not key or "debian-archive-keyring" in key else key
                    target = name.replace(codename, suite, 1)
                    line = f"deb [signed-by={signed}] {uri} {target} main"
                    if line not in lines:
                        lines.append(line)
    return lines if any(f" {suite} main" in line for line in lines) else []


Entry = tuple[list[str], list[str], list[str], list[str], str]


def _entries(text: str) -> Iterator[Entry]:
    """Types, URIs, suites, components and key of each source, in either of apt's formats."""
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in text.splitlines():
        match = re.match(r"(deb|deb-src)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)", line)
        if match:
            key = re.search(r"signed-by=(\S+)", match[2] or "")
            yield [match[1]], [match[3]], [match[4]], match[5].split(), key[1] if key else ""
    for block in re.split(r"\n\s*\n", text):
        fields = {
            name.lower(): " ".join(value.split())
            for name, value in re.findall(r"^([A-Za-z-]+):((?:.*(?:\n[ \t].*)*))", block, re.M)
        }
        if "uris" in fields and fields.get("enabled", "yes") != "no":
            key_text = fields.get("signed-by", "")
            yield (
                fields.get("types", "").split(),
                fields["uris"].split(),
                fields.get("suites", "").split(),
                fields.get("components", "").split(),
                "" if "BEGIN PGP" in key_text else key_text,
            )


def apt_settings(dump: str) -> str:
    """Return how this machine fetches (proxies, checks, certificates) of `apt-config dump`."""
    kept = []
    for line in dump.splitlines():
        match = re.match(r'Acquire::([^: ]+)\S* "(.*)";$', line)
        if match and match[2] and match[1] not in SETTINGS_OF_NO_USE:
            kept.append(line)
    return "\n".join(kept) + "\n"


def name_servers() -> str:
    """Return a resolv.conf that works inside a host; LabError where this machine has none."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if path.exists():
            lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
            servers = [line.split()[1] for line in lines if line.startswith("nameserver")]
            if servers and not any(server.startswith("127.") for server in servers):
                return "\n".join(lines) + "\n"
    raise LabError(
        "/etc/resolv.conf",
        "names no name server but this machine's own loopback, which hosts cannot reach: "
        "name a real one there",
    )


def _this_machine() -> tuple[list[str], str]:
    """The texts of this machine's apt sources, and its suite ('' where it is not Debian)."""
    folder = Path("/etc/apt/sources.list.d")
    paths = [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list"))]
    paths += sorted(folder.glob("*.sources"))
    release = Path("/etc/os-release").read_text()
    codename = re.search(r'^VERSION_CODENAME="?(\w+)', release, re.M)
    debian = re.search(r"^ID=debian$", release, re.M)
    texts = [path.read_text() for path in paths if path.exists()]
    return texts, codename[1] if debian and codename else "not-debian"


@contextmanager
def alone(path: Path, place: str, say: Callable[[str], None], *, wait: bool) -> Iterator[int]:
    """Hold the lock of a folder; where another holds it, wait or raise LabError."""
    path.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise LabError(
                    place, "another command is changing this lab: wait until it has ended"
                ) from None
            say(f"waiting for another command that works in {path}")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def suite_of(base: Path) -> str:
    """The suite of a base image."""
    return base.name.split("-")[1]


def mirror_of(base: Path) -> tuple[str, int]:
    """The host and the port that a base image's first package source is fetched from."""
    text = (base / "etc/apt/sources.list").read_text()
    url = urlsplit(next(word for word in text.split() if "://" in word))
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def base(suite: str, control_group: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of the suite's base image, built now if it is not there yet.

    The program that builds runs in `control_group`, so that `down` finds it after a crash.
    """
    texts, codename = _this_machine()
    lines = sources(texts, codename, suite)
    settings = apt_settings(run("apt-config", "dump", "Acquire", place="apt-config"))
    resolv = name_servers()
    recipe = "\n".join((str(RECIPE), suite, *PACKAGES, *MASKED, *lines, settings, resolv))
    folder = CACHE / f"base-{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    with alone(CACHE, "build/cache", say, wait=True) as lock:
        if folder.exists():
            return folder
        say(f"building the base image of {suite} (once; about 40 s)")
        unfinished = folder.with_name(folder.name + ".unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        _bootstrap(suite, lines, settings, unfinished, control_group, lock)
        _configure(unfinished, lines, settings, resolv)
        unfinished.rename(folder)
    return folder


def _bootstrap(
    suite: str, lines: list[str], settings: str, folder: Path, control_group: Path, lock: int
) -> None:
    control_group.mkdir(parents=True, exist_ok=True)
    aptopts = [f"--aptopt={line}" for line in settings.splitlines() if line]
    try:
        run(
            # In a mount namespace of its own: whatever kills it, no mount is left.
            "sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec unshare --mount "$@"',
            control_group,
            "mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}",
            "--skip=cleanup/apt/lists",  # a deploy on a bare host need not fetch them again
            "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            '--aptopt=Acquire::Languages "none"', *aptopts,
            suite, folder, *(["-"] if lines else []),
            place=f"base image of {suite}", stdin="\n".join([*lines, ""]), seconds=900,
            pass_fds=[lock],  # still held if this process is killed and the program builds on
        )  # fmt: skip
    except LabError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _configure(root: Path, lines: list[str], settings: str, resolv: str) -> None:
    (root / "etc/apt/apt.conf.d/50lab").write_text(settings)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text(resolv)
    for key in {match[1] for line in lines if (match := re.search(r"signed-by=(\S+?)\]", line))}:
        if not (root / key.lstrip("/")).exists():
            (root / key.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(key, root / key.lstrip("/"))
    if any(" https:" in line for line in lines):
        for certificate in Path("/usr/local/share/ca-certificates").glob("*.crt"):
            shutil.copy(certificate, root / "usr/local/share/ca-certificates")
        run("chroot", root, "update-ca-certificates", place="base image")
    # Java's and PostgreSQL's packages put links here and fail where the folders are missing.
    for section in (1, 7):
        (root / f"usr/share/man/man{section}").mkdir(parents=True, exist_ok=True)
    for unit in MASKED:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    journal = root / "etc/systemd/journald.conf.d"
    journal.mkdir(parents=True, exist_ok=True)
    (journal / "lab.conf").write_text("[Journal]\nStorage=persistent\nSystemMaxUse=100M\n")
    (root / "var/log/journal").mkdir(parents=True, exist_ok=True)
    for key_file in (root / "etc/ssh").glob("ssh_host_*"):
        key_file.unlink()  # every host has its own
    run("chroot", root, "useradd", "--create-home", "--shell=/bin/bash", USER, place="base image")
    sudoers = root / "etc/sudoers.d" / USER
    sudoers.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
