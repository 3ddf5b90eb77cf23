"""What is kept of a message, and how contents are told apart."""

from dataclasses import replace

import pytest
from confluent_kafka import Message

from standfast.records import (
    Headers,
    Record,
    content_hash,
    dead_letter_headers,
    headers_json,
    record_of,
    unfit,
)

PLAIN = Record("id", "trades", 1, 7, b"k", b'{"a": 1}', [], 5, None, None, None, b"")


def message(headers: Headers | None = None, value: bytes | None = b"v") -> Message:
    return Message("trades", 1, 7, b"k", value, headers, None, (2, 1700000000000))  # type: ignore[arg-type]


def test_a_message_becomes_a_record_with_what_its_headers_say() -> None:
    record = record_of(
        message(
            [
                ("standfast-feed", b"feed-1"),
                ("standfast-sequence", b"12"),
                ("standfast-event-time", b"1699999999999"),
            ]
        ),
        "id",
    )
    assert record.id == ("id", 1, 7)
    assert (record.feed, record.sequence) == ("feed-1", 12)
    assert (record.event_time, record.timestamp_ms) == (1699999999999, 1700000000000)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [("standfast-feed", b"feed-1")],
        [("standfast-feed", b"feed-1"), ("standfast-sequence", b"-1")],
        [("standfast-feed", b"feed-1"), ("standfast-sequence", b"99999999999999999999")],
        [("standfast-feed", b"feed\0"), ("standfast-sequence", b"1")],
        [("standfast-feed", b"\xff"), ("standfast-sequence", b"1")],
        [("standfast-feed", b"x" * 300), ("standfast-sequence", b"1")],
        [("standfast-feed", None), ("standfast-sequence", None)],
    ],
)
def test_a_feed_or_sequence_that_says_nothing_is_left_out_and_the_record_kept(
    headers: Headers | None,
) -> None:
    record = record_of(message(headers, None), "id")
    assert (record.feed, record.sequence, record.value) == (None, None, None)


def test_no_two_contents_have_the_same_hash() -> None:
    contents: list[tuple[bytes | None, bytes | None, Headers]] = [
        (b"ab", b"c", []), (b"a", b"bc", []), (b"abc", b"", []), (b"abc", None, []),
        (None, b"abc", []), (b"ab", None, [("c", b"")]), (b"ab", None, [("c", None)]),
        (b"", b"", []), (None, None, []), (b"ab", b"c", [("", b"")]),
    ]  # fmt: skip
    assert len({content_hash(*content) for content in contents}) == len(contents)


def test_headers_are_readable_and_lose_nothing() -> None:
    assert headers_json([("a", b"\xc3\xa9"), ("a", None), ("b", b"\xff\0"), ("c", b"\0")]) == (
        '[["a", "\\u00e9"], ["a", null], ["b", {"base64": "/wA="}], ["c", "\\u0000"]]'
    )


@pytest.mark.parametrize(
    ("value", "form", "reason"),
    [
        (b'{"a": 1}', "json", None),
        (b"no", None, None),
        (b"x" * 200, None, "too large: 201 bytes, max_record_bytes is 100"),
        (b"[1]", "json", "not a JSON object"),
        (None, "json", "not JSON: Expecting value"),
        (b"\xff\xff\xff", "json", "not JSON: "),
        (b"[" * 99, "json", "not JSON: "),
    ],
)
def test_what_is_not_to_be_stored_has_a_reason(
    value: bytes | None, form: str | None, reason: str | None
) -> None:
    found = unfit(replace(PLAIN, value=value), 100, form)
    assert found == reason if reason is None else (found or "").startswith(reason)


def test_a_dead_letter_says_why_and_from_where_and_keeps_the_headers() -> None:
    record = replace(PLAIN, headers=[("mine", b"1")])
    assert dead_letter_headers(record, "too large") == [
        ("standfast-dead-reason", b"too large"),
        ("standfast-dead-topic", b"trades"),
        ("standfast-dead-topic-id", b"id"),
        ("standfast-dead-partition", b"1"),
        ("standfast-dead-offset", b"7"),
        ("standfast-dead-timestamp", b"5"),
        ("mine", b"1"),
    ]
