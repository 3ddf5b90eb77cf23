"""The lab's plan: what it takes from an inventory, and what it refuses."""

from pathlib import Path

import pytest

from lab import plan as plans
from lab.shell import LabError

HOSTS = "hosts: {one: {address: 198.18.5.11}}\n"


def load(tmp_path: Path, text: str) -> plans.Plan:
    path = tmp_path / "lab.yml"
    path.write_text(text)
    return plans.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "must be a YAML mapping, with `lab:` and `hosts:`"),
        ("lab: [", "is not YAML (line 1:"),
        (HOSTS, "has no `lab:`, so its hosts are not a lab's and are left alone"),
        ("lab: two-words\n" + HOSTS, "lab: must be 1 to 12 lower-case letters and digits"),
        ("lab: averyverylongname\n" + HOSTS, "lab: must be 1 to 12 lower-case letters"),
        ("lab: yes\n" + HOSTS, "lab: must be 1 to 12 lower-case letters and digits, is True"),
        ("lab: t\n", "hosts: names no host"),
        ("lab: t\nhosts: [one]", "hosts: must be a mapping of hosts"),
        ("lab: t\nhosts: {one: }", "hosts.one: must be a mapping with an `address:`"),
        ("lab: t\nhosts: {one: {}}", "hosts.one.address: must be an IPv4 address, is None"),
        ("lab: t\nhosts: {bridge: {address: 198.18.0.2}}", "hosts.bridge: a host's name must be"),
        ("lab: t\nhosts: {1: {address: 198.18.0.2}}", "hosts.1: a host's name must be"),
        (
            "lab: t\nhosts: {one: {address: 192.168.1.5}}",
            "hosts.one.address: must lie in 198.18.0.0/16, which is set aside for tests, "
            "is 192.168.1.5",
        ),
        (
            "lab: t\nhosts: {one: {address: 198.18.0.1}}",
            "one.address: must lie in the lab's network 198.18.0.0/24 and not be 198.18.0.1",
        ),
        (
            "lab: t\nhosts: {one: {address: 198.18.0.2}, two: {address: 198.18.1.2}}",
            "two.address: must lie in the lab's network 198.18.0.0/24",
        ),
        (
            "lab: t\nhosts: {one: {address: 198.18.0.2}}\nwitnesses: {w: {address: 198.18.0.2}}",
            "witnesses.w: name or address is taken by one (198.18.0.2)",
        ),
        (
            "lab: t\nhosts: {one: {address: 198.18.0.2, disk: much}}",
            "hosts.one.disk: must be a size such as 2GB, is 'much'",
        ),
        (
            "lab: t\nhosts: {one: {address: 198.18.0.2, disk: 5MB}}",
            "hosts.one.disk: must be at least 1GB, is 5000000 bytes",
        ),
    ],
)
def test_a_bad_inventory_is_refused_with_the_place_and_what_to_write(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(LabError) as refused:
        load(tmp_path, text)
    assert message in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "lab.yml"))
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


def test_a_missing_inventory_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"none\.yml: no such file"):
        plans.load(tmp_path / "none.yml")


def test_a_host_that_is_not_in_the_lab_is_refused_with_those_that_are(tmp_path: Path) -> None:
    plan = load(tmp_path, "lab: t\n" + HOSTS)
    with pytest.raises(LabError, match="kafka9: is no host of the lab t: it has one"):
        plan.machine("kafka9")


def test_a_disk_is_the_hosts_own_then_the_promised_one_then_the_default(tmp_path: Path) -> None:
    plan = load(
        tmp_path,
        "lab: t\npromise: {disk: 3GB}\n"
        "hosts: {a: {address: 198.18.0.2}, b: {address: 198.18.0.3, disk: 5GiB}}\n"
        "witnesses: {w: {address: 198.18.0.4}}\n",
    )
    assert [machine.disk for machine in plan.machines] == [3 * 10**9, 5 * 2**30, 4 * 10**9]


def test_every_name_on_this_machine_begins_with_the_labs_and_fits(tmp_path: Path) -> None:
    plan = load(tmp_path, "lab: abcdefghijkl\nhosts: {abcdefghijklmno: {address: 198.18.7.2}}\n")
    assert plan.title == "abcdefghijkl-lab"
    assert plan.title_of("abcdefghijklmno") == "abcdefghijkl-abcdefghijklmno"
    assert plan.uplink == "abcdefghijkl-up"
    assert max(len(plan.uplink), len("abcdefghijklmno")) == 15  # what a link's name may have
    assert len(f"{plan.state}/ssh/198.18.255.255.0123456789abcdef") < 108  # a socket's path
    assert [str(address) for address in plan.uplink_addresses] == ["198.19.7.1", "198.19.7.2"]


@pytest.mark.parametrize(
    ("size", "bytes_"),
    [("2GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29), (4096, 4096), ("500mb", 5 * 10**8)],
)
def test_a_size_is_read_with_its_unit(size: object, bytes_: int) -> None:
    assert plans.parse_size(size) == bytes_


def test_the_inventory_that_ships_is_a_lab() -> None:
    plan = plans.load(plans.REPOSITORY / "inventory" / "lab.yml")
    assert plan.name == "standfast"
    assert plan.folder == plans.REPOSITORY / "build" / "lab"
    assert {"kafka1", "kafka2", "kafka3", "witness1", "witness2", "db1"} == {
        machine.name for machine in plan.machines
    }
