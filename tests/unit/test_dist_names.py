"""The lists of settings: read as the programs print them, and held against what was committed."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from dist import names
from dist.errors import BuildError

PAGE = """
<ul class="config-list">
<li><h4><a id="log.x"></a><a id="brokerconfigs_log.x" href="#brokerconfigs_log.x">log.x</a></h4>
<p>See <a href="#other">this</a>:<ul><li>one</li><li>two</li></ul></p>
<table><tbody>
<tr><th>Type:</th><td>long</td></tr>
<tr><th>Default:</th><td>604800000 (7 days)</td></tr>
<tr><th>Valid Values:</th><td></td></tr>
<tr><th>Update Mode:</th><td>cluster-wide</td></tr>
</tbody></table></li>
<li><h4><a id="roles"></a><a id="brokerconfigs_roles" href="#brokerconfigs_roles">roles</a></h4>
<p>None.</p>
<table><tbody>
<tr><th>Type:</th><td>list</td></tr>
<tr><th>Default:</th><td>""</td></tr>
<tr><th>Valid Values:</th><td>[a, b]</td></tr>
<tr><th>Update Mode:</th><td>read-only</td></tr>
</tbody></table></li>
</ul>
"""


def test_kafkas_page_is_read_setting_by_setting() -> None:
    page = names.kafka_page(PAGE)
    assert list(page) == ["log.x", "roles"]
    assert page["log.x"]["Update Mode"] == "cluster-wide"
    assert names._common(page["log.x"]) == {"type": "long", "default": "604800000", "valid": None}
    assert names._common(page["roles"]) == {"type": "list", "default": "", "valid": "[a, b]"}


def test_librdkafkas_table_is_read_with_scope_and_alias() -> None:
    page = (
        "Property | C/P | Range | Default | Importance | Description\n"
        "---------|-----|-------|--------:|------------|------------\n"
        "acks     |  P  | -1 .. 1000 | -1 | high | Alias for `request.required.acks`: a | b. "
        "<br>*Type: integer*\n"
    )
    assert names.librdkafka_page(page) == {
        "acks": {
            "type": "integer",
            "default": "-1",
            "valid": "-1 .. 1000",
            "scope": "P",
            "alias_of": "request.required.acks",
        }
    }


def class_file(*constants: str) -> bytes:
    """The beginning of a class file: its constant pool, with a long (two places) in front."""
    pool = b"\x05" + bytes(8)
    for text in constants:
        pool += b"\x01" + len(text).to_bytes(2, "big") + text.encode()
    return b"\xca\xfe\xba\xbe" + bytes(4) + (len(constants) + 3).to_bytes(2, "big") + pool


@pytest.fixture
def libs(tmp_path: Path) -> Path:
    """A jar whose classes hold a few of ZooKeeper's names."""
    with ZipFile(tmp_path / "zookeeper-3.9.5.jar", "w") as jar:
        held = ["tickTime", "server.", "zookeeper.forceSync", "keyStore.type", "jute.maxbuffer"]
        jar.writestr("a/B.class", class_file(*held))
    return tmp_path


def test_zookeepers_names_say_where_they_can_be_set(libs: Path) -> None:
    table = libs / "table.txt"
    table.write_text(
        "# a comment\nfile tickTime ms 3000\nfile server.* address\nprop forceSync string yes\n"
        "ssl keyStore.type string\njava jute.maxbuffer bytes 1048575\n"
    )
    found = names.zookeeper(libs, table)
    assert found["tickTime"] == {
        "type": "ms",
        "default": "3000",
        "property": None,
        "in_file": True,
    }
    assert found["server.*"]["default"] is None
    assert found["forceSync"]["property"] == "zookeeper.forceSync"
    assert found["ssl.quorum.keyStore.type"]["property"] == "zookeeper.ssl.quorum.keyStore.type"
    assert (found["jute.maxbuffer"]["property"], found["jute.maxbuffer"]["in_file"]) == (
        "jute.maxbuffer",
        False,
    )


def test_a_name_that_zookeepers_classes_do_not_hold_is_refused(libs: Path) -> None:
    table = libs / "table.txt"
    table.write_text("file tickTime ms 3000\nprop forceSyncc string yes\n")
    with pytest.raises(BuildError, match=r"dist/table.txt:2: zookeeper.forceSyncc is not in"):
        names.zookeeper(libs, table)


def test_a_list_that_differs_from_the_committed_one_is_refused_with_its_first_difference(
    tmp_path: Path,
) -> None:
    fresh: dict[str, names.Names] = {"kafka-topic": {"a": {"default": "1"}, "b": {"default": "2"}}}
    with pytest.raises(BuildError, match=r"cluster/names/kafka-topic.json: is missing"):
        names.check(fresh, tmp_path)
    names.write(fresh, tmp_path)
    names.check(fresh, tmp_path)
    fresh["kafka-topic"]["b"] = {"default": "3"}
    message = r'b is {"default": "2"} there, {"default": "3"} in what was built'
    with pytest.raises(BuildError, match=message):
        names.check(fresh, tmp_path)
    (tmp_path / "kafka-topic.json").write_text("{")
    with pytest.raises(BuildError, match="is no JSON"):
        names.check(fresh, tmp_path)


def test_a_page_that_was_not_understood_is_refused() -> None:
    with pytest.raises(BuildError, match="only 0 settings were understood"):
        names.plausible({"librdkafka": {}})


@pytest.mark.parametrize(
    ("title", "name", "facts"),
    [
        ("kafka-broker", "min.insync.replicas", {"default": "1", "update": "cluster-wide"}),
        ("kafka-broker", "broker.id", {"type": "int", "update": "read-only"}),
        ("kafka-topic", "retention.ms", {"broker_setting": "log.retention.ms"}),
        ("zookeeper", "snapshot.trust.empty", {"property": "zookeeper.snapshot.trust.empty"}),
        ("zookeeper", "forceSync", {"default": "yes"}),
        ("librdkafka", "enable.idempotence", {"default": "false", "scope": "P"}),
        ("librdkafka", "auto.offset.reset", {"default": "largest", "scope": "C"}),
    ],
)
def test_the_committed_lists_know_the_settings_that_guard_data(
    title: str, name: str, facts: dict[str, str]
) -> None:
    known = json.loads((names.FOLDER / f"{title}.json").read_text())
    assert {key: known[name][key] for key in facts} == facts
