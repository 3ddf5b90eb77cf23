"""Every way in which an inventory is refused, with the exact message: the table is refusals.yml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cluster.inventory import InventoryError
from tests.unit.inventory_base import LAB, loaded, problems

ROWS: dict[str, list[dict[str, str]]] = yaml.safe_load(
    Path(__file__).with_name("refusals.yml").read_text(encoding="utf-8")
)
ACCEPT = "; if you mean it, give the reason under accept_risk"


def table(name: str) -> pytest.MarkDecorator:
    """One test for each row of a part of the table."""
    return pytest.mark.parametrize(
        ("over", "says"), [pytest.param(r["over"], r["says"], id=r["over"]) for r in ROWS[name]]
    )


@table("shapes")
def test_an_entry_of_the_wrong_shape_is_refused(tmp_path: Path, over: str, says: str) -> None:
    assert problems(tmp_path, over) == [says]


@table("machines")
def test_machines_that_cannot_be_a_cluster_are_refused(
    tmp_path: Path, over: str, says: str
) -> None:
    assert problems(tmp_path, over) == [says]


@table("in_a_lab")
def test_a_lab_that_could_reach_other_machines_is_refused(
    tmp_path: Path, over: str, says: str
) -> None:
    assert problems(tmp_path, LAB, over) == [says]


@table("references")
def test_a_reference_to_nothing_and_an_illegal_name_are_refused(
    tmp_path: Path, over: str, says: str
) -> None:
    assert problems(tmp_path, over) == [says]


@table("settings")
def test_a_setting_that_cannot_be_is_refused(tmp_path: Path, over: str, says: str) -> None:
    assert problems(tmp_path, over) == [says]


@table("unsafe")
def test_an_unsafe_value_is_refused(tmp_path: Path, over: str, says: str) -> None:
    assert problems(tmp_path, over) == [says + ACCEPT]


@table("unsafe")
def test_an_unsafe_value_is_taken_with_a_reason(tmp_path: Path, over: str, says: str) -> None:
    path = says.split(": ")[0]
    risk = f"accept_risk: [{{setting: {path}, reason: we know what we do here}}]"
    assert loaded(tmp_path, over, risk).risks == {path: "we know what we do here"}


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    pick = {
        "hosts: {kafka2: {broker_id: 1}}",
        "hosts: {kafka2: {address: kafka2}}",  # of the same host: neither hides the other
        "kafka: {heap: 1 GB}",
        "kafka: {settings: {unclean.leader.election.enable: true}}",
        "kafka: {settings: {min.insync.replica: 2}}",
        "topics: {trades: {partitions: 0}}",
        "topics: {trades: {settings: {cleanup.policy: compact}}}",
        "consumers: {collector: {sink: lake}}",
        "feed: {settings: {acks: 1}}",
        "ssh: {usr: ops}",
    }
    rows = [(part, row) for part, rows in ROWS.items() for row in rows if row["over"] in pick]
    assert len(rows) == len(pick)
    with pytest.raises(InventoryError) as raised:
        loaded(tmp_path, *(row["over"] for _, row in rows))
    told = {f"{row['says']}{ACCEPT if part == 'unsafe' else ''}" for part, row in rows}
    file = tmp_path / "test.yml"
    assert set(str(raised.value).splitlines()) == {f"{file}: {message}" for message in told}
