"""Runs a task as a person would: `fab …` in a process of its own, that can be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import connect
from drills.wait import NotYet, wait_until

FAB = str(Path(sys.executable).parent / "fab")


@dataclass(frozen=True)
class Done:
    """How a task ended; `text` is all that it said, `seconds` how long it took."""

    code: int
    text: str
    seconds: float


class Running:
    """A task under way. The block's end kills it, if it still runs."""

    def __init__(self, inventory: Path, *words: str) -> None:
        self._began = time.monotonic()
        self._lines: list[str] = []
        self._looked_at = 0
        self._process = subprocess.Popen(
            [FAB, *words],
            cwd=connect.ROOT,
            env={**os.environ, "INVENTORY": str(inventory)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)

    @property
    def text(self) -> str:
        """All that it said until now."""
        return "".join(self._lines)

    def says(self, pattern: str, seconds: float) -> str:
        """Wait for the next line with this pattern, and return it. Raises Overdue."""

        def look() -> str:
            over = self._process.poll() is not None
            while self._looked_at < len(self._lines):
                line = self._lines[self._looked_at]
                self._looked_at += 1
                if re.search(pattern, line):
                    return line
            if over:
                raise AssertionError(f"it ended and never said {pattern!r}:\n{self.text}")
            raise NotYet(self._lines[-1].strip() if self._lines else "nothing")

        return wait_until(look, seconds, f"the task to say {pattern!r}", every=0.05)

    def kill(self) -> None:
        """SIGKILL: the controller's death."""
        self._process.kill()
        self._process.wait()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self, seconds: float = 300) -> Done:
        """Wait until it is over. Raises TimeoutExpired."""
        code = self._process.wait(seconds)
        self._reading.join(5)
        return Done(code, self.text, time.monotonic() - self._began)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()


def fab(inventory: Path, *words: str, seconds: float = 300) -> Done:
    """Run a task, and return what came of it; a user's mistake never gets a traceback."""
    with Running(inventory, *words) as running:
        done = running.end(seconds)
    assert "Traceback" not in done.text, done.text
    return done


def roll(inventory: Path, *arguments: str, seconds: float = 300) -> Done:
    """Roll, and return what came of it."""
    return fab(inventory, "roll", "--yes", *arguments, seconds=seconds)
