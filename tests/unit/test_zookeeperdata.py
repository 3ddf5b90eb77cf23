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


# --- what a voter holds ---

CREATE, DELETE, SET, SET_ACL, CHECK, MULTI, CREATE2, RECONFIG = 1, 2, 5, 7, 13, 14, 15, 16
CONTAINER, DELETE_CONTAINER, TTL, ERROR, SESSION, CLOSE = 19, 20, 21, -1, -10, -11


def text(words: bytes) -> bytes:
    """Bytes, or UTF-8, behind their length."""
    return struct.pack(">i", len(words)) + words


def body(kind: int, path: str) -> bytes:
    """What a transaction of this kind says of a node."""
    name = text(path.encode())
    if kind in (CREATE, CREATE2, CONTAINER, TTL):
        acl = struct.pack(">ii", 1, 31) + text(b"world") + text(b"anyone")
        return name + text(b"data") + acl + struct.pack(">?i", False, 3)
    if kind in (SET, RECONFIG):
        return name + text(b"data") + struct.pack(">i", 7)
    return name


def several(*inner: tuple[int, bytes]) -> bytes:
    """A MultiTxn."""
    parts = [struct.pack(">i", kind) + text(content) for kind, content in inner]
    return struct.pack(">i", len(inner)) + b"".join(parts)


def does(zxid: int, kind: int, content: bytes) -> bytes:
    """A TxnHeader, what the transaction does, and the digest of the tree behind it."""
    head = struct.pack(">qiqqi", 0x1000_0000_0000_0007, 1, zxid, 1_700_000_000_000, kind)
    return head + content + struct.pack(">iq", 2, 4711)


def entry(content: bytes) -> bytes:
    return struct.pack(">qi", zlib.adler32(content), len(content)) + content + b"B"


def write(folder: Path, first: int, *contents: bytes, behind: bytes = ZEROS) -> Path:
    path = folder / f"log.{first:x}"
    path.write_bytes(HEAD + b"".join(map(entry, contents)) + behind)
    return path


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (CREATE, "create"), (CREATE2, "create"), (CONTAINER, "create"), (TTL, "create"),
        (DELETE, "delete"), (DELETE_CONTAINER, "delete"), (SET, "setData"), (SET_ACL, "setACL"),
        (RECONFIG, "reconfig"),
    ],
)  # fmt: skip
def test_what_a_transaction_changed_is_named(tmp_path: Path, kind: int, word: str) -> None:
    write(tmp_path, 1, does(1, kind, body(kind, "/brokers/topics/träde")))
    assert zookeeperdata.changes(tmp_path, 0) == [f"{word} /brokers/topics/träde"]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (SESSION, struct.pack(">i", 18000)),
        (CLOSE, struct.pack(">i", 1) + text(b"/brokers/ids/2")),
        (ERROR, struct.pack(">i", -110)),
        (CHECK, text(b"/a") + struct.pack(">i", 3)),
    ],
    ids=["a session", "its end", "an error", "a check"],
)
def test_what_changed_no_node_is_no_change(tmp_path: Path, kind: int, content: bytes) -> None:
    write(tmp_path, 1, does(1, kind, content), does(2, MULTI, several((kind, content))))
    assert zookeeperdata.changes(tmp_path, 0) == []


def test_each_change_of_a_multi_is_named(tmp_path: Path) -> None:
    inner = several(
        (CHECK, text(b"/controller") + struct.pack(">i", 3)),
        (CREATE, body(CREATE, "/a")),
        (SET, body(SET, "/b")),
        (ERROR, struct.pack(">i", -110)),
        (DELETE, body(DELETE, "/c")),
    )
    write(tmp_path, 1, does(1, MULTI, inner), does(2, SET, body(SET, "/d")))
    assert zookeeperdata.changes(tmp_path, 0) == ["create /a", "setData /b", "delete /c",
                                                  "setData /d"]  # fmt: skip


def created(zxid: int) -> bytes:
    return does(zxid, CREATE, body(CREATE, f"/n{zxid}"))


def test_the_changes_after_a_transaction_are_those_behind_it(tmp_path: Path) -> None:
    write(tmp_path, 1, *map(created, (1, 2, 3)))
    write(tmp_path, 4, *map(created, (4, 0x3_0000_0001)))
    assert zookeeperdata.changes(tmp_path, 2) == [
        "create /n3",
        "create /n4",
        "create /n12884901889",
    ]
    assert zookeeperdata.changes(tmp_path, 4) == ["create /n12884901889"]
    assert zookeeperdata.changes(tmp_path, 0x3_0000_0001) == []
    assert zookeeperdata.changes(tmp_path / "empty", 0) == []


def test_no_more_changes_are_named_than_anybody_reads(tmp_path: Path) -> None:
    most = zookeeperdata.NAMED
    write(tmp_path, 1, *map(created, range(1, most)))
    crossing = several(*((CREATE, body(CREATE, f"/m{n}")) for n in range(5)))
    write(tmp_path, most, does(most, MULTI, crossing), created(most + 1))
    found = zookeeperdata.changes(tmp_path, 0)
    assert (len(found), found[0], found[-1]) == (most, "create /n1", "create /m0")


TORN_BEHIND = [b"", ZEROS, entry(created(4))[:-1], entry(created(4))[:-1] + ZEROS,
               entry(created(4))[:20], b"\0" * 11, b"\xff" * 40,
               struct.pack(">qi", 0, 5) + b"shortB"]  # fmt: skip


@pytest.mark.parametrize("behind", TORN_BEHIND)
def test_transactions_end_where_the_log_is_torn(tmp_path: Path, behind: bytes) -> None:
    path = write(tmp_path, 1, *map(created, (1, 2, 3)), behind=behind)
    assert [zxid for zxid, _ in zookeeperdata.transactions(path)] == [1, 2, 3]
    assert zookeeperdata.last(tmp_path, tmp_path) == 3
    assert zookeeperdata.changes(tmp_path, 2) == ["create /n3"]
    assert zookeeperdata.checksum(tmp_path, 4) is None


@pytest.mark.parametrize("content", [b"", HEAD[:9], HEAD, HEAD + ZEROS, ZEROS])
def test_a_log_that_was_only_begun_holds_no_transaction(voter: Path, content: bytes) -> None:
    path = voter / "log.1f"
    path.write_bytes(content)
    assert list(zookeeperdata.transactions(path)) == []
    assert zookeeperdata.logged(voter) == 30, "the log before it tells"
    assert zookeeperdata.last(voter, voter) == 30


def test_the_last_transaction_is_the_logs_or_a_snapshots(voter: Path) -> None:
    assert zookeeperdata.last(voter, voter) == zookeeperdata.logged(voter) == 30
    snapshot(voter, 40)
    assert zookeeperdata.last(voter, voter) == 40, "a leader sent it this snapshot"
    assert zookeeperdata.logged(voter) == 30
    cut(snapshot(voter, 50))
    assert zookeeperdata.last(voter, voter) == 40, "a torn one holds nothing"


def test_a_voter_with_a_snapshot_alone_logged_nothing(tmp_path: Path) -> None:
    snapshot(tmp_path, 40)
    assert zookeeperdata.last(tmp_path, tmp_path) == 40
    assert zookeeperdata.logged(tmp_path) == -1


def test_an_empty_voter_holds_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert zookeeperdata.last(folder, folder) == zookeeperdata.logged(folder) == -1


def folders(tmp_path: Path, *names: str) -> list[Path]:
    found = [tmp_path / name for name in names]
    for folder in found:
        folder.mkdir()
    return found


def test_voters_with_the_same_history_have_the_same_checksum(tmp_path: Path) -> None:
    """However each of them cut its log into files."""
    one, two = folders(tmp_path, "one", "two")
    write(one, 1, *map(created, range(1, 10)))
    write(two, 1, *map(created, range(1, 4)))
    write(two, 4, *map(created, range(4, 8)))
    write(two, 8, behind=b"")
    for zxid in (1, 3, 4, 7):
        found = zookeeperdata.checksum(one, zxid)
        assert found == zookeeperdata.checksum(two, zxid) == zlib.adler32(created(zxid))
    assert zookeeperdata.checksum(two, 8) is None, "it holds less"
    assert zookeeperdata.checksum(two, -1) is None


def test_a_transaction_that_a_log_leaps_over_has_no_checksum(tmp_path: Path) -> None:
    write(tmp_path, 1, *map(created, (1, 2, 0x3_0000_0001)))
    assert zookeeperdata.checksum(tmp_path, 3) is None


def test_another_history_has_another_checksum(tmp_path: Path) -> None:
    one, two = folders(tmp_path, "one", "two")
    write(one, 1, created(1), created(2))
    write(two, 1, created(1), does(2, CREATE, body(CREATE, "/other")))
    assert zookeeperdata.checksum(one, 1) == zookeeperdata.checksum(two, 1)
    assert zookeeperdata.checksum(one, 2) != zookeeperdata.checksum(two, 2)
