"""What an output was made from, noted beside it: a second build does only what is due."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from dist.archive import sha256


def digest(parts: Iterable[str | bytes | Path]) -> str:
    """One SHA-256, in hex, over texts, bytes and the contents of files."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part
        data = data.encode() if isinstance(data, str) else data
        total.update(hashlib.sha256(data).digest())  # so that a border between two parts counts
    return total.hexdigest()


def is_fresh(out: Path, inputs: str) -> bool:
    """Whether `out` is, byte for byte, the file that was made from these inputs."""
    try:
        known = json.loads(_stamp(out).read_text())
        return bool(known == {"inputs": inputs, "sha256": sha256(out)})
    except (OSError, ValueError):
        return False


def note(out: Path, inputs: str) -> None:
    """Note what `out` was made from; called last, so that a build cut short is done again."""
    part = _stamp(out).with_suffix(".part")
    part.write_text(json.dumps({"inputs": inputs, "sha256": sha256(out)}))
    part.replace(_stamp(out))


def _stamp(out: Path) -> Path:
    return out.with_name(f".{out.name}.stamp")
