"""A wrong collector.toml is refused in one line that names the setting."""

from pathlib import Path

import pytest

from standfast.__main__ import main
from standfast.collectconfig import load
from standfast.errors import UserError
from standfast.postgressink import PostgresSink

GOOD = """
name = "collector"
group = "collector"
instance = "kafka1"
topics = ["trades"]
dead_letter = "trades.dead-letter"
canary = "standfast.canary"
bootstrap = ["198.18.0.11:9092"]
state = "/tmp"
consumer = "consumer.properties"
[sink]
kind = "postgresql"
host = "198.18.0.21"
database = "standfast"
user = "standfast"
passfile = "/etc/standfast/archive/current/pgpass"
"""


def written(tmp_path: Path, text: str, properties: str = "check.crcs=true\n") -> Path:
    (tmp_path / "collector.toml").write_text(text)
    (tmp_path / "consumer.properties").write_text(properties)
    return tmp_path / "collector.toml"


def test_a_good_one_is_read_with_the_files_beside_it(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD, "# why\ncheck.crcs = true\n"))
    assert config.consumer == {"check.crcs": "true"}
    assert config.producer["acks"] == "all"  # the package's own
    sink = config.open_sink()
    assert isinstance(sink, PostgresSink)
    assert sink.name == "postgresql://standfast@198.18.0.21:5432/standfast"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "collector"', "", "name: is missing"),
        ('name = "collector"', 'name = ""', "name: must not be empty"),
        ('["trades"]', '"trades"', "topics: must be a list of texts, is 'trades'"),
        ('["trades"]', "[]", "topics: must be a list of texts, is []"),
        ('["trades"]', '["trades.dead-letter"]', "dead_letter: must not be one of the topics"),
        ("postgresql", "oracle", 'sink.kind: must be "sqlite" or "postgresql", is "oracle"'),
        ('host = "198.18.0.21"', "", "sink: host: is missing"),
        ('user = "standfast"', 'user = "s"\nport = "x"', "sink: port: must be a whole number"),
        ('user = "standfast"', 'user = "s"\nusr = "x"', "sink: usr: no such setting"),
        ("group =", "batch_size = 5\ngroup =", "batch_size: no such setting"),
        ("group =", "batch_records = 0\ngroup =", "batch_records: must be 1 to 100000"),
        ("group =", "batch_seconds = 60\ngroup =", "batch_seconds: must be over 0 and at most 5"),
        ("group =", 'format = "xml"\ngroup =', 'format: must be "json" or left out, is "xml"'),
        ("[sink]", "[sink", "is not TOML"),
        ("consumer.properties", "none.properties", "none.properties: cannot be read"),
    ],
)
def test_a_wrong_one_names_the_setting(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load(written(tmp_path, GOOD.replace(old, new, 1)))
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("check.crcs\n", "consumer.properties:1: should be name=value, is 'check.crcs'"),
        ("a=1\n# why\na=2\n", "consumer.properties:3: a is set a second time"),
    ],
)
def test_wrong_properties_name_the_line(tmp_path: Path, properties: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load(written(tmp_path, GOOD, properties))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collect", "/nowhere.toml"], "standfast: /nowhere.toml: cannot be read: No such file"),
        (["tally", "/nowhere.toml"], "standfast: /nowhere.toml: cannot be read: No such file"),
        (["colect", "x"], "standfast: colect: no such subcommand; there are collect, tally"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(message) and said.count("\n") == 1


def test_a_state_that_is_no_directory_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, GOOD.replace('"/tmp"', '"/nowhere"'))
    assert main(["collect", str(path)]) == 2
    assert "standfast: /nowhere: is not a directory" in capsys.readouterr().err
