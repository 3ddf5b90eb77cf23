"""The command line: python -m dist."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dist
from dist import archive, jars, launchers, names, pytree, stamp
from dist.errors import BuildError

ROOT = pytree.ROOT
CACHE, OUT = ROOT / "build/cache", ROOT / "build/dist"
ARCHIVES = {
    "kafka": "kafka_2.13",
    "zookeeper": "zookeeper",
}  # -> the artifact that gives the version


def main(argv: list[str] | None = None) -> int:
    """Build what is not up to date; returns 1 where somebody has to act."""
    parser = argparse.ArgumentParser(
        prog="python -m dist",
        description=dist.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--relock", action="store_true", help="write dist/jars.lock and cluster/names/ anew"
    )
    parser.add_argument(
        "--python",
        action="append",
        choices=pytree.PYTHONS,
        help="the hosts' Python, for host-cp*.tar; may be repeated (default: $PYTHONS, or 3.11)",
    )
    args = parser.parse_args(argv)
    pythons = args.python or os.environ.get("PYTHONS", "").split() or ["3.11"]
    try:
        build(pythons, args.relock)
    except BuildError as error:
        print(f"standfast: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that may not be written
        print(
            f"standfast: {error.filename or 'dist'}: {error.strerror}; run again", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def build(pythons: list[str], relock: bool) -> None:
    """Everything, in the order in which one needs the other. Raises BuildError, OSError."""
    for python in pythons:
        pytree.tag(python)  # a wrong one is said before anything is built
    if relock:
        jars.write_lock({service: jars.resolve(service, CACHE) for service in ARCHIVES})
    lock = jars.read_lock()
    for service in ARCHIVES:
        tar = OUT / f"{service}-{service_version(service)}.tar"
        _report(tar, partial(java_archive, service, lock, tar))
    trees = [OUT / f"host-{pytree.tag(python)}.tar" for python in pythons]
    for python, tar in zip(pythons, trees, strict=True):
        _report(tar, partial(pytree.build_host, python, tar))
    _report(names.FOLDER, partial(check_names, lock, trees[0], relock))


def service_version(service: str) -> str:
    """Kafka's or ZooKeeper's version, as its pom asks for it."""
    return jars.version_of(jars.HERE / f"{service}.pom.xml", ARCHIVES[service])


def java_archive(service: str, lock: jars.Lock, tar: Path) -> bool:
    """Make the archive of Kafka or ZooKeeper; False where it was up to date."""
    extra = launchers.members(service)
    inputs = stamp.digest(
        [
            *(f"{jar.sha256} {jar.name}" for jar in lock.get(service, {}).values()),
            *(f"{member.name} {member.mode:o}" for member in extra),
            *(member.content for member in extra),
            Path(archive.__file__),
        ]
    )
    if stamp.is_fresh(tar, inputs):
        return False
    folder = jars.fetch(service, lock, CACHE)
    members = [archive.Member(f"libs/{jar.name}", 0o644, jar) for jar in folder.glob("*.jar")]
    archive.write(tar, [*members, *extra])
    stamp.note(tar, inputs)
    return True


def check_names(lock: jars.Lock, tree: Path, relock: bool) -> bool:
    """Hold cluster/names/ against what was built (or write it); False where nothing has changed."""
    done = CACHE / "names.json"
    committed = [] if relock else sorted(names.FOLDER.glob("*.json"))
    inputs = stamp.digest(
        [jars.LOCK, Path(names.__file__), names.ZOOKEEPER_SETTINGS, tree, *committed]
    )
    if not relock and stamp.is_fresh(done, inputs):
        return False
    kafka, zookeeper = (jars.fetch(service, lock, CACHE) for service in ARCHIVES)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="names-") as folder:
        fresh = {
            "kafka-broker": names.kafka_broker(kafka),
            "kafka-topic": names.kafka_topic(kafka),
            "zookeeper": names.zookeeper(zookeeper),
            "librdkafka": names.librdkafka(pytree.unpack_librdkafka(tree, Path(folder))),
        }
    names.plausible(fresh)
    if relock:
        names.write(fresh)
    names.check(fresh)
    if not relock:
        done.write_text(json.dumps(fresh))
        stamp.note(done, inputs)
    return True


def _report(out: Path, make: Callable[[], bool]) -> None:
    """Run one step, and say in a line what came of it."""
    started = time.monotonic()
    made = make()
    how = f"made in {time.monotonic() - started:.1f} s" if made else "up to date"
    size = f", {out.stat().st_size / 1e6:.1f} MB" if out.is_file() else ""
    print(f"{out.relative_to(ROOT)}: {how}{size}")


if __name__ == "__main__":
    sys.exit(main())
