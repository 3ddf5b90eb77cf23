"""Which alarms are handed on, and when: at once, then at most once an hour and cause."""

from __future__ import annotations

import json
from typing import Any

import pytest

from standfast import alerts
from standfast.alerts import HOUR, MOST, REST, Book, Line, line_of, read, retry

START = 1_800_000_000.0


def told(lines: list[tuple[float, str]], until: float = 3 * HOUR) -> list[tuple[float, str, int]]:
    """When (seconds since START) which cause is handed on with how many more, where every
    attempt succeeds at once. `lines` are (seconds, cause).
    """
    book, found = Book(since=START), []
    for second in range(int(until) + 1):
        for at, cause in lines:
            if int(at) == second:
                line = Line(cause, f"{cause} at {second}", START + at)
                book = book.take(line, str(second), receiver=True)
        now = START + second
        while message := book.due(now, {}):
            book = book.done(message, now)
            found.append((second, message.cause, message.more))
    return found


@pytest.mark.parametrize(
    ("lines", "messages"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([(5, "a")], [(5, "a", 0)], id="at-once"),
        pytest.param([(5, "a"), (6, "b")], [(5, "a", 0), (6, "b", 0)], id="each-cause-by-itself"),
        pytest.param([(5, "a"), (5, "a"), (5, "a")], [(5, "a", 2)], id="three-at-once"),
        pytest.param([(5, "a"), (9, "a")], [(5, "a", 0), (3605, "a", 0)], id="within-the-hour"),
        pytest.param(
            [(5, "a"), *((60 * n, "a") for n in range(1, 14))],
            [(5, "a", 0), (3605, "a", 12)],
            id="thirteen-within-the-hour-are-one-and-twelve-more",
        ),
        pytest.param([(5, "a"), (3605, "a")], [(5, "a", 0), (3605, "a", 0)], id="an-hour-later"),
        pytest.param(
            [(5, "a"), (3000, "a"), (3700, "a")],
            [(5, "a", 0), (3605, "a", 0), (7205, "a", 0)],
            id="never-twice-within-an-hour",
        ),
    ],
)
def test_a_cause_is_told_at_once_and_then_once_an_hour(
    lines: list[tuple[float, str]], messages: list[tuple[float, str, int]]
) -> None:
    assert told(lines) == messages


def test_the_last_sentence_is_told_with_how_many_came_beside_it() -> None:
    book = Book(since=START)
    for n in range(3):
        book = book.take(Line("a", f"sentence {n}", START + n), str(n), receiver=True)
    message = book.due(START + 3, {})
    assert message is not None
    assert message.text == "sentence 2 (2 more in the last hour)"


def test_what_comes_during_an_attempt_is_told_an_hour_after_it() -> None:
    book = Book(since=START).take(Line("a", "first", START), "1", receiver=True)
    message = book.due(START, {})
    assert message is not None
    book = book.take(Line("a", "second", START + 5), "2", receiver=True)
    book = book.done(message, START + 8)
    assert book.due(START + 8 + HOUR - 1, {}) is None
    after = book.due(START + 8 + HOUR, {})
    assert after is not None
    assert (after.sentence, after.more) == ("second", 0)


def test_one_that_could_not_be_told_holds_up_no_other() -> None:
    book = Book(since=START)
    for cause in ("a", "b"):
        book = book.take(Line(cause, "…", START), cause, receiver=True)
    failed = book.due(START, {})
    assert failed is not None
    waits = {failed.cause: START + 5}
    other = book.due(START + 1, waits)
    assert other is not None
    assert other.cause != failed.cause
    book = book.done(other, START + 1)
    assert book.due(START + 2, waits) is None
    again = book.due(START + 5, waits)
    assert again == failed


def test_attempts_become_rarer_and_never_end() -> None:
    assert [retry(n) for n in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert [retry(n) for n in (7, 1000)] == [300, 300]


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    book = Book(since=START).take(Line("a", "…", START), "1", receiver=True)
    message = book.due(START, {})
    assert message is not None
    book = book.done(message, START)
    book = book.take(Line("a", "again", START - 5000), "2", receiver=True)
    assert book.due(START - 5000, {}) is not None


def test_without_a_receiver_alarms_are_noted_and_nothing_waits() -> None:
    book = Book(since=START).take(Line("a", "…", START), "1", receiver=False)
    assert book.causes["a"].at == START
    assert book.due(START, {}) is None


def test_any_number_of_causes_takes_bounded_room_and_loses_none() -> None:
    book = Book(since=START)
    for n in range(3 * MOST):
        book = book.take(Line(f"c{n}", "…", START + n), str(n), receiver=True)
    assert len(book.causes) == MOST + 1
    assert book.causes[REST].waiting == 2 * MOST
    assert book.causes[REST].sentence == f"c{3 * MOST - 1}: …"


def test_a_cause_that_is_over_is_forgotten_after_a_day_and_one_that_waits_never() -> None:
    book = Book(since=START)
    for cause in ("told", "waits"):
        book = book.take(Line(cause, "…", START), cause, receiver=True)
    message = book.due(START, {"waits": START + 9})
    assert message is not None
    book = book.done(message, START)
    book = book.take(Line("new", "…", START + alerts.KEPT + 1), "3", receiver=True)
    assert set(book.causes) == {"waits", "new"}


def test_the_state_file_holds_all_of_it() -> None:
    book = Book(since=START).take(Line("a", "…", START, "kafka.service"), "s=1;i=2", receiver=True)
    message = book.due(START, {})
    assert message is not None
    for one in (book, book.done(message, START + 1)):
        assert read(json.loads(json.dumps(one.as_json()))) == one


def entry(message: Any, unit: str = "kafka.service", **more: str) -> dict[str, Any]:
    time = str(int(START * 1e6))
    return {"MESSAGE": message, "_SYSTEMD_UNIT": unit, "__REALTIME_TIMESTAMP": time, **more}


PERSON = {"unit": "session-3.scope", "SYSLOG_IDENTIFIER": "standfast"}


@pytest.mark.parametrize(
    ("of", "cause", "sentence"),
    [
        (entry("alarm gate-kafka: it must not start: why"), "gate-kafka", "it must not start: why"),
        (entry("alarm conflict-My.topic_1: two"), "conflict-My.topic_1", "two"),
        (entry("out of memory"), "kafka", "out of memory"),
        (entry("alarm without a cause", "consumer-mine.service"), "consumer-mine",
         "alarm without a cause"),
        (entry("alarm test: hello", **PERSON), "test", "hello"),
        (entry("hello", **PERSON), "standfast", "hello"),
        (entry("it failed", "init.scope", UNIT="zookeeper.service"), "zookeeper", "it failed"),
        (entry(list("alarm a: fünf".encode())), "a", "fünf"),
        (entry("alarm a: two\nlines\0and a \ud800 byte"), "a", "two lines and a byte"),
    ],
)  # fmt: skip
def test_an_entry_of_the_journal_is_an_alarm(of: dict[str, Any], cause: str, sentence: str) -> None:
    line = line_of(of)
    assert line is not None
    assert (line.cause, line.sentence, line.at) == (cause, sentence, START)


@pytest.mark.parametrize(
    "of",
    [
        entry("alarm a: somebody else's", "cron.service"),
        entry("alarm a: its own words", "standfast-alert.service", SYSLOG_IDENTIFIER="standfast"),
        entry(""),
        entry(None),
        {},
    ],
)
def test_what_is_no_alarm_of_ours_is_let_alone(of: dict[str, Any]) -> None:
    assert line_of(of) is None
