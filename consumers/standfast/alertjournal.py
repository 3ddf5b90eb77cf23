"""The journal as it comes, from a known line on: journalctl, read without ever waiting long."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
from typing import IO, Any

from standfast.alerts import Book
from standfast.supervision import say

FOLLOW = (
    "journalctl", "--follow", "--no-tail", "--all", "--quiet", "--output=json",
    "PRIORITY=0", "PRIORITY=1", "PRIORITY=2",
)  # fmt: skip
BLOCK = 1 << 16
LONGEST = 1 << 22  # bytes: longer than any line of the journal


class Journal:
    """One journalctl; `ended` is whether it has nothing more to say."""

    def __init__(self, follow: tuple[str, ...], book: Book) -> None:
        # From the known line itself: where it is gone, journalctl begins with the next that is
        # there. After it, it would leave that one out.
        start = f"--cursor={book.cursor}" if book.cursor else f"--since=@{int(book.since)}"
        self._error = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
        self._process = subprocess.Popen(
            [*follow, start], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._error
        )
        assert self._process.stdout is not None
        self._out: IO[bytes] = self._process.stdout
        os.set_blocking(self._out.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._rest = b""
        self.ended = False
        self.answered = False  # whether anything was read

    def entries(self, wait: float) -> list[dict[str, Any]]:
        """The entries that came within `wait` seconds; they are waited for until the first."""
        if not self._selector.select(wait):
            return []
        block = os.read(self._out.fileno(), BLOCK)
        self.ended = not block
        *lines, self._rest = (self._rest + block).split(b"\n")
        self._rest = self._rest[:LONGEST]
        self.answered = self.answered or bool(lines)
        found = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                say("alert: a line of the journal could not be read", 4)
                continue
            if isinstance(entry, dict):
                found.append(entry)
        return found

    def close(self) -> str:
        """End it; what it complained of."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        self._out.close()
        self._error.seek(0)
        said = self._error.read().decode("utf-8", "replace").strip()
        self._error.close()
        return said.splitlines()[-1] if said else f"exit {self._process.returncode}"
