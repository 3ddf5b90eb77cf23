"""Stage sets under their fingerprint, and bring a service up on its set for the first time."""

from __future__ import annotations

import io
import shlex
import tarfile
from collections.abc import Iterator

from pyinfra import host
from pyinfra.api import FileUploadCommand, operation

from cluster.render import SETS, FileSet
from roles.sets.facts import SetState, read

Commands = Iterator[str | FileUploadCommand]


@operation()
def stage(sets: list[FileSet]) -> Commands:
    """Bring every set of `sets` whose files are not whole on the host, in one archive, and point
    `staged` to it.

    What runs is not touched: `current` stays.
    """
    found = read(host)
    missing = [s for s in sets if not _is_staged(s, found.get(s.service))]
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
            link(s, "staged"),
        ]
    return [*commands, f"rm -rf {SETS}/.new {upload}", "sync"]


def link(wanted: FileSet, name: str) -> str:
    """The command that points a set's link `name` to it, by a rename: a power cut leaves the old
    or the new.
    """
    folder = f"{SETS}/{wanted.service}"
    return (
        f"ln -sfn {wanted.fingerprint} {folder}/.{name} && mv -T {folder}/.{name} {folder}/{name}"
    )


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
    stopped.

    `current` is moved only while the service was never healthy on it (`good` is not set): from then
    on only a roll moves it. `wait` is a command that returns when the service is healthy, or fails
    with a sentence; `then` is run where the set's files took effect. What runs is left alone.
    """
    state = read(host).get(wanted.service) or SetState()
    first = state.good is None or (wanted.unit is None and state.current != wanted.fingerprint)
    links = {
        target: f"{SETS}/{wanted.service}/current/{name}" for name, target in wanted.links.items()
    }
    # `systemctl disable` takes a linked unit's own link away as well.
    missing = {t: source for t, source in links.items() if state.links.get(t) != source}
    up = wanted.unit is None or (state.active and state.enabled)
    if not first and not missing and up:
        host.noop(f"{wanted.service} is up")
        return
    if first:
        yield link(wanted, "current")
    for target, source in missing.items():
        yield f"mkdir -p {target.rsplit('/', 1)[0]} && ln -sfn {source} {target}"
    if links:
        yield "systemctl daemon-reload"
    if then:
        yield then
    if wanted.unit:
        yield f"systemctl enable --quiet {wanted.unit}"
        # A first start that failed is tried again on what is staged now.
        restart = first and state.running != wanted.fingerprint
        yield f"systemctl {'restart' if restart else 'start'} --no-block {wanted.unit}"
    if wait:
        yield wait
    if first:
        yield f"{link(wanted, 'good')} && sync"


def _is_staged(wanted: FileSet, state: SetState | None) -> bool:
    return (
        state is not None
        and state.staged == wanted.fingerprint
        and state.staged_digests == wanted.digests
    )
