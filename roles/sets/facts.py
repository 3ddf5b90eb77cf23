"""What lies under /etc/standfast on a host, and what runs on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from pyinfra.api import FactBase
from pyinfra.api.host import Host


@dataclass
class SetState:
    """One service's set on a host: the fingerprints its links name, and its unit."""

    staged: str | None = None
    current: str | None = None
    good: str | None = None
    running: str | None = None
    staged_digests: dict[str, str] = field(default_factory=dict)
    current_digests: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    active: bool = False
    enabled: bool = False


class Sets(FactBase[dict[str, SetState]]):
    """Every set of the host, by service. One command for all of them: each round trip costs."""

    default = dict

    def command(self) -> str:
        return r"""
            cd /etc/standfast 2>/dev/null || exit 0
            find . -mindepth 2 -maxdepth 2 -type l -printf 'link %P %l\n'
            find /etc/systemd/system /etc/sysctl.d /etc/sysusers.d /etc/profile.d \
                -type l -lname '/etc/standfast/*/current/*' -printf 'at %p %l\n'
            find */staged/ */current/ -type f -exec sha256sum {} + 2>/dev/null | sed 's/^/file /'
            grep -H . /run/standfast/*/fingerprint 2>/dev/null | sed 's/^/runs /'
            units=$(find */current/ -name '*.service' -printf '%h %f\n' 2>/dev/null)
            printf '%s\n' "$units" | while read -r set unit; do
                [ -n "$unit" ] || continue
                echo "unit $set"
                systemctl show -p ActiveState -p UnitFileState "$unit"
            done
        """

    def process(self, output: Iterable[str]) -> dict[str, SetState]:
        return parse(output)


class CurrentFiles(FactBase[dict[str, str]]):
    """The texts of a service's current set that all may read, by name."""

    default = dict

    def command(self, service: str) -> str:
        folder = f"/etc/standfast/{service}/current/"
        return f"find {folder} -type f -perm -004 -printf '==> %f\n' -exec sed 's/^/ /' {{}} \\;"

    def process(self, output: Iterable[str]) -> dict[str, str]:
        files: dict[str, str] = {}
        name = ""
        for line in output:
            if line.startswith("==> "):
                name = line.removeprefix("==> ")
                files[name] = ""
            else:
                files[name] += line[1:] + "\n"
        return files


@cache
def read(host: Host) -> dict[str, SetState]:
    """The host's sets as they were when the deploy began: read once, for every operation of the
    run.

    A dozen operations ask; asked anew each time, a deploy that changes nothing spent most of its
    time on that. It
    stays true for them: each changes its own service's set alone, and nothing else does while a
    deploy runs.
    """
    found: dict[str, SetState] = host.get_fact(Sets)
    return found


def parse(lines: Iterable[str]) -> dict[str, SetState]:
    """The sets out of what the fact's command prints; a line that is none of its kinds is an
    error.
    """
    sets: dict[str, SetState] = {}
    unit = ""
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "link":
            path, target = rest.split(" ", 1)
            service, _, link = path.partition("/")
            setattr(sets.setdefault(service, SetState()), link, target.rsplit("/", 1)[-1])
        elif kind == "at":
            path, target = rest.split(" ", 1)
            sets.setdefault(target.split("/")[3], SetState()).links[path] = target
        elif kind == "file":
            digest, path = rest.split(maxsplit=1)
            service, link, name = path.split("/", 2)
            getattr(sets[service], f"{link}_digests")[name.lstrip("/")] = digest
        elif kind == "runs":
            path, fingerprint = rest.rsplit(":", 1)
            sets.setdefault(path.split("/")[3], SetState()).running = fingerprint
        elif kind == "unit":
            unit = rest.split("/")[0]
        elif line.startswith("ActiveState="):
            sets[unit].active = line == "ActiveState=active"
        elif line.startswith("UnitFileState="):
            sets[unit].enabled = line == "UnitFileState=enabled"
        elif line:
            raise ValueError(f"unexpected line {line!r}")
    return sets
