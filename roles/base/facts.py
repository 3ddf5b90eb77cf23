"""What kind of machine a host is."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError

from cluster.releases import RELEASES


class Release(FactBase[str]):
    """The codename of the host's Debian or Ubuntu release, one that Standfast knows."""

    def command(self) -> str:
        return '. /etc/os-release; echo "$VERSION_CODENAME $PRETTY_NAME"'

    def process(self, output: Iterable[str]) -> str:
        codename, _, pretty = next(iter(output), " unknown").partition(" ")
        if codename not in RELEASES:
            raise FactProcessError(
                f"{pretty} is not supported; cluster/releases.py knows {', '.join(RELEASES)}"
            )
        return codename


class HostsFile(FactBase[str]):
    """The text of /etc/hosts."""

    default = str

    def command(self) -> str:
        return "cat /etc/hosts"

    def process(self, output: Iterable[str]) -> str:
        return "\n".join(output) + "\n"


class Settable(FactBase[dict[str, bool]]):
    """Which of the kernel's and the clock's settings this host can take; a container often
    cannot.
    """

    @staticmethod
    def default() -> dict[str, bool]:
        return {"sysctl": False, "clock": False}

    def command(self) -> str:
        return (
            "if [ -w /proc/sys/vm/swappiness ]; then echo sysctl; fi; "
            "if ! systemd-detect-virt --quiet --container; then echo clock; fi"
        )

    def process(self, output: Iterable[str]) -> dict[str, bool]:
        able = set(output)
        return {name: name in able for name in ("sysctl", "clock")}
