"""ZooKeeper's data on the disk: whether its start can read them, and whether that is what it wrote.

As ZooKeeper 3.9 writes them: a snapshot ends with a seal (Adler-32 over all before it, and "/"); a
transaction log has for each transaction an Adler-32, a length, the bytes and the letter B, and
zeros behind the last.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from pathlib import Path

SEAL = struct.Struct(">qi1s")
FILE = struct.Struct(">4siq")  # magic, version, database
ENTRY = struct.Struct(">qi")  # Adler-32, length
BLOCK = 1 << 20


def fault(data: Path, log: Path) -> str:
    """Why a voter must not start on these data; "" where it may. `data` and `log` are the
    directories of the snapshots and of the transaction log (their version-2).

    Looked at is what a start reads: the newest snapshot, and the logs from it on. Empty is well:
    such a voter waits for a leader. Raises OSError.
    """
    snapshots = _by_zxid(data, "snapshot.")
    logs = _by_zxid(log, "log.")
    if not snapshots:
        return f"{data} holds no snapshot, and {log} holds transactions" if logs else ""
    newest = snapshots[-1]
    if not _sealed(newest):
        return f"{newest}: fails its checksum"
    zxid = _zxid(newest)
    first = max((n for n, path in enumerate(logs) if _zxid(path) <= zxid + 1), default=0)
    for path in logs[first:]:
        if why := _log(path):
            return f"{path}: {why}"
    return ""


def _by_zxid(folder: Path, prefix: str) -> list[Path]:
    found = [p for p in folder.glob(f"{prefix}*") if _zxid(p) >= 0] if folder.is_dir() else []
    return sorted(found, key=_zxid)


def _zxid(path: Path) -> int:
    try:
        return int(path.name.rpartition(".")[2], 16)
    except ValueError:
        return -1


def _sealed(path: Path) -> bool:
    size = path.stat().st_size - SEAL.size
    if size <= 0:
        return False
    checksum = 1
    with path.open("rb") as file:
        while size > 0:
            block = file.read(min(BLOCK, size))
            if not block:
                return False
            checksum, size = zlib.adler32(block, checksum), size - len(block)
        expected, length, mark = SEAL.unpack(file.read(SEAL.size))
    return (expected, length, mark) == (checksum, 1, b"/")


def _log(path: Path) -> str:
    end = path.stat().st_size
    if end < FILE.size:
        return ""  # its first write was torn: ZooKeeper passes it over
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        magic, _, _ = FILE.unpack_from(content, 0)
        if magic != b"ZKLG":
            return "is no transaction log"
        at = FILE.size
        while at + ENTRY.size <= end:
            expected, length = ENTRY.unpack_from(content, at)
            if length == 0:
                rest = any(any(content[b : min(b + BLOCK, end)]) for b in range(at, end, BLOCK))
                return f"goes on behind its end at byte {at}" if rest else ""
            after = at + ENTRY.size + length
            if length < 0 or after + 1 > end:
                return f"the transaction at byte {at} has a length that is wrong"
            if zlib.adler32(content[at + ENTRY.size : after]) != expected:
                return f"the transaction at byte {at} fails its checksum"
            if content[after : after + 1] != b"B":
                return f"the transaction at byte {at} was not written to its end"
            at = after + 1
    return ""
