"""Whether a machine's services and their files are as rendered.

Questions to what was seen over SSH, each answered with findings; pure, as cluster.health.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from cluster import unitfile
from cluster.due import texts
from cluster.live import Difference, difference
from cluster.observed import FileSeen, Finding, MachineSeen, SetSeen
from cluster.render import KEPT, FileSet, sha256

DEPLOY = "make deploy"


# --- services ---


def active(sets: Iterable[FileSet], seen: MachineSeen) -> list[Finding]:
    """Every service runs, and will after a boot."""
    found = []
    for wanted in _services(sets):
        shown = seen.units.get(wanted.unit or "", {})
        state = (
            shown.get("ActiveState", "unknown"),
            shown.get("UnitFileState", "") or "not installed",
        )
        if state != ("active", "enabled"):
            now = f"{state[0]} ({shown.get('SubState', '')}), {state[1]}"
            where = f"journalctl -u {wanted.unit}; {DEPLOY} starts and enables it"
            found.append(Finding(f"{wanted.unit}", "active, enabled", now, where))
    return found


def supervised(sets: Iterable[FileSet], seen: MachineSeen) -> list[Finding]:
    """systemd holds every property as the unit in use sets it."""
    found = []
    for wanted in _services(sets):
        unit = wanted.unit or ""
        shown = seen.units.get(unit, {})
        if shown.get("LoadState") != "loaded":
            found.append(Finding(unit, "a unit that systemd knows", "none", DEPLOY))
            continue
        where = f"systemctl cat {unit}: is there a drop-in?"
        for name, expected, actual in unitfile.differences(_unit(wanted, seen), shown):
            found.append(Finding(unit, f"{name}={expected}", actual, where))
        if shown.get("NeedDaemonReload") == "yes":
            now = "its file has changed since"
            found.append(Finding(unit, "loaded as it is", now, "systemctl daemon-reload"))
    return found


def current(sets: Iterable[FileSet], seen: MachineSeen) -> list[Finding]:
    """Every service runs as what is staged says: staged, current and running differ in nothing
    that counts (comments do not).
    """
    found = []
    for wanted in sets:
        here = seen.sets.get(wanted.service) or SetSeen()
        names = {"staged": here.staged, "current": here.current}
        names |= {"running": here.running} if wanted.unit else {}
        if here.staged and all(_same(here, value, here.staged) for value in names.values()):
            continue
        now = ", ".join(f"{name} {value or 'none'}" for name, value in names.items())
        where = DEPLOY
        if here.staged and here.current and wanted.unit:
            why = ", ".join(_changed(here)) or "it was not restarted since"
            runs, staged = texts(here, here.running or here.current), texts(here, here.staged)
            how = "only a restart brings it" if difference(runs, staged).restart else "no restart"
            where = f"what differs: {why} ({how}); fab roll"
        expected = "staged, current and running one set"
        found.append(Finding(wanted.service, expected, f"stale: {now}", where))
    return found


def _same(here: SetSeen, one: str | None, other: str) -> bool:
    """Whether two sets differ in nothing that counts."""
    if one == other:
        return True
    both = one in here.files and other in here.files
    return both and difference(texts(here, one), texts(here, other)) == Difference()


def _changed(here: SetSeen) -> list[str]:
    """The names of the files that differ between what is staged and what is in use."""
    staged, used = (here.files.get(name or "", {}) for name in (here.staged, here.current))
    names = sorted(staged.keys() | used.keys())
    return [
        n for n in names if n not in staged or n not in used or staged[n].digest != used[n].digest
    ]


def _unit(wanted: FileSet, seen: MachineSeen) -> str:
    """The text of the unit in use; as rendered where it cannot be read."""
    here = seen.sets.get(wanted.service) or SetSeen()
    unit = here.files.get(here.current or "", {}).get(wanted.unit or "")
    return unit.text if unit and unit.text else wanted.files[wanted.unit or ""]


def limits(sets: Iterable[FileSet], seen: MachineSeen) -> list[Finding]:
    """Every process has the limits that its unit asks for."""
    found = []
    for wanted in _services(sets):
        unit = wanted.unit or ""
        process, text = seen.processes.get(unit), _unit(wanted, seen)
        if process is None:
            found.append(Finding(unit, "a running process", "none", f"journalctl -u {unit}"))
            continue
        where = f"cat /proc/{process.pid}/limits; systemctl restart {unit} if the unit has changed"
        files, wish = process.open_files, unitfile.open_files(text)
        if wish is not None and files is not None and files < wish:
            # A container's init that may not raise limits hands on its own, without a word.
            ceiling = not seen.may_raise_limits and files == seen.most_open_files
            where_now = (
                "the container's own limit; on a machine of its own it holds" if ceiling else where
            )
            found.append(Finding(unit, f"{wish} open files", str(files), where_now, not ceiling))
        score = unitfile.oom_score_adjust(text)
        if score is not None and process.oom_score_adj != score:
            lacks = not seen.may_raise_limits and score < 0 <= process.oom_score_adj
            where_now = "needs CAP_SYS_RESOURCE, which this container lacks" if lacks else where
            now = str(process.oom_score_adj)
            found.append(Finding(unit, f"oom_score_adj {score}", now, where_now, not lacks))
    return found


# --- files ---


def files(sets: Iterable[FileSet], seen: MachineSeen) -> list[Finding]:
    """The staged files equal what the inventory renders, and nobody edited what is in use."""
    found = []
    for wanted in sets:
        here = seen.sets.get(wanted.service) or SetSeen()
        there = here.files.get(here.staged or "", {})
        differs = [
            name for name in sorted(wanted.files.keys() | there) if _differs(wanted, there, name)
        ]
        folder = f"/etc/standfast/{wanted.service}"
        found += [
            Finding(f"{folder}/staged/{name}", *_line(wanted, there.get(name), name), DEPLOY)
            for name in differs
        ]
        if here.current and here.current != here.staged:
            digests = {n: f.digest for n, f in here.files.get(here.current, {}).items()}
            if fingerprint(wanted.user, digests) != here.current:
                where = f"{DEPLOY}, then restart what runs on it"
                found.append(
                    Finding(
                        f"{folder}/current", "files of its fingerprint", "edited by hand", where
                    )
                )
    return found


def _differs(wanted: FileSet, there: Mapping[str, FileSeen], name: str) -> bool:
    return name not in there or there[name].digest != wanted.digests.get(name)


def _line(wanted: FileSet, there: FileSeen | None, name: str) -> tuple[str, str]:
    """The first line that differs, as rendered and as found; nothing of a secret."""
    if there is None:
        return "the file", "no such file"
    if name not in wanted.files:
        return "no such file", "a file that was not rendered"
    if name in wanted.secrets or there.text is None:
        return "the rendered secret", "another content (a secret: not shown)"
    ours, theirs = wanted.files[name].splitlines(), there.text.splitlines()
    for number in range(max(len(ours), len(theirs))):
        line = [text[number] if number < len(text) else None for text in (ours, theirs)]
        if line[0] != line[1]:
            shown = ["the end of the file" if text is None else repr(text) for text in line]
            return f"line {number + 1}: {shown[0]}", shown[1]
    return "its line ends", "others"


def links(sets: Iterable[FileSet], seen: MachineSeen) -> list[Finding]:
    """Where the system looks for a file, a link leads to the set in use."""
    found = []
    for wanted in sets:
        for name, path in wanted.links.items():
            target, actual = f"/etc/standfast/{wanted.service}/current/{name}", seen.links.get(path)
            if actual != target:
                now = actual or "no link"
                found.append(Finding(path, f"a link to {target}", now, f"ls -l {path}; {DEPLOY}"))
    return found


def guarded(sets: Iterable[FileSet], seen: MachineSeen) -> list[Finding]:
    """A secret can be read by its service alone; nobody but root writes a file of a set."""
    found = []
    for wanted in sets:
        here = seen.sets.get(wanted.service) or SetSeen()
        for folder, there in here.files.items():
            for name, file in there.items():
                path = f"/etc/standfast/{wanted.service}/{folder}/{name}"
                if name in wanted.secrets:
                    if file.mode & 0o077 or file.owner not in (wanted.user, "root"):
                        now = f"{file.owner} {file.mode:04o}"
                        where = f"chmod 400 {path}; others may have read it: change the password"
                        found.append(Finding(path, f"{wanted.user} 0400", now, where))
                elif file.mode & 0o022 or file.owner != "root":
                    now = f"{file.owner} {file.mode:04o}"
                    found.append(
                        Finding(path, "root 0644", now, f"chown root {path}; chmod 644 {path}")
                    )
    return found


def owned(expected: Mapping[str, str], seen: MachineSeen) -> list[Finding]:
    """Each data directory (`expected`: path to owner) is its service's, and closed to others."""
    found = []
    for path, user in expected.items():
        folder = seen.folders.get(path)
        now = f"{folder.owner} {folder.mode:04o}" if folder else "no such directory"
        if folder is None or folder.owner != user or folder.mode & 0o007:
            found.append(
                Finding(path, f"{user}, closed to others (0750)", now, f"ls -ld {path}; {DEPLOY}")
            )
    return found


def unpacked(expected: Iterable[str], seen: MachineSeen) -> list[Finding]:
    """Every archive was unpacked to its end."""
    missing = [path for path in expected if path not in seen.whole]
    return [Finding(path, "unpacked to its end", "not", DEPLOY) for path in missing]


def _services(sets: Iterable[FileSet]) -> list[FileSet]:
    return [wanted for wanted in sets if wanted.unit]


def fingerprint(user: str, digests: Mapping[str, str]) -> str:
    """The fingerprint of a set with these files, as cluster.render.FileSet has it."""
    return sha256(json.dumps([user, dict(sorted(digests.items()))]))[:KEPT]
