"""What a good inventory becomes, and how a file that is none is refused."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from cluster import draft, shapes
from cluster.inventory import Alert, Collector, InventoryError, PostgresqlSink, Script, load
from tests.unit.inventory_base import LAB, loaded, problems, write

ROOT = Path(__file__).resolve().parents[2]


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "bad.yml"
    path.write_text(textwrap.dedent(text))
    with pytest.raises(InventoryError) as raised:
        load(path)
    return str(raised.value).replace(f"{tmp_path}/", "")


def test_the_lab_loads() -> None:
    cluster = load(ROOT / "inventory" / "lab.yml")
    assert cluster.is_lab
    assert list(cluster.voters) == ["kafka1", "kafka2", "kafka3", "witness1", "witness2"]
    assert list(cluster.machines) == [*cluster.voters, "db1"]
    assert cluster.bootstrap == "198.18.0.11:9092,198.18.0.12:9092,198.18.0.13:9092"
    assert cluster.zookeeper_connect.count(":2181") == 5
    assert cluster.risks == {}


def test_the_example_that_documents_the_inventory_loads_and_explains_every_key() -> None:
    path = ROOT / "inventory" / "production.example.yml"
    cluster = load(path)
    assert not cluster.is_lab
    text = path.read_text()
    keys = {*draft.REQUIRED, *draft.OPTIONAL} - {"databases"}
    for shape in vars(shapes).values():
        if isinstance(shape, type) and issubclass(shape, shapes.Shape):
            keys |= set(shape.model_fields)
    assert [key for key in sorted(keys) if f"{key}:" not in text] == []


def test_an_inventory_becomes_a_cluster(tmp_path: Path) -> None:
    cluster = loaded(tmp_path)
    assert cluster.path == tmp_path / "test.yml"
    assert cluster.promise.bytes_per_day == 10**9
    assert cluster.hosts["kafka2"].broker_id == 2
    assert cluster.topics["trades"].replication == 3
    assert cluster.canary.name == "standfast.canary"
    assert cluster.canary.partitions == 3
    assert cluster.kafka.archive == tmp_path / "build/dist/kafka.tar"
    assert isinstance(cluster.consumers["collector"], Collector)
    script = cluster.consumers["mine"]
    assert isinstance(script, Script)
    assert script.files == (Path("scripts/mine.py"),)


def test_who_is_told_of_an_alarm_is_a_program_or_an_address_or_nobody(tmp_path: Path) -> None:
    assert loaded(tmp_path).alert == Alert()
    command = loaded(tmp_path, "alert: {command: [/usr/local/bin/tell, --now]}").alert
    assert command == Alert(command=("/usr/local/bin/tell", "--now"))
    webhook = loaded(tmp_path, "alert: {webhook: 'https://hooks.example.com/x'}").alert
    assert webhook == Alert(webhook="https://hooks.example.com/x")


def test_a_password_is_read_when_it_is_needed_and_missed_with_one_sentence(tmp_path: Path) -> None:
    sink = loaded(tmp_path).sinks["warehouse"]
    assert isinstance(sink, PostgresqlSink)
    with pytest.raises(OSError, match=r"sinks\.warehouse\.password_file: .* cannot be read"):
        sink.password()
    (tmp_path / "secret").write_text("hunter2\n")
    assert sink.password() == "hunter2"


def test_voters_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    swapped = "hosts: {kafka1: {zookeeper_id: 4}}\nwitnesses: {witness1: {zookeeper_id: 1}}"
    assert next(iter(loaded(tmp_path, swapped).voters)) == "witness1"


def test_three_hosts_without_witnesses_and_a_lab_are_good(tmp_path: Path) -> None:
    assert problems(tmp_path, "witnesses: REMOVED") == []
    assert problems(tmp_path, LAB) == []


def test_requirements_need_hashes(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "locked.txt").write_text(
        "a==1 \\\n    --hash=sha256:00 # via b\n# note\n--no-index\n"
    )
    (tmp_path / "loose.txt").write_text("# note\na==1 --hash=sha256:00\nrequests>=2\n")
    locked = "consumers: {mine: {requirements: locked.txt}}"
    loose = "consumers: {mine: {requirements: loose.txt}}"
    assert problems(tmp_path, locked) == []
    assert problems(tmp_path, loose) == [
        "consumers.mine.requirements: loose.txt: requests (entry on line 3) has no"
        " --hash=sha256:…; make the file with pip-compile --generate-hashes"
    ]


def test_an_accepted_risk_needs_a_reason_and_something_to_accept(tmp_path: Path) -> None:
    flush = "kafka: {settings: {log.flush.interval.messages: 1000}}"
    path = "kafka.settings.log.flush.interval.messages"
    assert problems(tmp_path, flush, f"accept_risk: [{{setting: {path}, reason: why not}}]") == [
        "accept_risk[0].reason: must say why, in 10 characters or more, is why not"
    ]
    assert problems(tmp_path, f"accept_risk: [{{setting: {path}, reason: long enough}}]") == [
        f"accept_risk[0].setting: {path} is no risk as it stands; remove this entry"
    ]
    misspelt = "accept_risk: [{setting: kafka.settings.log.flush.messages, reason: long enough}]"
    found = problems(tmp_path, flush, misspelt)
    assert found[0] == (
        "accept_risk[0].setting: kafka.settings.log.flush.messages is no risk as it stands;"
        f" did you mean {path}?; remove this entry"
    )
    assert found[1].startswith(f"{path}: must be 1, is 1000")


def test_a_disk_that_cannot_hold_the_promise_is_refused_with_the_numbers(tmp_path: Path) -> None:
    assert problems(tmp_path, "promise: {disk: 10GB}") == [
        "promise.disk: 10 GB holds 8.0 days of 1 GB a day x replication 3 / 3 hosts with a fifth"
        " left free, but 14 days are kept and a segment goes up to 1 later;"
        " needs at least 18.8 GB"
    ]
    assert problems(tmp_path, "hosts: {kafka2: {disk: 10GB}}")[0].startswith("hosts.kafka2.disk: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; inventory/production.example.yml shows what belongs there"),
        ("# nothing\n", "is empty; inventory/production.example.yml shows what belongs there"),
        ("- a\n", "must be a mapping such as inventory/production.example.yml"),
        ("a: [1\nb: 2\n", "line 2, column 2: is not YAML: expected ',' or ']', but got ':'"),
        (
            "a:\n\tb: 1\n",
            "line 2, column 1: is not YAML: found character '\\t' that cannot start any token",
        ),
        ("a: 1\nb: {c: 1, d: 2, c: 3}\n", "b.c: stands twice, on lines 2 and 2"),
        ("a: 1\na: 2\n", "a: stands twice, on lines 1 and 2"),
        ("a: &x [*x]\n", "a[0]: must not contain itself (line 1)"),
        ("a: !danger x\n", "a: must be plain YAML, has the tag !danger (line 1)"),
    ],
)
def test_a_file_that_is_no_inventory_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    assert refusal(tmp_path, text) == f"bad.yml: {message}"


def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none.yml", "no such file; name an inventory that exists"),
        (tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(InventoryError) as raised:
            load(path)
        assert str(raised.value) == f"{path}: {message}"
    (tmp_path / "latin.yml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(InventoryError, match="must be UTF-8 text, is not at byte 9"):
        load(tmp_path / "latin.yml")


def test_words_that_older_yaml_takes_for_booleans_or_octals_are_words(tmp_path: Path) -> None:
    path = write(tmp_path)
    text = path.read_text().replace("trades", "on").replace("10.0.0.15", "'10.0.0.15'")
    path.write_text(text)
    assert "on" in load(path, tmp_path).topics
    path.write_text(text.replace("partitions: 6", "partitions: 010"))
    with pytest.raises(InventoryError, match=r"partitions: must be a whole number, is 010"):
        load(path, tmp_path)
