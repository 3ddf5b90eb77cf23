"""What the feed reads: each row keeps its number, and a bad one is named and left out."""

import io
import json
from pathlib import Path

import pytest

from standfast import sources
from standfast.errors import UserError
from standfast.trades import trade


def csv(text: bytes, key: str | None = None, event_time: str | None = None) -> list[sources.Row]:
    return list(sources.csv_rows(io.BytesIO(text), "in.csv", key, event_time))


def lines(text: bytes, key: str | None = None, event_time: str | None = None) -> list[sources.Row]:
    return list(sources.json_rows(io.BytesIO(text), "in.json", key, event_time))


def test_a_csv_row_becomes_a_json_object_with_its_key_and_time() -> None:
    (row,) = csv(b"sym,at,px\nAB,2024-05-01T00:00:00Z,1.50\n", "sym", "at")
    assert (row.sequence, row.key, row.event_time) == (1, b"AB", 1714521600000)
    assert json.loads(row.value or b"") == {"sym": "AB", "at": "2024-05-01T00:00:00Z", "px": "1.50"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"a,b\n1,2\n1,2,3\n5,6\n", "in.csv:3: has 3 columns, the header line 2"),
        (b"a,b\n1,2\n,4\n5,6\n", "in.csv:3: has no 'a' to be its key"),
        (b"a,b\n1,2\n\xff,4\n5,6\n", "in.csv:3: is not UTF-8"),
        (b'a,b\n1,2\n"3"x,4\n5,6\n', "in.csv:3: ',' expected after '\"'"),
    ],
)
def test_a_bad_csv_row_is_named_and_the_others_keep_their_numbers(
    text: bytes, problem: str
) -> None:
    rows = csv(text, "a")
    assert [row.sequence for row in rows] == [1, 2, 3]
    assert [row.problem for row in rows] == [None, problem, None]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"[1]", "in.json:1: is not a JSON object"),
        (b'{"k": null}', "in.json:1: has no 'k' to be its key"),
        (b'{"k": 1, "t": "noon"}', "in.json:1: event time 'noon' is neither milliseconds nor"),
        (b'{"k": "\xff"}', "in.json:1: is not UTF-8"),
    ],
)
def test_a_bad_json_line_is_named(text: bytes, problem: str) -> None:
    (row,) = lines(text, "k", "t" if b'"t"' in text else None)
    assert row.problem is not None and row.problem.startswith(problem)


def test_a_json_line_is_sent_as_it_is() -> None:
    (row,) = lines(b'{"k" : 7,  "n": 1.10}\r\n', "k")
    assert (row.key, row.value) == (b"7", b'{"k" : 7,  "n": 1.10}')


def test_a_column_that_is_not_there_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(UserError, match=r"in\.csv: has no column 'id'; it has a, b"):
        sources.csv_rows(io.BytesIO(b"a,b\n1,2\n"), "in.csv", "id", None)


def test_the_same_seed_makes_the_same_trades() -> None:
    assert [trade(7, n) for n in range(1, 50)] == [trade(7, n) for n in range(1, 50)]
    assert trade(7, 1) != trade(8, 1)
    numbers = {json.loads(trade(7, n)[1])["trade_id"] for n in range(1, 1000)}
    assert len(numbers) == 999


def test_a_file_that_grew_is_the_same_and_one_that_changed_is_not(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("a\n1\n")
    before = sources.identity(str(path))
    path.write_text("a\n1\n2\n")
    assert sources.identity(str(path), before) == before
    path.write_text("a\n3\n2\n")
    assert sources.identity(str(path), before) != before
