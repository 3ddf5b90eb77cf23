"""The main process of a unit: which one it is, since when, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from standfast.health import Process
from standfast.supervision import say

PATIENCE = 3.0  # seconds for an answer of systemctl's


def of_unit(unit: str) -> tuple[Process | None, bool] | None:
    """A unit's main process, and whether the unit is active (neither starting nor stopping).

    None where systemd does not say.
    """
    command = ["systemctl", "show", "--property=MainPID,ActiveState", unit]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"probe: {' '.join(command)}: {error}", 4)
        return None
    if done.returncode != 0:
        say(f"probe: {' '.join(command)}: {done.stderr.strip()}", 4)
        return None
    said = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    pid = int(said.get("MainPID") or 0)
    start = start_of(pid) if pid else None
    active = said.get("ActiveState") == "active"
    return (Process(pid, start) if start is not None else None), active


def start_of(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot; None where it runs no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # proc(5): the name, in brackets, may hold anything; state is the field after it, the 3rd.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def end(process: Process) -> str:
    """SIGKILL to this very process, never to a later one of its number; says what it did."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return "it is gone already"
    try:
        if start_of(process.pid) != process.start:
            return "it is gone already"
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return "it is gone already"
    except PermissionError:
        return f"SIGKILL to process {process.pid} is not permitted; the probe must run as root"
    finally:
        os.close(handle)
    return f"sent SIGKILL to process {process.pid}, systemd restarts it"
