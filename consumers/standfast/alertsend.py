"""Hand one message on: to a command or a webhook, in a process of its own that has ten seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from standfast.alerts import Message
from standfast.errors import Failure

ANSWER = 10.0  # seconds for one attempt


@dataclass(frozen=True)
class Receiver:
    """Whom to tell what of: `command` is a program with its arguments, or else `poster` is one
    that sends its standard input to the webhook.
    """

    cluster: str
    host: str
    command: tuple[str, ...]
    poster: tuple[str, ...]

    @property
    def program(self) -> tuple[str, ...]:
        """What is run."""
        return self.command or self.poster


class Attempt:
    """One attempt to hand a message on: a process that has ten seconds. Raises OSError where it
    cannot be started.
    """

    def __init__(self, to: Receiver, message: Message) -> None:
        self.message = message
        known = content(to, message)
        extra = {
            f"STANDFAST_{key.upper()}": str(known[key])
            for key in ("cluster", "host", "cause", "sentence", "at", "more")
        }
        self._deadline = time.monotonic() + ANSWER
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed in ended)
        with tempfile.TemporaryFile() as given:
            given.write(json.dumps(known).encode())
            given.seek(0)
            try:
                self._process = subprocess.Popen(
                    [*to.program, *([known["text"]] if to.command else [])],
                    stdin=given,
                    stdout=self._said,
                    stderr=self._said,
                    env={**os.environ, **extra},
                    start_new_session=True,
                )
            except OSError:
                self._said.close()
                raise

    def ended(self, wait: float = 0.0) -> str | None:
        """None while it goes on; "" where it was handed on, or else why it was not."""
        code: int | None = None
        try:
            code = self._process.wait(wait)
        except subprocess.TimeoutExpired:
            if time.monotonic() < self._deadline:
                return None
            os.killpg(self._process.pid, signal.SIGKILL)  # and what it started
            self._process.wait()
        self._said.seek(0)
        said = self._said.read(4096).decode("utf-8", "replace").strip()
        self._said.close()
        if code == 0:
            return ""
        why = f"exit {code}" if code is not None else f"not done within {ANSWER:.0f} s"
        return f"{why}: {said.splitlines()[-1]}" if said else why


def content(to: Receiver, message: Message) -> dict[str, Any]:
    """What a webhook gets. `text` is all in one line, as chat programs show it."""
    at = datetime.fromtimestamp(message.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "cluster": to.cluster,
        "host": to.host,
        "cause": message.cause,
        "sentence": message.sentence,
        "at": at,
        "more": message.more,
        "text": f"{to.cluster} {to.host}: {message.cause}: {message.text}",
    }


def post(url: str, body: bytes) -> None:
    """POST `body` as JSON. Raises Failure where the answer is no success; a redirect is none."""
    import urllib.error
    import urllib.request

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None  # a POST that is sent elsewhere arrives as a GET, without its body

    request = urllib.request.Request(
        url, body, {"Content-Type": "application/json", "User-Agent": "standfast"}
    )
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=ANSWER - 1):
            return
    except urllib.error.HTTPError as error:
        raise Failure("webhook", f"answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise Failure("webhook", str(getattr(error, "reason", error))) from error
