"""Runs a deploy as a person would, in a process of its own: pyinfra's gevent stays out of ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import connect

COMMAND = (
    str(Path(sys.executable).parent / "pyinfra"),
    "inventory/hosts.py",
    "deploy.py",
    "-y",
)
STAGE = re.compile(r"--> Starting operation: (?:(.*?) \| )?(.*?)\s*$")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Deployed:
    """How a deploy ended; `text` is all that it said, `seconds` how long it took."""

    code: int
    text: str
    seconds: float
    totals: dict[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> int | None:
        """How many operations changed a host; None where it ended before it knew."""
        return self.totals.get("success")

    @property
    def last_words(self) -> str:
        """The last lines that say something."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return "\n".join(lines[-8:])


def deploy(inventory: Path, *arguments: str, seconds: float = 300) -> Deployed:
    """Deploy, and return what came of it. Raises TimeoutExpired after `seconds`."""
    began = time.monotonic()
    done = subprocess.run(
        [*COMMAND, "--json", *arguments],
        cwd=connect.ROOT,
        env={**os.environ, "INVENTORY": str(inventory)},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    totals: dict[str, Any] = {}
    start = done.stdout.find('{"')
    if start >= 0:
        result = json.JSONDecoder().raw_decode(done.stdout[start:])[0]
        totals = result.get("results", result).get("totals", {})
    text = ESCAPES.sub("", done.stderr + done.stdout[: max(start, 0)])
    return Deployed(done.returncode, text, time.monotonic() - began, totals)


def followed(inventory: Path, log: Path, stage: Callable[[str], None]) -> Deployed:
    """Deploy, and call `stage` with the name of each as it begins; everything goes to `log`."""
    began = time.monotonic()
    lines: list[str] = []
    with (
        log.open("w") as file,
        subprocess.Popen(
            COMMAND,
            cwd=connect.ROOT,
            env={**os.environ, "INVENTORY": str(inventory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for raw in process.stdout:
            line = ESCAPES.sub("", raw)
            file.write(line)
            file.flush()
            lines.append(line)
            if found := STAGE.search(line):
                stage(found[2])
    return Deployed(process.returncode, "".join(lines), time.monotonic() - began)
