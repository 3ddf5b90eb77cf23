"""What a deploy would do, and what a roll would do after it; changes nothing.

Ends with 0: nothing to do, 2: something, 1: refused, or not everything could be asked.

--json prints one object (a key is there even where it is empty; "hosts" are names, a value that is
not set is null):

    {"cluster": "lab",
     "exit": 2,                                            the exit code
     "next": "make deploy, then fab roll",                 "" where there is nothing to do
     "install": ["kafka1"],                                never deployed to
     "files":   [{"hosts", "service", "file", "diff": ["@@ …", "+…"]}],        staged by a deploy
     "mends":   [{"hosts", "what"}],                       put right by a deploy
     "topics":  [{"what", "why", "setting", "old", "new"}],                    a deploy, at once
     "restarts": [ROW],                                    only a restart makes it live
     "applied":  [ROW],                                    the roll applies it to what runs
     "links":    [ROW],                                    comments alone: no process is touched
     "refused": [{"hosts", "what", "old", "new", "why", "instead"}],
     "notes":   ["broker 9 …"],                            left alone, but worth to know
     "unasked": {"kafka3": "why it could not be asked"}}

    ROW: {"hosts", "service", "staged": it lies there already, "down": its process does not run,
          "changes": [{"what", "why", "file", "setting", "old", "new", "live": a running broker
                       takes it}]}
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

import connect
from cluster.model import Cluster
from cluster.observed import Snapshot
from cluster.plan import Plan, Topics, plan
from cluster.render import FileSet
from cluster.snapshot import snapshot
from cluster.stand import STANDS
from cluster.steps import Change, Step
from tasks import ask, console, rendered
from tasks.topics import differences

PARTS = ("machines", "topics", "registry", "overrides")
COLOURS = {"+": "green", "-": "red", "@": "cyan"}
NOTHING = "nothing to do: every host has what the inventory asks for, and runs it"


def main(as_json: bool) -> int:
    """Plan, print it, and return the exit code."""
    try:
        cluster = connect.begin("plan for")
        sets = rendered(cluster)
    except SystemExit:  # its sentence is said; 2 would mean that there is something to do
        return 1
    seen = snapshot(ask.everything(cluster, sets, PARTS, disks=False))
    found = plan(cluster, sets, seen, topics(sets, seen))
    if as_json:
        print(json.dumps(as_object(cluster, found), indent=2))
    else:
        show(found, console())
    return found.code


def topics(sets: Mapping[str, Sequence[FileSet]], seen: Snapshot) -> Topics:
    """How the cluster's topics differ from the inventory's. Of a cluster that was never started,
    all are missing; where they cannot be read the plan says so.
    """
    began = any("kafka" in m.sets and m.sets["kafka"].good for m in seen.machines.values())
    if began and (seen.topics.complaint or seen.topics.unset):
        return []
    found = differences((s for of in sets.values() for s in of), seen.topics)
    return [asdict(change) for change in found]


def following(found: Plan) -> str:
    """What to type next; nothing where nothing is to be done."""
    if any(refusal.what in STANDS for refusal in found.refused):
        return "fab status: it says who comes back next, and how"
    if found.refused:
        return "put back what is refused, then fab plan"
    if found.unasked:
        return "mend what could not be asked, then fab plan"
    if found.deploys:
        return "make deploy, then fab roll" if found.steps else "make deploy"
    return "fab roll" if found.steps else ""


def kinds(steps: Iterable[Step]) -> dict[str, list[Step]]:
    """The steps by what they mean for the process."""
    found: dict[str, list[Step]] = {"restarts": [], "applied": [], "links": []}
    for step in steps:
        kind = "applied" if step.changes else "links"
        found["restarts" if step.kind == "restart" else kind].append(step)
    return found


# --- for programs ---


def as_object(cluster: Cluster, found: Plan) -> dict[str, Any]:
    """The plan as --json prints it."""
    return {
        "cluster": cluster.name,
        "exit": found.code,
        "next": following(found),
        "install": found.install,
        "files": [
            {"hosts": f.hosts, "service": f.service, "file": f.file, "diff": f.lines}
            for f in found.files
        ],
        "mends": [asdict(mend) for mend in found.mends],
        "topics": [
            {key: value for key, value in asdict(change).items() if key not in ("file", "live")}
            for change in found.topics
        ],
        **{kind: [_row(step) for step in of] for kind, of in kinds(found.steps).items()},
        "refused": [asdict(refusal) for refusal in found.refused],
        "notes": found.notes,
        "unasked": dict(found.unasked),
    }


def _row(step: Step) -> dict[str, Any]:
    whole = asdict(step)
    return {key: whole[key] for key in ("hosts", "service", "staged", "down", "changes")}


# --- for people ---


def show(found: Plan, out: Console) -> None:
    """The plan, in the order in which things would happen; what keeps it from being one last."""

    def line(text: str, left: int = 2, style: str = "") -> None:
        shown = textwrap.fill(
            text, out.width, initial_indent=" " * left, subsequent_indent=" " * (left + 2),
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        out.print(Text(shown, style=style), soft_wrap=True)

    def title(text: str, style: str = "bold") -> None:
        out.print()
        line(text, 0, style)

    if found.install:
        title("Never deployed to: a deploy installs and starts everything")
        line(", ".join(found.install))
    if found.files:
        title("Staged by a deploy (nothing that runs is touched by that)")
    for diff in found.files:
        line(f"{diff.service}/{diff.file} on {', '.join(diff.hosts)}", style="bold")
        for text in diff.lines:
            # Not wrapped: a line of a diff is copied, and read by its first character.
            style = COLOURS.get(text[:1], "dim")
            out.print(Text(f"    {text}", style=style), soft_wrap=True)
    if found.mends:
        title("Put right by a deploy")
    for mend in found.mends:
        line(f"{', '.join(mend.hosts)}: {mend.what}")
    if found.topics:
        title("Topics: changed by a deploy, at once")
    for change in found.topics:
        _change(line, change, 2)
    by = kinds(found.steps)
    for kind, text in (
        ("restarts", "Only a restart makes it live: the roll restarts, one process at a time"),
        ("applied", "Taken without a restart: the roll applies it to what runs"),
        ("links", "Comments alone: the roll notes it, no process is touched"),
    ):
        if by[kind]:
            title(text)
        for step in by[kind]:
            word = "; it does not run, and comes first" if step.down else ""
            already = " (staged already)" if step.staged else ""
            line(f"{step.service} on {', '.join(step.hosts)}{already}{word}", style="bold")
            for change in step.changes:
                along = change.live and kind == "restarts" and not step.down
                _change(line, change, 4, " (needs no restart by itself)" if along else "")
    if found.notes:
        title("Left alone")
    for note in found.notes:
        line(note)
    if found.refused:
        title("Refused: a deploy ends before it changes any host", "bold red")
    for refusal in found.refused:
        where = f" ({', '.join(refusal.hosts)})" if len(refusal.hosts) > 1 else ""
        line(f"{refusal.what}: {refusal.old} -> {refusal.new}{where}", style="bold")
        line(f"{refusal.why}; {refusal.instead}", 4)
    if found.unasked:
        title("Could not be asked: so this is no plan", "bold red")
    for what, why in found.unasked.items():
        line(f"{what}: {why}")
    word = following(found)
    title(f"next: {word}" if word else NOTHING)


def _change(line: Any, change: Change, left: int, mark: str = "") -> None:
    line(f"{change.what}{mark}", left)
    if change.why:
        line(change.why, left + 2, "dim")
