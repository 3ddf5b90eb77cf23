"""One roll at a time: a lock on every machine, held by an open SSH session, gone with it.

No service of the cluster holds it: a roll may be what cures them. The session is told every few
seconds that the roll still lives; a machine that hears nothing gives the lock free by itself, so
the death of the controller, or of its network, leaves no lock behind.
"""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import connect

if TYPE_CHECKING:
    from paramiko import Channel

BEAT = 3.0  # seconds between two signs of life
SILENCE = 15  # seconds without one, after which a machine gives the lock free
ANSWER = 8.0  # seconds for a machine to say whether it is locked
SCRIPT = f"""
mkdir -p /run/standfast; exec 9>>/run/standfast/roll.lock
if ! flock -n 9; then echo "held $(cat /run/standfast/roll.holder 2>/dev/null)"; exit 1; fi
printf '%s\\n' "$1" > /run/standfast/roll.holder; echo locked
while read -r -t {SILENCE} _; do :; done
"""


class Held(Exception):
    """Another roll holds the lock: one sentence that says whose."""


def me() -> str:
    """Who rolls, for whoever else would: user, machine, since when."""
    return f"{getpass.getuser()}@{platform.node()}, process {os.getpid()}, {time.strftime('%F %T')}"


class Lock:
    """The lock on every machine that answers. Raises Held where another roll has it."""

    def __init__(self, machines: Iterable[str]) -> None:
        self._machines = list(machines)
        self._channels: dict[str, Channel] = {}
        self._end = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Lock:
        try:
            self.keep()
        except Held:
            self._release()
            raise
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._release()

    def keep(self) -> None:
        """Lock whatever machine is not (it was away, or this process slept). Raises Held.

        In their order, one after the other: of two rolls that begin at once, one gets the first.
        """
        for name in self._machines:
            channel = self._channels.get(name)
            if channel is not None and not channel.closed and not channel.exit_status_ready():
                continue
            self._channels.pop(name, None)
            try:
                self._channels[name] = _lock(name)
            except OSError:
                continue  # the gates look at who answers; what is away cannot be rolled either

    def _beat(self) -> None:
        while not self._end.wait(BEAT):
            for channel in list(self._channels.values()):
                try:
                    channel.sendall(b"\n")
                except (OSError, EOFError):
                    continue  # keep() takes it again, or says who has it

    def _release(self) -> None:
        for channel in self._channels.values():
            channel.close()


def _lock(name: str) -> Channel:
    channel = connect.session(name)
    channel.settimeout(ANSWER)
    channel.exec_command(f"sudo -n bash -c {shlex.quote(SCRIPT)} roll {shlex.quote(me())}")
    answer = b""
    while b"\n" not in answer:
        chunk = channel.recv(4096)
        if not chunk:
            raise OSError(f"{name}: the lock's session ended")
        answer += chunk
    word, _, holder = answer.decode("utf-8", "replace").strip().partition(" ")
    if word == "locked":
        return channel
    channel.close()
    raise Held(f"another roll is under way, says {name}: {holder or 'by somebody'}")
