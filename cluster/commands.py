"""The commands that make a set live on a host: built here, run elsewhere, asserted by tests."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from cluster.render import SETS

JOURNAL = "/var/lib/standfast/roll.jsonl"
RUN = "/run/standfast"


def link(service: str, fingerprint: str, name: str) -> str:
    """Point a service's link `name` to a set, by a rename: a power cut leaves one or the other."""
    folder = f"{SETS}/{service}"
    return f"ln -sfn {fingerprint} {folder}/.{name} && mv -T {folder}/.{name} {folder}/{name}"


def restart(service: str, unit: str, fingerprint: str) -> str:
    """Make a set the one in use and restart its unit with it; does not wait for that."""
    return sh(
        f"test -d {SETS}/{service}/{fingerprint}",
        f"rm -f {RUN}/{service}/applied",
        link(service, fingerprint, "current"),
        "sync",
        "systemctl daemon-reload",
        f"systemctl reset-failed {unit}",
        f"systemctl restart --no-block {unit}",
    )


def applied(service: str, fingerprint: str) -> str:
    """Make a set the one in use, and note that the running process has it without a restart."""
    note = f"{RUN}/{service}/applied"
    return sh(
        f"test -d {SETS}/{service}/{fingerprint}",
        link(service, fingerprint, "current"),
        f"echo {fingerprint} > {note}.new",
        f"mv {note}.new {note}",
        "sync",
        "systemctl daemon-reload",
    )


def good(service: str, fingerprint: str) -> str:
    """Note that a service was healthy with a set: the one to put back when the next is not."""
    return sh(link(service, fingerprint, "good"), "sync")


def note(entry: Mapping[str, object], sentence: str) -> str:
    """Append to the host's journal of rolls, and say it in the system's log."""
    line = shlex.quote(json.dumps(entry, ensure_ascii=False))
    return sh(
        f"mkdir -p {JOURNAL.rpartition('/')[0]}",
        f"printf '%s\\n' {line} >> {JOURNAL}",
        f"sync {JOURNAL}",
        f"logger -t standfast -p daemon.notice -- {shlex.quote(f'roll: {sentence}')}",
    )


def sh(*commands: str) -> str:
    """The commands as one, that stops at the first which fails."""
    return f"sh -c {shlex.quote(' && '.join(commands))}"
