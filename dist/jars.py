"""Maven's jars, held against the lock file.

`dist/jars.lock` has one line a jar, in a section for each archive:

    [kafka]
    <sha256>  <file name>  <group:artifact:version>
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dist.archive import sha256
from dist.errors import BuildError

HERE = Path(__file__).parent
LOCK = HERE / "jars.lock"
RELOCK = "python -m dist --relock"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
# Natives of systems that no host runs.
EXCLUDED_CLASSIFIERS = "osx-x86_64,osx-aarch_64,windows-x86_64"
MAVEN_SECONDS = 900
_HEADER = """\
# Every jar of the two archives: SHA-256, file, Maven coordinates. One that differs stops the build.
# Made by `python -m dist --relock` from dist/kafka.pom.xml and dist/zookeeper.pom.xml.
"""


@dataclass(frozen=True)
class Jar:
    """One line of the lock file."""

    sha256: str
    name: str
    coordinates: str


Lock = dict[str, dict[str, Jar]]  # archive -> file name -> jar


def read_lock(path: Path = LOCK) -> Lock:
    """The lock file. Raises BuildError where it is missing or a line has another shape."""
    lock: Lock = {}
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise BuildError(
            str(path), f"is missing: take it from git, or write it with `{RELOCK}`"
        ) from None
    section: dict[str, Jar] | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = lock.setdefault(match[1], {})
            continue
        match = re.fullmatch(r"([0-9a-f]{64})  (\S+\.jar)  (\S+:\S+:\S+)", line)
        if not match or section is None:
            raise BuildError(f"{path}:{number}", f"is not `sha256  file  coordinates`: {line!r}")
        section[match[2]] = Jar(match[1], match[2], match[3])
    return lock


def write_lock(lock: Lock, path: Path = LOCK) -> None:
    """Write the lock file, sorted."""
    text = _HEADER
    for archive, jars in sorted(lock.items()):
        text += f"\n[{archive}]\n"
        text += "".join(f"{j.sha256}  {j.name}  {j.coordinates}\n" for _, j in sorted(jars.items()))
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


def version_of(pom: Path, artifact: str) -> str:
    """The version that a pom of ours asks of `artifact`."""
    match = re.search(
        rf"<artifactId>{artifact}</artifactId>\s*<version>([^<]+)</version>", pom.read_text()
    )
    if not match:
        raise BuildError(str(pom), f"asks for no {artifact}")
    return match[1]


def fetch(archive: str, lock: Lock, cache: Path) -> Path:
    """A folder with exactly the locked jars of `archive` ("kafka" or "zookeeper").

    Taken from `cache` where it has them all; else Maven fetches them. Raises BuildError that
    names the first jar that differs, is missing or is not in the lock.
    """
    folder = cache / "jars" / archive
    wanted = lock.get(archive, {})
    if folder.is_dir() and not differences(archive, wanted, _hashes(folder)):
        return folder
    with tempfile.TemporaryDirectory(dir=_made(cache), prefix="maven-") as temp:
        coordinates = _run_maven(archive, Path(temp))
        found = Path(temp) / "jars"
        problems = differences(archive, wanted, _hashes(found), coordinates)
        if problems:
            more = f" (and {len(problems) - 1} more like this)" if len(problems) > 1 else ""
            raise BuildError(problems[0].place, problems[0].what + more)
        shutil.rmtree(folder, ignore_errors=True)
        found.replace(_made(folder.parent) / archive)
    return folder


def resolve(archive: str, cache: Path) -> dict[str, Jar]:
    """What Maven brings for `archive` now, as lines for a new lock; the jars stay in the cache."""
    folder = cache / "jars" / archive
    with tempfile.TemporaryDirectory(dir=_made(cache), prefix="maven-") as temp:
        coordinates = _run_maven(archive, Path(temp))
        shutil.rmtree(folder, ignore_errors=True)
        (Path(temp) / "jars").replace(_made(folder.parent) / archive)
    return {
        name: Jar(digest, name, coordinates.get(name, "unknown:unknown:unknown"))
        for name, digest in _hashes(folder).items()
    }


def differences(
    archive: str,
    wanted: dict[str, Jar],
    found: dict[str, str],
    coordinates: dict[str, str] | None = None,
) -> list[BuildError]:
    """Each jar of `found` (file name -> SHA-256) that is not as locked, each that is missing."""
    problems = []
    for name in sorted(set(wanted) | set(found)):
        if name not in found:
            what = f"is in dist/jars.lock, but dist/{archive}.pom.xml does not bring it"
        elif name not in wanted:
            origin = (coordinates or {}).get(name, name)
            what = f"({origin}) is not in dist/jars.lock, but dist/{archive}.pom.xml brings it"
        elif found[name] != wanted[name].sha256:
            group, artifact, *_, version = wanted[name].coordinates.split(":")
            repository = f"~/.m2/repository/{group.replace('.', '/')}/{artifact}/{version}"
            problems.append(
                BuildError(
                    f"{archive}: {name}",
                    f"differs from dist/jars.lock (locked {wanted[name].sha256[:12]}…, "
                    f"found {found[name][:12]}…): delete {repository} and run again; "
                    "if it differs still, somebody changed it: do not use it",
                )
            )
            continue
        else:
            continue
        problems.append(
            BuildError(
                f"{archive}: {name}",
                f"{what}; if that is meant, run `{RELOCK}` and look at the diff",
            )
        )
    return problems


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _hashes(folder: Path) -> dict[str, str]:
    return {jar.name: sha256(jar) for jar in sorted(folder.glob("*.jar"))}


def _run_maven(archive: str, temp: Path) -> dict[str, str]:
    """Fill `temp`/jars; returns file name -> coordinates."""
    listing = temp / "list"
    command = [
        "mvn", "--batch-mode", "--quiet", "--strict-checksums",
        "--file", str(HERE / f"{archive}.pom.xml"),
        f"{PLUGIN}:copy-dependencies", f"{PLUGIN}:list",
        "-DincludeScope=runtime", f"-DexcludeClassifiers={EXCLUDED_CLASSIFIERS}",
        f"-DoutputDirectory={temp / 'jars'}", f"-DoutputFile={listing}", "-Dstyle.color=never",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_SECONDS)
    except FileNotFoundError:
        raise BuildError(
            "mvn", "not found: install it (apt-get install maven) and run again"
        ) from None
    except subprocess.TimeoutExpired:
        raise BuildError(
            "mvn", f"not done after {MAVEN_SECONDS} s: is the network slow? Run again"
        ) from None
    if done.returncode != 0 or not listing.exists():
        raise BuildError("mvn", _reason(done.stdout + done.stderr, archive))
    return _coordinates(listing.read_text())


def _reason(output: str, archive: str) -> str:
    """One sentence out of Maven's page of errors."""
    if "No space left" in output:
        return f"could not fetch the jars of {archive}, the disk is full: make room and run again"
    if re.search(r"Could not transfer|Unknown host|Connect(ion)? (to|timed)|offline mode", output):
        hint = "are the network, and a proxy in ~/.m2/settings.xml, in order? Run again"
        return f"cannot reach its repository for the jars of {archive}: {hint}"
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in output.splitlines()]
    errors = [line.removeprefix("[ERROR]").strip() for line in lines if line.startswith("[ERROR]")]
    first = (errors or [line for line in lines if line] or ["it said nothing"])[0]
    return f"could not fetch the jars of {archive}: {first[:300]}"


def _coordinates(listing: str) -> dict[str, str]:
    """File name -> coordinates, of lines `group:artifact:jar[:classifier]:version:scope`."""
    found = {}
    for line in listing.splitlines():
        match = re.match(r"\s+([\w.-]+(?::[\w.-]+){4,5})(\s|$)", line)
        if not match:
            continue
        group, artifact, _, *classifier, version, _ = match[1].split(":")
        name = "-".join([artifact, version, *classifier]) + ".jar"
        found[name] = ":".join([group, artifact, *classifier, version])
    return found
