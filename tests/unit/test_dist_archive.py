"""Archives: the same bytes every time, and anybody's layout understood or refused."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from dist import stamp
from dist.archive import Member, inspect, write
from dist.errors import BuildError


def tarball(path: Path, names: list[str], compressed: bool = True) -> Path:
    """A tarball of small files, made the way the projects' own releases are."""
    with tarfile.open(path, "w:gz" if compressed else "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    return path


def test_an_official_kafka_tarball_is_understood(tmp_path: Path) -> None:
    top = "kafka_2.13-3.9.2"
    libs = [f"{top}/libs/{jar}.jar" for jar in ("kafka_2.13-3.9.2", "zookeeper-3.8.4")]
    path = tarball(tmp_path / "kafka.tgz", [f"{top}/LICENSE", f"{top}/bin/kafka-topics.sh", *libs])
    layout = inspect(path)
    assert (layout.prefix, layout.strip, layout.libs) == (top, 1, "libs")
    assert (layout.version, layout.has_bin, layout.compressed) == ("3.9.2", True, True)


def test_our_own_archive_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "kafka.tar"
    write(path, [Member("libs/kafka_2.13-3.9.2.jar", 0o644, b""), Member("bin/x", 0o755, b"")])
    layout = inspect(path)
    assert (layout.prefix, layout.strip, layout.libs) == ("", 0, "libs")
    assert (layout.version, layout.has_bin, layout.compressed) == ("3.9.2", True, False)


def test_an_official_zookeeper_tarball_is_understood(tmp_path: Path) -> None:
    top = "apache-zookeeper-3.9.5-bin"
    path = tarball(tmp_path / "z.tgz", [f"{top}/lib/zookeeper-3.9.5.jar", f"{top}/bin/zkCli.sh"])
    layout = inspect(path, "zookeeper")
    assert (layout.prefix, layout.libs, layout.version) == (top, "lib", "3.9.5")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["bin/kafka-topics.sh"], "has no libs/kafka_2.13-VERSION.jar, so it is no kafka distri"),
        (
            ["libs/zookeeper-3.8.4.jar"],
            "has no libs/kafka_2.13-VERSION.jar, so it is no kafka dist",
        ),
        (
            ["a/b/libs/kafka_2.13-3.9.2.jar"],
            "has no libs/kafka_2.13-VERSION.jar, so it is no kafka",
        ),
        (["libs/kafka_2.13-3.9.2-sources.jar"], "has no libs/kafka_2.13-VERSION.jar, so it is no"),
        (
            ["libs/kafka_2.13-3.9.1.jar", "libs/kafka_2.13-3.9.2.jar"],
            "holds several kafka_2.13-VERSION.jar (3.9.1, 3.9.2): one is wanted",
        ),
        (["libs/kafka_2.13-4.1.0.jar"], "is Kafka 4.1.0, which does not run on ZooKeeper; use 3.9"),
        (
            ["../etc/passwd", "libs/kafka_2.13-3.9.2.jar"],
            "holds ../etc/passwd, which would land out",
        ),
    ],
)
def test_an_archive_that_would_not_run_is_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    path = tarball(tmp_path / "kafka.tgz", names)
    with pytest.raises(BuildError) as refused:
        inspect(path)
    assert refused.value.place == str(path)
    assert refused.value.what.startswith(message)


def test_a_missing_a_wrong_and_a_cut_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no such archive"):
        inspect(tmp_path / "nothing.tar")
    text = tmp_path / "text.tar"
    text.write_text("no tar at all " * 100)
    with pytest.raises(BuildError, match="no whole tar"):
        inspect(text)
    whole = tarball(tmp_path / "whole.tgz", ["libs/kafka_2.13-3.9.2.jar"] * 50)
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(BuildError, match="no whole tar"):
        inspect(cut)


def test_the_same_members_give_the_same_bytes(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"jar")
    members = [Member("libs/a.jar", 0o644, jar), Member("bin/run", 0o755, b"#!/bin/sh\n")]
    write(tmp_path / "1.tar", members)
    os.utime(jar, (1, 1))
    jar.chmod(0o600)
    write(tmp_path / "2.tar", members[::-1])
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_a_tar_has_plain_headers_and_root_as_owner(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", [Member("bin/run", 0o755, b"x")])
    assert b"ustar\x0000" in (tmp_path / "a.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        found = [(m.name, m.mode, m.uid, m.gid, m.uname, m.isdir()) for m in tar]
    assert found == [
        ("bin", 0o755, 0, 0, "root", True),
        ("bin/run", 0o755, 0, 0, "root", False),
    ]


def test_a_write_cut_short_leaves_the_old_archive(tmp_path: Path) -> None:
    out = tmp_path / "a.tar"
    write(out, [Member("x", 0o644, b"old")])
    old = out.read_bytes()
    with pytest.raises(FileNotFoundError):
        write(out, [Member("x", 0o644, b"new"), Member("y", 0o644, tmp_path / "gone.jar")])
    assert out.read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


def test_an_output_that_was_touched_is_not_taken_for_fresh(tmp_path: Path) -> None:
    out = tmp_path / "a.tar"
    assert not stamp.is_fresh(out, "inputs")
    out.write_bytes(b"made")
    stamp.note(out, "inputs")
    assert stamp.is_fresh(out, "inputs")
    assert not stamp.is_fresh(out, "other inputs")
    out.write_bytes(b"mada")
    assert not stamp.is_fresh(out, "inputs")


def test_a_digest_knows_where_one_part_ends() -> None:
    assert stamp.digest(["ab", "c"]) != stamp.digest(["a", "bc"])
