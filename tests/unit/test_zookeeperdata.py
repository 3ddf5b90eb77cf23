"""A voter starts on what ZooKeeper wrote, torn ends and all, and on nothing that is damaged."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from standfast import zookeeperdata

HEAD = struct.pack(">4siq", b"ZKLG", 2, 0)
ZEROS = bytes(5000)


def transaction(zxid: int, size: int = 100) -> bytes:
    """An entry of the log: a TxnHeader, and what nobody here reads."""
    content = struct.pack(">qiqqi", 7, 1, zxid, 1_700_000_000_000, 5) + b"A tree's Branch." * size
    return struct.pack(">qi", zlib.adler32(content), len(content)) + content + b"B"


def snapshot(folder: Path, zxid: int) -> Path:
    content = b"ZKSN" + b"a tree" * 200
    content += struct.pack(">qi1s", zlib.adler32(content), 1, b"/")
    content += struct.pack(">qi1s", zlib.adler32(content), 1, b"/")
    path = folder / f"snapshot.{zxid:x}"
    path.write_bytes(content)
    return path


def log(folder: Path, first: int, last: int) -> Path:
    path = folder / f"log.{first:x}"
    path.write_bytes(HEAD + b"".join(map(transaction, range(first, last + 1))) + ZEROS)
    return path


@pytest.fixture
def voter(tmp_path: Path) -> Path:
    """Snapshots at 10 and at 20, logs 1 to 10, 11 to 20 and 21 to 30, with zeros behind."""
    for first in (1, 11, 21):
        log(tmp_path, first, first + 9)
    for zxid in (10, 20):
        snapshot(tmp_path, zxid)
    return tmp_path


def fault(folder: Path) -> str:
    return zookeeperdata.fault(folder, folder)


def flip(path: Path, at: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def test_whole_data_and_none_let_a_voter_start(voter: Path, tmp_path: Path) -> None:
    assert fault(voter) == ""
    assert fault(tmp_path / "empty") == ""


# --- the log ---

SIZE = len(transaction(0))
LAST = len(HEAD) + 9 * SIZE  # where a log's last transaction begins
TORN: dict[str, Callable[[bytes], bytes]] = {
    "within its checksum": lambda entry: entry[:6],
    "behind its checksum": lambda entry: entry[:8],
    "within its length": lambda entry: entry[:11],
    "behind its length": lambda entry: entry[:12],
    "within its content": lambda entry: entry[:700],
    "before its B": lambda entry: entry[:-1],
}


@pytest.mark.parametrize("behind", [b"", bytes(1), ZEROS], ids=["end", "one zero", "zeros"])
@pytest.mark.parametrize("how", TORN)
@pytest.mark.parametrize("name", ["log.b", "log.15"])
def test_a_torn_end_of_a_log_is_no_damage(voter: Path, name: str, how: str, behind: bytes) -> None:
    path = voter / name
    whole = path.read_bytes().removesuffix(ZEROS)
    path.write_bytes(whole + TORN[how](transaction(99)) + behind)
    assert fault(voter) == ""


@pytest.mark.parametrize("how", ["within its content", "before its B"])
def test_what_goes_on_behind_a_torn_transaction_is_damage(voter: Path, how: str) -> None:
    path = voter / "log.15"
    entry = TORN[how](transaction(99)).ljust(SIZE, b"\0")
    path.write_bytes(path.read_bytes().removesuffix(ZEROS) + entry + transaction(100) + ZEROS)
    assert "goes on behind it" in fault(voter)


@pytest.mark.parametrize("at", [LAST + 5, LAST + 700, LAST + SIZE - 2])
def test_a_transaction_with_its_b_and_a_wrong_checksum_is_damage(voter: Path, at: int) -> None:
    flip(voter / "log.15", at)
    assert "fails its checksum" in fault(voter)


def test_another_letter_in_the_place_of_the_last_b_is_damage(voter: Path) -> None:
    flip(voter / "log.15", LAST + SIZE - 1)
    assert "has no end" in fault(voter)


@pytest.mark.parametrize("number", [0, 8, 9], ids=["first", "last but one", "last"])
@pytest.mark.parametrize("bit", range(31))
def test_a_wrong_length_is_no_torn_end(voter: Path, number: int, bit: int) -> None:
    flip(voter / "log.15", len(HEAD) + number * SIZE + 11 - bit // 8, bit % 8)
    assert "log.15" in fault(voter), "it may reach into the zeros, or behind the end"


def test_overwritten_transactions_are_no_torn_end_where_whole_ones_follow(voter: Path) -> None:
    path = voter / "log.15"
    content = bytearray(path.read_bytes())
    content[len(HEAD) + SIZE : len(HEAD) + SIZE + 512] = b"\x13" * 512
    path.write_bytes(content)
    assert "has a length that is wrong" in fault(voter)


def test_a_bit_behind_the_end_of_a_log_is_damage(voter: Path) -> None:
    flip(voter / "log.15", -3)
    assert "behind its end" in fault(voter)


def test_the_log_before_the_snapshots_next_transaction_is_read(voter: Path) -> None:
    flip(voter / "log.b", 100)
    assert "log.b" in fault(voter), "ZooKeeper reads it too, and fails"


def test_a_log_that_no_start_reads_may_be_what_it_is(voter: Path) -> None:
    flip(voter / "log.1", 100)
    assert fault(voter) == ""


# --- the snapshots ---

CUT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "its head alone": lambda whole: whole[:9],
    "cut at a page": lambda whole: whole[:512],
    "zeros to its length": lambda whole: whole[:512].ljust(len(whole), b"\0"),
    "without its last byte": lambda whole: whole[:-1],
}


def cut(path: Path, how: str = "cut at a page") -> None:
    path.write_bytes(CUT[how](path.read_bytes()))


@pytest.mark.parametrize("how", CUT)
def test_a_torn_snapshot_is_passed_over_for_an_older_one(voter: Path, how: str) -> None:
    cut(voter / "snapshot.14", how)
    assert fault(voter) == ""


def test_the_logs_from_the_older_snapshot_on_are_read(voter: Path) -> None:
    flip(voter / "log.1", 100)
    cut(voter / "snapshot.14")
    assert "log.1:" in fault(voter)


def test_a_sealed_snapshot_that_fails_its_checksum_is_damage(voter: Path) -> None:
    flip(voter / "snapshot.14", 100)
    assert "snapshot.14: fails its checksum" in fault(voter), "the older one is no way out"


def test_an_older_snapshot_that_fails_its_checksum_is_damage_where_it_is_needed(
    voter: Path,
) -> None:
    flip(voter / "snapshot.a", 100)
    assert fault(voter) == ""
    cut(voter / "snapshot.14")
    assert "snapshot.a: fails its checksum" in fault(voter)


def test_a_torn_snapshot_that_the_logs_do_not_reach_is_damage(voter: Path) -> None:
    (voter / "log.b").unlink()
    assert fault(voter) == "", "its leader sent it this snapshot, and no transactions"
    cut(voter / "snapshot.14")
    assert "snapshot.14: was not written to its end" in fault(voter)


def test_transactions_without_a_snapshot_are_refused(voter: Path) -> None:
    for path in voter.glob("snapshot.*"):
        path.unlink()
    assert "holds no snapshot" in fault(voter)


def test_transactions_with_torn_snapshots_alone_are_refused(voter: Path) -> None:
    for path in voter.glob("snapshot.*"):
        cut(path)
    assert "no older one was" in fault(voter)


@pytest.mark.parametrize("content", [HEAD[:1], HEAD[:15], ZEROS, bytes(1 << 21)])
def test_a_log_that_never_reached_the_disk_is_found(voter: Path, content: bytes) -> None:
    path = voter / "log.1f"
    path.write_bytes(content)
    assert zookeeperdata.unborn(voter) == path
    path.unlink()
    assert fault(voter) == "", "what is left is whole"


@pytest.mark.parametrize("content", [b"", HEAD, HEAD + ZEROS, HEAD + transaction(31) + ZEROS])
def test_a_log_that_zookeeper_starts_on_is_not_taken_away(voter: Path, content: bytes) -> None:
    (voter / "log.1f").write_bytes(content)
    assert zookeeperdata.unborn(voter) is None


def test_a_log_with_a_damaged_header_and_transactions_is_damage(voter: Path) -> None:
    path = voter / "log.15"
    path.write_bytes(bytes(len(HEAD)) + path.read_bytes()[len(HEAD) :])
    assert zookeeperdata.unborn(voter) is None
    assert "log.15" in fault(voter)
