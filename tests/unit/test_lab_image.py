"""Where the lab's base image takes its packages from."""

import pytest

from lab import image

DEB822 = """\
Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = "deb [arch=amd64] http://mirror.example/debian bookworm main non-free-firmware\n"
SIGNED = f"deb [signed-by={image.KEYRING}]"


def test_this_machines_debian_mirror_is_used() -> None:
    assert image.sources([DEB822], "bookworm", "bookworm") == [
        f"{SIGNED} http://mirror.example/debian bookworm main",
        f"{SIGNED} http://mirror.example/debian bookworm-updates main",
        f"{SIGNED} http://mirror.example/debian-security bookworm-security main",
    ]
    assert image.sources([ONE_LINE], "bookworm", "bookworm") == [
        f"{SIGNED} http://mirror.example/debian bookworm main"
    ]


def test_another_suite_comes_from_the_same_mirror() -> None:
    assert image.sources([DEB822], "bookworm", "trixie") == [
        f"{SIGNED} http://mirror.example/debian trixie main",
        f"{SIGNED} http://mirror.example/debian trixie-updates main",
        f"{SIGNED} http://mirror.example/debian-security trixie-security main",
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        "deb https://download.docker.example/linux/debian bookworm stable",
        "deb https://packages.cloud.example/apt cloud-sdk-bookworm main",
        "deb [signed-by=/usr/share/keyrings/hashicorp.gpg] https://apt.example bookworm main",
        "deb [signed-by=/etc/keys/vendor.gpg] https://vendor.example/debian bookworm main",
        "deb-src http://mirror.example/debian bookworm main",
        "# deb http://mirror.example/debian bookworm main",
        "Types: deb\nURIs: https://node.example/20.x\nSuites: nodistro\nComponents: main",
        "Types: deb\nEnabled: no\nURIs: http://m.tld/debian\nSuites: bookworm\nComponents: main",
        "",
    ],
)
def test_a_third_partys_repository_is_not_taken(foreign: str) -> None:
    assert image.sources([foreign], "bookworm", "bookworm") == []


def test_ubuntus_sources_are_not_debians() -> None:
    ubuntu = "deb http://archive.ubuntu.example/ubuntu noble main universe"
    assert image.sources([ubuntu], "not-debian", "bookworm") == []


def test_how_this_machine_fetches_is_taken_over_and_nothing_else() -> None:
    dump = (
        'Acquire "";\nAcquire::Languages:: "none";\nAcquire::Check-Date "false";\n'
        'Acquire::http::Proxy "http://proxy.example:80";\n'
        'Acquire::IndexTargets::deb::DEP-11::MetaKey "x";\nAcquire::Changelogs::URI "";\n'
    )
    assert image.apt_settings(dump) == (
        'Acquire::Check-Date "false";\nAcquire::http::Proxy "http://proxy.example:80";\n'
    )
