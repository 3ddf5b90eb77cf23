"""Archives: writing them the same way every time, and reading the layout of anybody's.

The deploy takes our own archives and official ones alike. Ours have `libs/` and `bin/` at the top
and are not compressed; an official tarball is gzipped and has one folder around everything.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dist.errors import BuildError

MTIME = 315532800  # 1980-01-01: any fixed time will do, and this one is in no host's future
_MAIN_JAR = {
    "kafka": re.compile(r"kafka_2\.\d+-(\d+\.\d+\.\d+[\w.-]*?)\.jar"),
    "zookeeper": re.compile(r"zookeeper-(\d+\.\d+\.\d+[\w.-]*?)\.jar"),
}
_NOT_MAIN = re.compile(r"-(sources|javadoc|test|tests|scaladoc)\.jar$")


@dataclass(frozen=True)
class Member:
    """One file of an archive: its path inside, its mode, its content (bytes or a file to read)."""

    name: str
    mode: int
    content: bytes | Path


@dataclass(frozen=True)
class Layout:
    """What the deploy needs to know of an archive.

    prefix: the folder around everything, "" where there is none (strip this many: `strip`)
    libs: the folder of the jars below the prefix, "libs" (an official ZooKeeper's is "lib")
    version: Kafka's or ZooKeeper's own, from the name of the main jar
    compressed: whether the file is gzipped
    sha256: of the file as it is, in hex
    """

    path: Path
    service: str
    prefix: str
    libs: str
    version: str
    has_bin: bool
    compressed: bool
    sha256: str

    @property
    def strip(self) -> int:
        """For tar's --strip-components."""
        return 1 if self.prefix else 0


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(out: Path, members: Iterable[Member]) -> None:
    """Write a tar whose bytes depend on the members alone: ustar, sorted, owner root, fixed time.

    Complete or not there: it is written beside `out` and renamed.
    """
    by_name = {member.name: member for member in members}
    folders = {str(parent) for name in by_name for parent in PurePosixPath(name).parents} - {"."}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    try:
        with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name in sorted(folders | set(by_name)):
                info = tarfile.TarInfo(name)
                info.mtime, info.uname, info.gname = MTIME, "root", "root"
                if name in folders:
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(info)
                    continue
                member = by_name[name]
                data = member.content
                data = data.read_bytes() if isinstance(data, Path) else data
                info.mode, info.size = member.mode, len(data)
                tar.addfile(info, io.BytesIO(data))
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def inspect(path: Path, service: str = "kafka") -> Layout:
    """The layout of an archive of `service` ("kafka" or "zookeeper"), ours or an official one.

    Raises BuildError where the file is missing, no tar, or does not hold the service's jars.
    """
    place = str(path)
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        with tarfile.open(path, "r:gz" if compressed else "r:") as tar:
            names = [os.path.normpath(member.name) for member in tar if member.isfile()]
    except FileNotFoundError:
        raise BuildError(place, "no such archive; `make dist` builds ours") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BuildError(
            place, f"is no whole tar or tar.gz: {error}; fetch or build it again"
        ) from None
    for name in names:
        if name.startswith(("/", "..")):
            raise BuildError(place, f"holds {name}, which would land outside its folder; not used")
    prefix, libs, version = _main_jar(place, service, names)
    if service == "kafka" and not version.startswith("3."):
        raise BuildError(place, f"is Kafka {version}, which does not run on ZooKeeper; use 3.9")
    inside = f"{prefix}/bin/" if prefix else "bin/"
    has_bin = any(name.startswith(inside) for name in names)
    return Layout(path, service, prefix, libs, version, has_bin, compressed, sha256(path))


def _main_jar(place: str, service: str, names: list[str]) -> tuple[str, str, str]:
    """(prefix, folder of the jars, version) of the one main jar; BuildError if there is none."""
    found: set[tuple[str, str, str]] = set()
    for name in names:
        parts = PurePosixPath(name).parts
        match = _MAIN_JAR[service].fullmatch(parts[-1])
        if (
            match
            and not _NOT_MAIN.search(name)
            and len(parts) in (2, 3)
            and parts[-2] in ("libs", "lib")
        ):
            found.add(("" if len(parts) == 2 else parts[0], parts[-2], match[1]))
    if len(found) == 1:
        return found.pop()
    wanted = "kafka_2.13-VERSION.jar" if service == "kafka" else "zookeeper-VERSION.jar"
    if found:
        versions = ", ".join(sorted(version for *_, version in found))
        raise BuildError(place, f"holds several {wanted} ({versions}): one is wanted")
    raise BuildError(place, f"has no libs/{wanted}, so it is no {service} distribution")
