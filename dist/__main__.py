"""The command line: python -m dist."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

from dist import archive, jars, launchers
from dist.errors import BuildError

ROOT = Path(__file__).resolve().parent.parent
ARCHIVES = {
    "kafka": "kafka_2.13",
    "zookeeper": "zookeeper",
}  # -> the artifact that gives the version


def main(argv: list[str] | None = None) -> int:
    """Build what is not up to date; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dist", description=__doc__)
    parser.add_argument(
        "--relock", action="store_true", help="write dist/jars.lock and cluster/names/ anew"
    )
    args = parser.parse_args(argv)
    cache, out = ROOT / "build/cache", ROOT / "build/dist"
    try:
        lock = (
            jars.read_lock() if not args.relock else {a: jars.resolve(a, cache) for a in ARCHIVES}
        )
        if args.relock:
            jars.write_lock(lock)
        for name in ARCHIVES:
            java_archive(name, lock, cache, out)
    except BuildError as error:
        print(f"standfast: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"standfast: {error.filename or 'dist'}: {error.strerror}; run again", file=sys.stderr
        )
        return 1
    return 0


def java_archive(service: str, lock: jars.Lock, cache: Path, out: Path) -> Path:
    """build/dist/SERVICE-VERSION.tar, made only where its inputs or itself have changed."""
    version = jars.version_of(jars.HERE / f"{service}.pom.xml", ARCHIVES[service])
    tar = out / f"{service}-{version}.tar"
    extra = launchers.members(service)
    inputs = hashlib.sha256()
    for jar in sorted(lock.get(service, {}).values(), key=lambda jar: jar.name):
        inputs.update(f"{jar.sha256} {jar.name}\n".encode())
    for member in extra:
        content = member.content
        inputs.update(f"{member.name} {member.mode:o}\n".encode())
        inputs.update(content.read_bytes() if isinstance(content, Path) else content)
    started = time.monotonic()
    if fresh(tar, inputs.hexdigest()):
        print(f"{tar.relative_to(ROOT)}: up to date")
        return tar
    folder = jars.fetch(service, lock, cache)
    members = [archive.Member(f"libs/{jar.name}", 0o644, jar) for jar in folder.glob("*.jar")]
    archive.write(tar, [*members, *extra])
    stamp(tar, inputs.hexdigest())
    print(
        f"{tar.relative_to(ROOT)}: {tar.stat().st_size / 1e6:.1f} MB, {time.monotonic() - started:.1f} s"
    )
    return tar


def fresh(out: Path, inputs: str) -> bool:
    """Whether `out` is the file that was made from these inputs."""
    try:
        known = json.loads(out.with_name(out.name + ".stamp").read_text())
        return known == {"inputs": inputs, "sha256": archive.sha256(out)}
    except (OSError, ValueError):
        return False


def stamp(out: Path, inputs: str) -> None:
    """Note beside `out` what it was made from."""
    path = out.with_name(out.name + ".stamp")
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps({"inputs": inputs, "sha256": archive.sha256(out)}))
    os.replace(part, path)


if __name__ == "__main__":
    sys.exit(main())
