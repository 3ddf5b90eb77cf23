"""Bring an archive to a host once, and unpack it whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pyinfra import host
from pyinfra.api import FileUploadCommand, operation

from cluster.render import Artifact
from dist.archive import sha256
from roles.archives.facts import Unpacked


@operation()
def unpack(wanted: Mapping[Artifact, Path]) -> Iterator[str | FileUploadCommand]:
    """Unpack each archive at its artifact's path. An upload that was cut short is found by its
    checksum.
    """
    there = host.get_fact(Unpacked)
    missing = {a: path for a, path in wanted.items() if a.path not in there}
    links = [a for a in wanted if a.link and f"{a.link} -> {a.path}" not in there]
    if not missing and not links:
        host.noop("every archive is unpacked")
        return
    for artifact, path in missing.items():
        upload = f"/var/tmp/standfast-{path.name}"
        yield FileUploadCommand(str(path), upload)
        yield " && ".join(commands(artifact, upload, sha256(path)))
    for artifact in links:
        new = f"{artifact.link}.new"
        yield f"ln -sfn {artifact.path} {new} && mv -T {new} {artifact.link}"


def commands(artifact: Artifact, upload: str, checksum: str) -> list[str]:
    """The commands that unpack `upload`; an official archive's outer folder is left out, its
    `lib` is found as `libs`.
    """
    new = f"{artifact.path}.new"
    return [
        f"echo '{checksum}  {upload}' | sha256sum --check --quiet",
        f"rm -rf {new} {artifact.path}",
        f"mkdir -p {new}",
        f"tar -C {new} -xf {upload} --strip-components={artifact.strip} --no-same-owner",
        f"if [ -d {new}/lib ] && [ ! -e {new}/libs ]; then ln -s lib {new}/libs; fi",
        # Python's own libraries are compiled once, here: a service cannot write beside them.
        f"if [ -x {new}/bin/standfast ]; then python3 -m compileall -q {new}/lib; fi",
        f"touch {new}/.whole",
        "sync",
        f"mv {new} {artifact.path}",
        f"rm -f {upload}",
    ]
