"""ZooKeeper's data on the disk: whether its start can read them, and whether that is what it wrote.

As ZooKeeper 3.9 writes them: a snapshot ends with a seal (Adler-32 over all before it, and "/"); a
transaction log has for each transaction an Adler-32, a length, the bytes and the letter B, and
zeros behind the last. After a power cut or on a full disk the last transaction may lack its end,
and the newest snapshot (it is not flushed) as well: ZooKeeper passes over both, and so does this.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SEAL = struct.Struct(">qi1s")
FILE = struct.Struct(">4siq")  # magic, version, database
ENTRY = struct.Struct(">qi")  # Adler-32, length
HEADER = struct.Struct(">qiq")  # session, its count, zxid: what a transaction begins with
KIND, KIND_AT = struct.Struct(">i"), HEADER.size + 8  # what it does, behind its time
SEALED = struct.pack(">i1s", 1, b"/")
LEAST = 10  # bytes of a snapshot that ZooKeeper looks at
MARK = b"B"
BLOCK = 1 << 20


def fault(data: Path, log: Path) -> str:
    """Why a voter must not start on these data; "" where it may. `data` and `log` are the
    directories of the snapshots and of the transaction log (their version-2).

    Looked at is what a start reads: the newest snapshot that was written to its end, and the logs
    from it on. Empty is well: such a voter waits for a leader. Raises OSError.
    """
    snapshots = _by_zxid(data, "snapshot.")
    logs = _by_zxid(log, "log.")
    if not snapshots:
        return f"{data} holds no snapshot, and {log} holds transactions" if logs else ""
    torn = []
    while snapshots and not _ended(snapshots[-1]):
        torn.append(snapshots.pop())
    if not snapshots:
        return f"{torn[0]}: was not written to its end, and no older one was"
    newest = snapshots[-1]
    if not _sealed(newest):
        return f"{newest}: fails its checksum"
    # ZooKeeper begins with the log before the snapshot's next transaction, even where that one
    # begins a log of its own (FileTxnIterator.init).
    first = max((n for n, path in enumerate(logs) if _zxid(path) <= _zxid(newest)), default=0)
    zxids = {_zxid(path): path for path in torn}
    for path in logs[first:]:
        if why := _log(path, zxids):
            return f"{path}: {why}"
    # A leader's snapshot stands in for transactions that this voter never logged.
    for path in zxids.values():
        return f"{path}: was not written to its end, and {log} does not reach it from {newest}"
    return ""


def last(data: Path, log: Path) -> int:
    """The last transaction (zxid) that a voter's data hold; -1 without data. Raises OSError."""
    snapshots = [_zxid(path) for path in _by_zxid(data, "snapshot.") if _ended(path)]
    return max([logged(log), *snapshots])


def logged(log: Path) -> int:
    """The last transaction of its log; -1 where there is none: what it has, a leader sent whole, or
    it is empty. Raises OSError.
    """
    for path in reversed(_by_zxid(log, "log.")):  # the newest may have been begun, and hold nothing
        if zxids := [zxid for zxid, _ in transactions(path)]:
            return zxids[-1]
    return -1


# What a transaction does (ZooDefs.OpCode). Sessions come and go with their clients; an error
# changed nothing.
CHANGES = {1: "create", 15: "create", 19: "create", 21: "create", 2: "delete", 20: "delete",
           5: "setData", 7: "setACL", 16: "reconfig"}  # fmt: skip
MULTI = 14
NAMED = 100  # changes that are named


def changes(log: Path, after: int) -> list[str]:
    """What the transactions after `after` changed ("setData /brokers/…"), the first NAMED of them.
    Raises OSError.
    """
    found: list[str] = []
    for path in _by_zxid(log, "log."):
        for zxid, content in transactions(path):
            if zxid > after:
                found += _changes(content)
            if len(found) >= NAMED:
                return found[:NAMED]
    return found


def checksum(log: Path, zxid: int) -> int | None:
    """The checksum of a logged transaction; None where no log holds it. Two voters whose logs hold
    the same one have the same history up to it. Raises OSError.
    """
    for path in reversed(_by_zxid(log, "log.")):
        if _zxid(path) <= zxid:
            for at, content in transactions(path):
                if at == zxid:
                    return zlib.adler32(content)
    return None


def transactions(path: Path) -> Iterator[tuple[int, bytes]]:
    """The transactions of a log, each with its zxid, up to its end or to what is torn."""
    end = path.stat().st_size
    if end < FILE.size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = FILE.size
        while at + ENTRY.size <= end:
            _, length = ENTRY.unpack_from(content, at)
            begin, after = at + ENTRY.size, at + ENTRY.size + length
            if length < HEADER.size or content[after : after + 1] != MARK:
                return
            yield HEADER.unpack_from(content, begin)[2], content[begin:after]
            at = after + 1


def _changes(content: bytes) -> list[str]:
    kind = KIND.unpack_from(content, KIND_AT)[0]
    body = content[KIND_AT + KIND.size :]
    if kind != MULTI:
        return [f"{CHANGES[kind]} {_path(body)}"] if kind in CHANGES else []
    found, at = [], KIND.size
    for _ in range(KIND.unpack_from(body)[0]):
        inner, length = struct.unpack_from(">ii", body, at)
        at += 8
        if inner in CHANGES:
            found.append(f"{CHANGES[inner]} {_path(body[at : at + length])}")
        at += length
    return found


def _path(body: bytes) -> str:
    (length,) = KIND.unpack_from(body)
    return body[KIND.size : KIND.size + length].decode("utf-8", "replace")


def unborn(log: Path) -> Path | None:
    """The newest log, where not even its first bytes reached the disk: ZooKeeper does not start on
    it. Its first flush was not over, so that nothing in it was acknowledged. Raises OSError.
    """
    logs = _by_zxid(log, "log.")
    if not logs or not logs[-1].stat().st_size:
        return None
    with logs[-1].open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as found:
        end = len(found)
        return logs[-1] if end < FILE.size or _blank(found, 0, end) else None


def _by_zxid(folder: Path, prefix: str) -> list[Path]:
    found = [p for p in folder.glob(f"{prefix}*") if _zxid(p) >= 0] if folder.is_dir() else []
    return sorted(found, key=_zxid)


def _zxid(path: Path) -> int:
    try:
        return int(path.name.rpartition(".")[2], 16)
    except ValueError:
        return -1


def _ended(path: Path) -> bool:
    """Whether a snapshot ends as one does: all that ZooKeeper asks (SnapStream.isValidSnapshot)."""
    size = path.stat().st_size
    if size < LEAST:
        return False
    with path.open("rb") as file:
        file.seek(size - len(SEALED))
        return file.read() == SEALED


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


def _log(path: Path, zxids: dict[int, Path]) -> str:
    """What is wrong with a log, "" where nothing is; the zxids that it holds go out of `zxids`."""
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
            begin = at + ENTRY.size
            after = begin + length
            if length == 0:
                return "" if _blank(content, begin, end) else f"goes on behind its end at byte {at}"
            if length < 0:
                return f"the transaction at byte {at} has a length that is wrong"
            if content[after : after + 1] != MARK:
                if not _blank(content, after, end):
                    return f"the transaction at byte {at} has no end, and the log goes on behind it"
                if _hides(content, begin, end, expected):
                    return f"the transaction at byte {at} has a length that is wrong"
                return ""
            if zlib.adler32(content[begin:after]) != expected:
                return f"the transaction at byte {at} fails its checksum"
            if zxids and length >= HEADER.size:
                zxids.pop(HEADER.unpack_from(content, begin)[2], None)
            at = after + 1
    return ""


def _blank(content: mmap.mmap, begin: int, end: int) -> bool:
    return not any(any(content[at : min(at + BLOCK, end)]) for at in range(begin, end, BLOCK))


def _hides(content: mmap.mmap, begin: int, end: int, expected: int) -> bool:
    """Whether what seems torn only has a wrong length: with another one it is whole (its content
    from `begin` on, and its checksum `expected`), or a whole transaction lies behind.
    """
    checksum, done = 1, begin
    at = content.find(MARK, begin)
    while at >= 0:
        checksum, done = zlib.adler32(content[done:at], checksum), at
        if checksum == expected or _whole(content, at + 1, end):
            return True
        at = content.find(MARK, at + 1)
    return False


def _whole(content: mmap.mmap, at: int, end: int) -> bool:
    begin = at + ENTRY.size
    if begin > end:
        return False
    expected, length = ENTRY.unpack_from(content, at)
    after = begin + length
    plausible = expected >> 32 == 0 and length > 0 and content[after : after + 1] == MARK
    return plausible and zlib.adler32(content[begin:after]) == expected
