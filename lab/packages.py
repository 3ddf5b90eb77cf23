"""Packages that hosts downloaded once, kept in build/cache so that new hosts need not again.

They reach a host as the lowest layer of its file system, in apt's own cache, where apt checks
them against the archive's checksums as it does any other. Nothing of them is installed.
"""

import os
import shutil
from pathlib import Path

from lab.plan import CACHE, Plan

ARCHIVES = Path("var/cache/apt/archives")


def cache_of(suite: str) -> Path:
    return CACHE / f"packages-{suite}"


def layer(plan: Plan) -> Path:
    """The layer of a lab's hosts: links to the cached files, since a layer must never change."""
    return plan.folder / "packages"


def lay(plan: Plan, suite: str) -> None:
    """Make the layer of a lab that is about to be built."""
    shutil.rmtree(layer(plan), ignore_errors=True)
    (layer(plan) / ARCHIVES).mkdir(parents=True)
    for path in (cache_of(suite) / ARCHIVES).glob("*.deb"):
        try:
            os.link(path, layer(plan) / ARCHIVES / path.name)
        except OSError:
            return  # another file system: the hosts download


def keep(suite: str, roots: list[Path]) -> None:
    """Copy what running hosts have downloaded into the cache; `roots` are their file systems."""
    cache = cache_of(suite) / ARCHIVES
    cache.mkdir(parents=True, exist_ok=True)
    for root in roots:
        for path in (root / ARCHIVES).glob("*.deb"):
            kept = cache / path.name
            if kept.exists():
                continue
            package, _, architecture = path.stem.split("_", 2)
            for older in cache.glob(f"{package}_*_{architecture}.deb"):
                older.unlink()
            unfinished = cache / f"{path.name}.unfinished"
            shutil.copyfile(path, unfinished)
            unfinished.rename(kept)
