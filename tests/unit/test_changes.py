"""What a deploy and a plan say of two texts."""

from __future__ import annotations

from cluster.changes import changes, line_changes

OLD = "# why\nnum.io.threads=8\nlog.dirs=/a\n"


def test_a_changed_setting_is_named_with_both_values() -> None:
    new = OLD.replace("=8", "=16")
    found = changes({"server.properties": OLD}, {"server.properties": new})
    assert found == ["server.properties: num.io.threads: 8 -> 16"]


def test_an_added_and_a_removed_setting_are_told_apart() -> None:
    assert line_changes("a=1\n", "b=2\n") == ["set b=2", "no longer a=1"]


def test_a_changed_comment_is_called_so() -> None:
    new = OLD.replace("why", "because")
    assert changes({"f": OLD}, {"f": new}) == ["f: comments only"]


def test_a_file_added_or_removed_is_named() -> None:
    assert changes({"a": ""}, {"b": ""}) == ["a: removed", "b: added"]


def test_a_setting_that_stands_twice_shows_all_its_values() -> None:
    assert line_changes("E=1\nE=2\n", "E=1\nE=3\n") == ["no longer E=2", "set E=3"]


def test_of_a_long_command_only_the_words_that_differ_are_shown() -> None:
    assert line_changes("E=a b c d e 3 f\n", "E=x 3 a b c d e 3 f\n") == ["E: (nothing) -> x 3"]
    old = "ExecStart=java -Xms1G -Xmx1G \\\n  -cp /opt/a/* \\\n  kafka.Kafka file\n"
    assert line_changes(old, old.replace("/a/", "/b/")) == ["ExecStart: /opt/a/* -> /opt/b/*"]


def test_a_line_that_is_no_setting_is_compared_too() -> None:
    assert line_changes("<root level='INFO'>", "<root level='WARN'>") == [
        "no longer <root level='INFO'>",
        "set <root level='WARN'>",
    ]
