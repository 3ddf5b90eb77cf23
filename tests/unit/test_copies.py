"""A damaged copy may not lead: what the gate finds in a broker's log."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest

from standfast.copies import CLEAN, Data
from standfast.segments import Damaged, batches, end_of

PAYLOAD = b"a record of this much" * 20


def batch(base: int, records: int = 5, epoch: int = 3) -> bytes:
    """A record batch as Kafka writes one; its records are no records, and nobody reads them."""
    covered = struct.pack(">hiqqqhii", 0, records - 1, 1, 2, -1, -1, -1, records) + PAYLOAD
    crc = google_crc32c.value(covered)
    head = struct.pack(">qiibI", base, len(covered) + 9, epoch, 2, crc)
    return head + covered


SIZE = len(batch(0))


def segment(folder: Path, base: int, count: int, partition: str = "trades-0") -> Path:
    path = folder / partition / f"{base:020}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(batch(base + 5 * n) for n in range(count)))
    return path


def checkpoints(folder: Path, high: int, recovery: int) -> None:
    for name, offset in (("replication-offset", high), ("recovery-point-offset", recovery)):
        (folder / f"{name}-checkpoint").write_text(f"0\n1\ntrades 0 {offset}\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three segments, 0 to 150, all acknowledged; the last is what a recovery would read."""
    for base in (0, 50, 100):
        segment(tmp_path, base, 10)
    checkpoints(tmp_path, high=150, recovery=120)
    (tmp_path / CLEAN).touch()
    return tmp_path


def fault(folder: Path, everything: bool = False, **more: bool) -> str:
    wanted = {"compacted": False, "flushed": True, **more}
    found = Data(folder).fault("trades-0", everything=everything, **wanted)
    return str(found or "")


def flip(path: Path, at: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def last(folder: Path) -> Path:
    return folder / "trades-0" / f"{100:020}.log"


def closed(folder: Path) -> Path:
    return folder / "trades-0" / f"{0:020}.log"


def test_a_whole_copy_may_lead(folder: Path) -> None:
    assert fault(folder) == ""
    assert fault(folder, everything=True) == ""


def test_an_empty_copy_of_a_topic_without_records_may_lead(tmp_path: Path) -> None:
    segment(tmp_path, 0, 0)
    assert fault(tmp_path) == ""


def test_a_missing_copy_may_not_lead(tmp_path: Path) -> None:
    assert "is not there" in fault(tmp_path)


def test_a_copy_without_a_segment_may_not_lead(folder: Path) -> None:
    for path in (folder / "trades-0").iterdir():
        path.unlink()
    assert "holds no segment" in fault(folder)


def test_an_emptied_copy_may_not_lead(folder: Path) -> None:
    for path in (folder / "trades-0").iterdir():
        path.unlink()
    segment(folder, 0, 0)
    assert "ends at offset 0, and was acknowledged up to 150" in fault(folder)


def test_a_copy_that_lost_its_end_may_not_lead(folder: Path) -> None:
    last(folder).write_bytes(last(folder).read_bytes()[: 3 * SIZE])
    assert "ends at offset 115, and was acknowledged up to 150" in fault(folder)


def test_what_is_not_flushed_may_end_early(folder: Path) -> None:
    last(folder).write_bytes(last(folder).read_bytes()[: 3 * SIZE])
    assert fault(folder, flushed=False) == ""


def test_a_copy_that_lost_a_segment_may_not_lead(folder: Path) -> None:
    (folder / "trades-0" / f"{50:020}.log").unlink()
    assert "ends at offset 50, the next segment begins at 100" in fault(folder)
    assert fault(folder, compacted=True) == ""


@pytest.mark.parametrize("where", ["base", "length", "epoch", "magic", "checksum", "record"])
@pytest.mark.parametrize("number", [0, 4, 8])
def test_a_flipped_bit_in_the_last_segment_is_damage(folder: Path, where: str, number: int) -> None:
    byte = {"base": 7, "length": 9, "epoch": 12, "magic": 16, "checksum": 18, "record": 200}[where]
    flip(last(folder), number * SIZE + byte, bit=1 if where != "base" else 7)
    assert fault(folder)


def test_a_flipped_bit_in_the_very_last_record_is_damage(folder: Path) -> None:
    flip(last(folder), 10 * SIZE - 1)
    assert "fails its checksum" in fault(folder)


def test_a_closed_segment_is_read_where_all_are_asked_for(folder: Path) -> None:
    flip(closed(folder), 4 * SIZE + 200)
    assert fault(folder) == ""
    assert "fails its checksum" in fault(folder, everything=True)


TORN: dict[str, Callable[[bytes], bytes]] = {
    "within a record": lambda whole: whole + batch(150)[:-30],
    "within the head": lambda whole: whole + batch(150)[:40],
    "zeros behind the end": lambda whole: whole + bytes(9000),
    "zeros in the last batch": lambda whole: whole + batch(150)[:100] + bytes(SIZE - 100),
}


@pytest.mark.parametrize("how", TORN)
def test_a_torn_end_is_kafkas_own_to_mend(folder: Path, how: str) -> None:
    last(folder).write_bytes(TORN[how](last(folder).read_bytes()))
    assert fault(folder) == ""


def test_the_end_of_a_closed_segment_is_found_by_its_index(folder: Path) -> None:
    path = closed(folder)
    path.with_suffix(".index").write_bytes(struct.pack(">iiii", 20, 4 * SIZE, 40, 8 * SIZE))
    assert end_of(path) == 50
    path.with_suffix(".index").write_bytes(struct.pack(">ii", 20, 4 * SIZE + 7))
    assert end_of(path) == 50, "a bad index is no reason to find another end"


def test_what_is_damaged_is_taken_away_and_the_rest_kept(folder: Path, tmp_path: Path) -> None:
    middle = folder / "trades-0" / f"{50:020}.log"
    middle.with_suffix(".index").touch()
    flip(middle, 2 * SIZE + 200)
    data = Data(folder)
    found = data.fault("trades-0", compacted=False, flushed=True, everything=True)
    assert found is not None
    said = data.mend(found, tmp_path / "aside")
    assert "2 segments" in said
    assert [path.name for path in sorted((folder / "trades-0").iterdir())] == [closed(folder).name]
    assert len(list((tmp_path / "aside").rglob("*.*"))) == 3, "kept, for who wants to look"
    assert not (folder / CLEAN).exists(), "Kafka would recover nothing"


def test_a_batch_is_read_as_it_was_written(folder: Path) -> None:
    found = list(batches(last(folder)))
    assert [(b.base, b.last, b.epoch) for b in found][:2] == [(100, 104, 3), (105, 109, 3)]
    assert [b.position for b in found] == [n * SIZE for n in range(10)]


def test_a_bad_batch_is_named_by_its_place(folder: Path) -> None:
    flip(last(folder), 2 * SIZE + 200)
    with pytest.raises(Damaged, match=f"byte {2 * SIZE}") as caught:
        list(batches(last(folder)))
    assert caught.value.position == 2 * SIZE
