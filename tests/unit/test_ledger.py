"""The ledger: what it holds was flushed; what a crash tore off was not acknowledged."""

from pathlib import Path

import pytest

from standfast.errors import UserError
from standfast.ledger import LedgerWriter, acknowledgements, pauses, read_head, read_ledger
from standfast.ranges import Ranges


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.ledger"


def begin(path: Path, resume: bool = False, topic: str = "trades", source: str = "generator 1"):
    return LedgerWriter(path, "feed-1", topic, source, resume)


def written(path: Path, *lines: str) -> Path:
    writer = begin(path)
    writer.add(lines)
    writer.sync()
    writer.close()
    return path


def test_what_was_synced_is_read_again(path: Path) -> None:
    written(path, "2 0 10 1700000000000 3.5", "1 1 7 1700000000100 4.0")
    ledger = read_ledger(path)
    assert (ledger.feed, ledger.topic, ledger.source, ledger.runs) == (
        "feed-1", "trades", "generator 1", 1,
    )  # fmt: skip
    assert ledger.acknowledged == Ranges([(1, 2)])
    line = next(acknowledgements(path))
    assert (line.sequence, line.partition, line.offset, line.at, line.latency) == (
        2, 0, 10, 1700000000000, 3.5,
    )  # fmt: skip


def test_a_torn_last_line_is_no_acknowledgement(path: Path) -> None:
    written(path, "1 0 0 1700000000000 1.0")
    whole = path.read_bytes()
    for torn in (b"2", b"2 0 1 1700000000", b"2 0 1 1700000000100 1.0"):
        path.write_bytes(whole + torn)
        assert read_ledger(path).acknowledged == Ranges([(1, 1)])


def test_blocks_that_a_power_cut_left_unwritten_are_a_torn_end(path: Path) -> None:
    written(path, "1 0 0 1700000000000 1.0")
    path.write_bytes(path.read_bytes() + b"\0" * 4096)
    assert read_ledger(path).acknowledged == Ranges([(1, 1)])


def test_going_on_cuts_the_torn_end_off(path: Path) -> None:
    written(path, "1 0 0 1700000000000 1.0")
    path.write_bytes(path.read_bytes() + b"2 0 1 17000")
    writer = begin(path, resume=True)
    writer.add(["3 0 2 1700000000300 1.0"])
    writer.sync()
    writer.close()
    ledger = read_ledger(path)
    assert ledger.acknowledged == Ranges([(1, 1), (3, 3)])
    assert ledger.once == Ranges([(1, 1)])
    assert ledger.runs == 2


def test_damage_before_the_end_is_refused_by_its_line(path: Path) -> None:
    written(path, "1 0 0 1700000000000 1.0", "2 0 1 1700000000100 1.0")
    path.write_bytes(path.read_bytes().replace(b"\n1 0 0 ", b"\n1 x 0 "))
    with pytest.raises(UserError, match=r"feed\.ledger:3: is damaged"):
        read_ledger(path)


def test_an_offset_that_the_broker_did_not_say_is_read(path: Path) -> None:
    written(path, "1 0 -1 1700000000000 1.0")
    assert read_ledger(path).acknowledged == Ranges([(1, 1)])


def test_what_came_after_something_was_sent_again_is_told_apart(path: Path) -> None:
    writer = begin(path)
    writer.add(["1 0 0 1700000000000 1.0"])
    writer.again()
    writer.add(["2 0 1 1700000000100 1.0"])
    writer.sync()
    writer.close()
    assert read_ledger(path).once == Ranges([(1, 1)])


def test_a_ledger_that_exists_is_never_begun_anew(path: Path) -> None:
    written(path, "1 0 0 1700000000000 1.0")
    with pytest.raises(UserError, match="exists already: go on from it with --resume"):
        begin(path)


@pytest.mark.parametrize("beginning", [b"", b"# standfast-le", b'# standfast-ledger 1 {"feed": "f'])
def test_a_ledger_killed_before_its_first_line_was_whole_is_begun_anew(
    path: Path, beginning: bytes
) -> None:
    path.write_bytes(beginning)
    written(path, "1 0 0 1700000000000 1.0")
    assert read_ledger(path).acknowledged == Ranges([(1, 1)])


@pytest.mark.parametrize("what", [{"topic": "orders"}, {"source": "generator 2"}])
def test_going_on_with_another_input_is_refused(path: Path, what: dict[str, str]) -> None:
    written(path, "1 0 0 1700000000000 1.0")
    with pytest.raises(UserError, match="is of another"):
        begin(path, resume=True, **what)
    assert read_ledger(path).runs == 1


def test_two_feeds_cannot_write_one_ledger(path: Path) -> None:
    first = begin(path)
    with pytest.raises(UserError, match="another feed is writing it"):
        begin(path, resume=True)
    first.close()


@pytest.mark.parametrize("content", [b"", b"hello\n", b"# standfast-ledger 1 {}\n"])
def test_another_file_is_not_taken_for_a_ledger(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not a ledger"):
        read_head(path)


def test_the_longest_pause_is_found_overall_and_by_partition(path: Path) -> None:
    written(
        path,
        "1 0 0 1700000000000 1.0",
        "2 1 0 1700000001000 1.0",
        "3 1 1 1700000003500 2400.0",
        "4 0 1 1700000004000 1.0",
    )
    found = pauses(acknowledgements(path))
    assert (found.longest, found.longest_at) == (2.5, 1700000003500)
    assert found.by_partition == {0: 4.0, 1: 2.5}
    assert found.slowest == 2.4


def test_the_time_between_two_runs_is_no_pause(path: Path) -> None:
    written(path, "1 0 0 1700000000000 1.0")
    writer = begin(path, resume=True)
    writer.add(["2 0 1 1800000000000 1.0"])
    writer.sync()
    writer.close()
    assert pauses(acknowledgements(path)).longest == 0.0
