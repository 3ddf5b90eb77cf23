"""The hosts' Python programs and all they need: one tree, for hosts without pip, venv, network.

    bin/standfast   the command, with the version of Python it is made for
    lib/            the package `standfast` and its locked dependencies, from wheels alone

Wheels are chosen for the hosts' Python and libc, not for the controller's.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from dist import archive, stamp
from dist.errors import BuildError

ROOT = Path(__file__).resolve().parent.parent
CONSUMERS = ROOT / "consumers"
CACHE = ROOT / "build/cache"
PYTHONS = {"3.11": "Debian 12", "3.12": "Ubuntu 24.04", "3.13": "Debian 13"}
GLIBC = 36  # Debian 12's glibc is 2.36, the oldest of these: no wheel may ask for a newer one
EPOCH = str(archive.MTIME)
PIP_SECONDS = 600
_LAUNCHER = """\
#!/usr/bin/python3 -IS
import os
import sys

if sys.version_info[:2] != {version}:
    found = "{{}}.{{}}".format(*sys.version_info)
    sys.exit("standfast: made for Python {python}, this host has " + found + ": deploy again")
lib = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib")
sys.path.insert(0, lib)
from standfast.__main__ import main  # noqa: E402

sys.exit(main())
"""


def tag(python: str) -> str:
    """ "3.11" -> "cp311". Raises BuildError for a version that no supported system has."""
    if python not in PYTHONS:
        known = ", ".join(f"{version} ({system})" for version, system in PYTHONS.items())
        raise BuildError(f"python {python}", f"is not one of {known}")
    return "cp" + python.replace(".", "")


def build_host(python: str, out: Path, machine: str = platform.machine()) -> bool:
    """Make `out` (a tar) of our own programs; False where it was up to date."""
    lock = CONSUMERS / "requirements.lock"
    files = sources()
    names = [str(path.relative_to(CONSUMERS)) for path in files]
    inputs = stamp.digest([python, machine, *names, *files, lock, Path(__file__)])
    if stamp.is_fresh(out, inputs):
        return False
    with tempfile.TemporaryDirectory(dir=_cache(), prefix="tree-") as folder:
        temp = Path(folder)
        wheel = _own_wheel(files, temp)
        name, version = wheel.name.split("-")[:2]
        requirements = temp / "requirements.txt"
        own = f"{name}=={version} --hash=sha256:{archive.sha256(wheel)}\n"
        requirements.write_text(lock.read_text() + own)
        _install(requirements, python, machine, temp / "lib", str(lock), wheel.parent)
        launcher = _LAUNCHER.format(version=tuple(map(int, python.split("."))), python=python)
        start = archive.Member("bin/standfast", 0o755, launcher.encode())
        archive.write(out, [start, *_members(temp / "lib")])
    stamp.note(out, inputs)
    return True


def build_tree(
    requirements: Path, python: str, out: Path, machine: str = platform.machine()
) -> Path:
    """Make `out`, a tar of `lib/` with what a user's own requirements file asks for; returns `out`.

    Every line needs hashes (pip-compile --generate-hashes). Raises BuildError where the file is
    missing, a hash is missing or differs, or a package has no wheel for this Python.
    """
    if not requirements.is_file():
        raise BuildError(str(requirements), "no such requirements file")
    inputs = stamp.digest([python, machine, requirements, Path(__file__)])
    if not stamp.is_fresh(out, inputs):
        with tempfile.TemporaryDirectory(dir=_cache(), prefix="tree-") as folder:
            temp = Path(folder)
            _install(requirements, python, machine, temp / "lib", str(requirements))
            archive.write(out, _members(temp / "lib"))
        stamp.note(out, inputs)
    return out


def unpack_librdkafka(tar: Path, into: Path) -> Path:
    """Put confluent-kafka's shared libraries out of a host tree into `into`; returns librdkafka."""
    with tarfile.open(tar) as opened:
        for member in opened:
            source = opened.extractfile(member)
            if source is not None and "/confluent_kafka.libs/" in member.name:
                (into / Path(member.name).name).write_bytes(source.read())
    found = sorted(into.glob("librdkafka*.so*"))
    if not found:
        raise BuildError(str(tar), "holds no librdkafka: has confluent-kafka's wheel changed?")
    return found[0]


def _cache() -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    return CACHE


def sources() -> list[Path]:
    """What the wheel of consumers/ is made of; no tool's caches, which lie beside it."""
    top = [CONSUMERS / "pyproject.toml", CONSUMERS / "README.md"]
    inside = sorted((CONSUMERS / "standfast").rglob("*"))
    hidden = re.compile(r"/(\.|__pycache__/)")
    return [
        *top,
        *(p for p in inside if p.is_file() and not hidden.search(f"/{p.relative_to(ROOT)}")),
    ]


def _own_wheel(sources: list[Path], temp: Path) -> Path:
    """The wheel of consumers/, the same bytes each time."""
    for source in sources:
        copy = temp / "source" / source.relative_to(CONSUMERS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    command = ["wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={temp / 'own'}"]
    _pip([*command, str(temp / "source")], "consumers", environment)
    return next((temp / "own").glob("*.whl"))


def _install(
    requirements: Path, python: str, machine: str, lib: Path, place: str, *more_wheels: Path
) -> None:
    """Fill `lib` from wheels, those of the cache where it has them all, else fetched into it."""
    wheels = _cache() / f"wheels-{tag(python)}-{machine}"
    wheels.mkdir(exist_ok=True)
    target = [
        "--require-hashes", "--only-binary=:all:", "--implementation=cp",
        f"--python-version={python}", f"--abi={tag(python)}", "--abi=abi3", "--abi=none",
        *(f"--platform=manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)),
        f"--platform=manylinux2014_{machine}", f"--requirement={requirements}",
    ]  # fmt: skip
    found = [f"--find-links={folder}" for folder in (wheels, *more_wheels)]
    install = ["install", "--no-index", "--no-compile", f"--target={lib}", *found, *target]
    try:
        _pip(install, place)
    except BuildError:
        links = [f"--find-links={folder}" for folder in more_wheels]
        _pip(["download", f"--dest={wheels}", *links, *target], place)
        for own in more_wheels:  # pip copies these as well; an old one would hide the next
            for wheel in own.glob("*.whl"):
                (wheels / wheel.name).unlink(missing_ok=True)
        shutil.rmtree(lib, ignore_errors=True)
        _pip(install, place)


def _members(lib: Path) -> list[archive.Member]:
    """The files of a tree, less what pip notes for itself and scripts with this machine's paths."""
    shutil.rmtree(lib / "bin", ignore_errors=True)
    members = []
    for path in lib.rglob("*"):
        own_note = path.parent.suffix == ".dist-info" and path.name in (
            "RECORD",
            "INSTALLER",
            "REQUESTED",
        )
        if path.is_file() and not own_note and "__pycache__" not in path.parts:
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            members.append(archive.Member(f"lib/{path.relative_to(lib)}", mode, path))
    return members


def _pip(arguments: list[str], place: str, environment: dict[str, str] | None = None) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_SECONDS, env=environment
        )
    except subprocess.TimeoutExpired:
        what = (
            f"pip {arguments[0]} was not done after {PIP_SECONDS} s: is the network slow? Run again"
        )
        raise BuildError(place, what) from None
    if done.returncode != 0:
        raise BuildError(place, _reason(done.stdout + done.stderr))


def _reason(output: str) -> str:
    """One sentence out of pip's page."""
    if "No space left" in output:
        return "the disk is full: make room and run again"
    if "No module named" in output:
        missing = output.rsplit("No module named", 1)[1].strip().splitlines()[0]
        return f"this Python has no module {missing}: run `make setup`, and this with its Python"
    if match := re.search(r"DO NOT MATCH THE HASHES.*?\n\s+(\S.*?) from ", output, re.DOTALL):
        return (
            f"{match[1]}: what was fetched differs from its locked hash; not used. Run again, once"
        )
    if re.search(r"NewConnectionError|NameResolutionError|ConnectTimeout|ProxyError", output):
        return "pip cannot reach its index: is the network in order? Run again"
    if "Hashes are required" in output:
        return "a package has no hash: make the file with pip-compile --generate-hashes"
    if match := re.search(r"satisfies the requirement (\S+)", output):
        return f"{match[1]}: there is no wheel of it for this Python, and only wheels are taken"
    errors = [line[6:].strip() for line in output.splitlines() if line.startswith("ERROR:")]
    return f"pip: {errors[0] if errors else output.strip()[-200:] or 'it said nothing'}"
