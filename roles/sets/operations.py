"""Stage sets under their fingerprint, and bring a service up on its set for the first time."""

from __future__ import annotations

import io
import shlex
import tarfile
from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import FileUploadCommand, operation

from cluster.commands import link
from cluster.due import is_staged
from cluster.observed import MachineSeen, SetSeen
from cluster.render import SETS, FileSet
from roles.sets.facts import read

Commands = Iterator[str | FileUploadCommand]


@operation()
def stage(sets: list[FileSet]) -> Commands:
    """Bring every set of `sets` whose files are not whole on the host, in one archive, and point
    `staged` to it.

    What runs is not touched: `current` stays.
    """
    there = _there(read(host))
    missing = [s for s in sets if not is_staged(s, there.get(s.service, SetSeen()))]
    if not missing:
        host.noop("every set is staged")
        return
    upload = f"{SETS}.tar"
    yield FileUploadCommand(io.BytesIO(archive(missing)), upload)
    yield " && ".join([f"rm -rf {SETS}/.new", f"mkdir -p {SETS}/.new", *unpack(missing, upload)])


def unpack(sets: list[FileSet], upload: str) -> list[str]:
    """The commands that put the archive's sets in their places, each by a rename, so that none
    is ever half there.
    """
    commands = [f"tar -C {SETS}/.new -xf {upload}"]
    for s in sets:
        commands += [
            f"chown {s.user} {SETS}/.new/{s.service}/{s.fingerprint}/{shlex.quote(name)}"
            for name in sorted(s.secrets)
        ]
        commands += [
            f"mkdir -p {SETS}/{s.service}",
            # One that lies there already may be what a process runs on: it is gone for no longer
            # than two renames.
            f"rm -rf {s.path}.old",
            f"if [ -e {s.path} ]; then mv {s.path} {s.path}.old; fi",
            f"mv {SETS}/.new/{s.service}/{s.fingerprint} {s.path}",
            f"rm -rf {s.path}.old",
            link(s.service, s.fingerprint, "staged"),
        ]
    return [*commands, f"rm -rf {SETS}/.new {upload}", "sync"]


def archive(sets: list[FileSet]) -> bytes:
    """A tar of the sets, <service>/<fingerprint>/<file>, owned by root; a secret can be read by
    its owner alone.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for s in sets:
            for name, text in sorted(s.files.items()):
                data = text.encode()
                info = tarfile.TarInfo(f"{s.service}/{s.fingerprint}/{name}")
                info.size, info.mode = len(data), 0o400 if name in s.secrets else 0o644
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@operation()
def activate(wanted: FileSet, wait: str | None = None, then: str | None = None) -> Commands:
    """Bring a service up: on its staged set the first time, on the set it had where it merely
    stopped. `bring_up` says how.
    """
    commands = bring_up(wanted, read(host), wait, then)
    if not commands:
        host.noop(f"{wanted.service} is up, or left to the roll")
    yield from commands


def bring_up(
    wanted: FileSet, seen: MachineSeen | None, wait: str | None = None, then: str | None = None
) -> list[str]:
    """The commands that bring a service up; none where it runs.

    `current` is moved only while the service was never healthy on it (`good` is not set): from then
    on only a roll moves it, and what does not run though another set is staged is the roll's too:
    it may be broken by the set that it has. `wait` is a command that returns when the service is
    healthy, or fails with a sentence; `then` is run where the set's files took effect.
    """
    here = _there(seen).get(wanted.service, SetSeen())
    unit = seen.units.get(wanted.unit or "", {}) if seen else {}
    active, enabled = unit.get("ActiveState") == "active", unit.get("UnitFileState") == "enabled"
    first = here.good is None or (wanted.unit is None and here.current != wanted.fingerprint)
    left = wanted.unit is not None and not first and here.current != wanted.fingerprint
    links = {
        target: f"{SETS}/{wanted.service}/current/{name}" for name, target in wanted.links.items()
    }
    # `systemctl disable` takes a linked unit's own link away as well.
    known = seen.links if seen else {}
    missing = {t: source for t, source in links.items() if known.get(t) != source}
    up = wanted.unit is None or ((active or left) and enabled)
    if not first and not missing and up:
        return []
    commands = [link(wanted.service, wanted.fingerprint, "current")] if first else []
    for target, source in missing.items():
        commands.append(f"mkdir -p {target.rsplit('/', 1)[0]} && ln -sfn {source} {target}")
    if links:
        commands.append("systemctl daemon-reload")
    if then:
        commands.append(then)
    if wanted.unit:
        commands.append(f"systemctl enable --quiet {wanted.unit}")
    if wanted.unit and (first or not (active or left)):
        # A first start that failed is tried again on what is staged now.
        word = "restart" if first and here.running != wanted.fingerprint else "start"
        commands.append(f"systemctl {word} --no-block {wanted.unit}")
        commands += [wait] if wait else []
    if first:
        commands.append(f"{link(wanted.service, wanted.fingerprint, 'good')} && sync")
    return commands


def _there(seen: MachineSeen | None) -> dict[str, SetSeen]:
    return dict(seen.sets) if seen else {}
