"""Whether a server hangs, and may be ended for it: one pure decision. No sockets, no clock.

A restart cures a process that hangs, and nothing else; so a server is ended only where it once
served in this very start, has been silent for long enough, and the others plainly answer. In
every doubt the probe waits and says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

# How long a server may be silent, in seconds, counted from the first question that it left
# without an answer. It is asked every 2 s; ending it, RestartSec= and a broker's start take some
# 10 s more: back within 30 s of the hang.
PATIENCE = 12.0

Verdict = Literal["down", "changing", "answers", "starting", "silent", "held", "ended", "hangs"]


@dataclass(frozen=True)
class Process:
    """A process and no later one of the same number: `start` is in clock ticks since boot."""

    pid: int
    start: int


@dataclass(frozen=True)
class Sight:
    """What one question shows; times are those of time.monotonic(), when it was asked.

    `silent_since`: the first question without an answer after the last one with, None: answered.
    """

    question: str
    silent_since: float | None
    complaint: str = ""


@dataclass(frozen=True)
class History:
    """What is known of a server. `since`: when the probe first saw this process, or woke up
    from a pause of its own, whichever is later; earlier silence does not count."""

    kind: str
    process: Process | None
    active: bool
    ready: bool
    since: float
    sights: tuple[Sight, ...] = ()
    ended: bool = False


@dataclass(frozen=True)
class Action:
    """What to do: wait, ask the peers (and decide again), or kill; and why."""

    do: Literal["wait", "ask", "kill"]
    verdict: Verdict
    reason: str


def decide(
    history: History, peers: Mapping[str, bool] | None, now: float, patience: float = PATIENCE
) -> Action:
    """What to do with a server. `peers`: which of the others serve, None while nobody asked."""
    if history.process is None:
        return Action("wait", "down", "its main process is not running")
    if not history.active:
        return Action("wait", "changing", "systemd is starting or stopping it")
    if not history.ready:
        # It may be recovering its log, for as long as that takes.
        return Action("wait", "starting", "it has not served yet in this start")
    seconds, worst = _longest_silence(history, now)
    # A question that is on its way just now is no silence yet.
    if worst is None or seconds < patience / 4:
        return Action("wait", "answers", "it answers")
    seen = f"{worst.question}: {worst.complaint or 'no answer'} for {seconds:.0f} s"
    if history.ended:
        return Action("wait", "ended", f"SIGKILL was sent, the process is not gone yet; {seen}")
    if seconds < patience:
        return Action("wait", "silent", seen)
    if peers is None:
        return Action("ask", "silent", seen)
    if doubt := _doubt(history.kind, peers):
        return Action("wait", "held", f"{seen}; it is not ended, because {doubt}")
    return Action("kill", "hangs", f"{seen}, while the others serve")


def _longest_silence(history: History, now: float) -> tuple[float, Sight | None]:
    longest: tuple[float, Sight | None] = (0.0, None)
    for sight in history.sights:
        if sight.silent_since is not None:
            seconds = now - max(sight.silent_since, history.since)
            if seconds >= longest[0]:
                longest = (seconds, sight)
    return longest


def _doubt(kind: str, peers: Mapping[str, bool]) -> str:
    """Why a silent server must not be ended now; "" where nothing speaks against it."""
    missing = sorted(peer for peer, serves in peers.items() if not serves)
    if kind == "kafka":
        # Its end would take the second of three away, or follow a cause that all share.
        return f"other brokers do not answer: {', '.join(missing)}" if missing else ""
    voters = len(peers) + 1
    quorum = voters // 2 + 1
    serving = len(peers) - len(missing)
    if serving >= quorum:
        return ""
    return f"{serving} other voters serve, a quorum of {voters} needs {quorum}"
