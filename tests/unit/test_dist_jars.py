"""The lock of the jars: one that differs, is missing or too many stops the build and is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dist import jars, launchers
from dist.errors import BuildError

ZSTD = jars.Jar("a" * 64, "zstd-jni-1.5.6-4.jar", "com.github.luben:zstd-jni:1.5.6-4")
NETTY = jars.Jar("b" * 64, "n-2-linux-x86_64.jar", "io.netty:n:linux-x86_64:2")
LOCKED = {ZSTD.name: ZSTD, NETTY.name: NETTY}


def test_jars_as_locked_pass() -> None:
    found = {ZSTD.name: ZSTD.sha256, NETTY.name: NETTY.sha256}
    assert jars.differences("kafka", LOCKED, found) == []


def test_a_jar_that_differs_is_named_with_what_to_do() -> None:
    found = {ZSTD.name: "c" * 64, NETTY.name: NETTY.sha256}
    (problem,) = jars.differences("kafka", LOCKED, found)
    assert str(problem) == (
        "kafka: zstd-jni-1.5.6-4.jar: differs from dist/jars.lock (locked aaaaaaaaaaaa…, found "
        "cccccccccccc…): delete ~/.m2/repository/com/github/luben/zstd-jni/1.5.6-4 and run again; "
        "if it differs still, somebody changed it: do not use it"
    )


def test_a_jar_that_is_missing_is_named() -> None:
    (problem,) = jars.differences("kafka", LOCKED, {ZSTD.name: ZSTD.sha256})
    assert str(problem).startswith(
        "kafka: n-2-linux-x86_64.jar: is in dist/jars.lock, but dist/kafka.pom.xml does not"
    )


def test_a_jar_too_many_is_named_with_where_it_is_from() -> None:
    found = {ZSTD.name: ZSTD.sha256, NETTY.name: NETTY.sha256, "evil.jar": "d" * 64}
    (problem,) = jars.differences("kafka", LOCKED, found, {"evil.jar": "org.evil:evil:1"})
    assert str(problem).startswith("kafka: evil.jar: (org.evil:evil:1) is not in dist/jars.lock")


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    jars.write_lock({"kafka": LOCKED}, tmp_path / "jars.lock")
    assert jars.read_lock(tmp_path / "jars.lock") == {"kafka": LOCKED}


@pytest.mark.parametrize("line", ["garbage", "0" * 63 + "  a.jar  g:a:1", "0" * 64 + "  a.jar"])
def test_a_lock_of_another_shape_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "jars.lock"
    path.write_text(f"[kafka]\n{line}\n")
    with pytest.raises(BuildError, match=r"jars.lock:2: is not `sha256  file  coordinates`"):
        jars.read_lock(path)


def test_a_missing_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"is missing: take it from git"):
        jars.read_lock(tmp_path / "jars.lock")


def test_the_committed_lock_pins_both_servers_at_the_versions_of_the_poms() -> None:
    lock = jars.read_lock()
    assert "kafka_2.13-3.9.2.jar" in lock["kafka"]
    assert "zookeeper-3.9.5.jar" in lock["zookeeper"]
    assert jars.version_of(jars.HERE / "zookeeper.pom.xml", "zookeeper") == "3.9.5"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            "[ERROR] Could not transfer artifact a:b:1 from/to x: Unknown host\n",
            "cannot reach its repository for the jars of kafka: are the network, and a proxy",
        ),
        (
            "[ERROR] copying: No space left on device\n",
            "could not fetch the jars of kafka, the disk is full: make room and run again",
        ),
        (
            "[INFO] x\n\x1b[1m[ERROR]\x1b[m Could not find artifact a:b:9\n[ERROR] and more",
            "could not fetch the jars of kafka: Could not find artifact a:b:9",
        ),
        ("", "could not fetch the jars of kafka: it said nothing"),
    ],
)
def test_a_page_of_mavens_errors_becomes_one_line(output: str, message: str) -> None:
    assert jars._reason(output, "kafka").startswith(message)


def test_coordinates_name_the_file_with_its_classifier() -> None:
    listing = (
        "\nThe following files have been resolved:\n"
        "   io.netty:n:jar:linux-x86_64:2:compile\n"
        "   org.apache.kafka:kafka_2.13:jar:3.9.2:runtime -- module kafka\n"
    )
    assert jars._coordinates(listing) == {
        "n-2-linux-x86_64.jar": "io.netty:n:linux-x86_64:2",
        "kafka_2.13-3.9.2.jar": "org.apache.kafka:kafka_2.13:3.9.2",
    }


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """bin/ and config/ of the Kafka archive in a folder with a space, and a java that echoes."""
    home = tmp_path / "a home"
    for member in launchers.members("kafka"):
        path = home / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = member.content
        path.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
        path.chmod(member.mode)
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    java.chmod(0o755)
    return home


def said(command: Path, *arguments: str, **environment: str) -> list[str]:
    """What the java of the fixture was called with."""
    java_home = str(command.parents[2] / "java")
    env = {"PATH": "/usr/bin:/bin", "JAVA_HOME": java_home, **environment}
    done = subprocess.run([command, *arguments], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_launcher_runs_its_class_with_the_archives_own_jars(unpacked: Path) -> None:
    words = said(unpacked / "bin/kafka-topics.sh", "--list", "two words")
    assert words[0] == "-Xmx256M"
    assert f"-Dlog4j.configuration=file:{unpacked}/config/tools-log4j.properties" in words
    at = words.index("-cp")
    assert words[at + 1 :] == [
        f"{unpacked}/libs/*",
        "org.apache.kafka.tools.TopicCommand",
        "--list",
        "two words",
    ]


def test_a_launcher_finds_its_archive_through_a_link(unpacked: Path) -> None:
    link = unpacked / "link" / "kafka-topics.sh"  # as deep as the real one, for `said`
    link.parent.mkdir()
    link.symlink_to(unpacked / "bin/kafka-topics.sh")
    assert f"{unpacked}/libs/*" in said(link)


def test_a_launcher_honours_the_variables_of_kafkas_users(unpacked: Path) -> None:
    own = {"KAFKA_HEAP_OPTS": "-Xmx2G -Xms1G", "KAFKA_OPTS": "-Da=1", "KAFKA_LOG4J_OPTS": "-Dl=2"}
    words = said(unpacked / "bin/kafka-run-class.sh", "Some", CLASSPATH="/x.jar", **own)
    assert words[:2] == ["-Xmx2G", "-Xms1G"]
    assert "-Da=1" in words
    assert "-Dl=2" in words
    assert words[-2:] == [f"{unpacked}/libs/*:/x.jar", "Some"]


def test_a_launcher_without_java_says_so(unpacked: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "JAVA_HOME": "/nowhere"}
    command = [unpacked / "bin/kafka-topics.sh"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "standfast: kafka-run-class.sh: /nowhere/bin/java not found: "
        "install Java 17, or set JAVA_HOME\n"
    )


@pytest.mark.parametrize("service", ["kafka", "zookeeper"])
def test_every_launcher_is_plain_sh(service: str) -> None:
    for member in launchers.members(service):
        if member.name.startswith("bin/"):
            text = member.content
            data = text.read_bytes() if isinstance(text, Path) else text
            assert data.startswith(b"#!/bin/sh\n"), member.name
            done = subprocess.run(["sh", "-n"], input=data, capture_output=True)
            assert done.returncode == 0, (member.name, done.stderr)
