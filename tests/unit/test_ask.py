"""Asking a cluster ends in time, whatever is dead, and asks only what can answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from cluster.model import Cluster
from cluster.snapshot import Answer, snapshot
from cluster.verdict import verdict
from tasks import ask
from tests.unit import verify_base

PARTS = ("voters", "registry", "brokers", "topics", "groups", "overrides")


def here(kafka: int, zookeeper: int) -> Cluster:
    """The lab's inventory, with every server on this machine."""
    lab = verify_base.lab()
    ports = replace(lab.ports, kafka=kafka, zookeeper=zookeeper)
    local = "127.0.0.1"
    hosts = {n: replace(h, address=local) for n, h in lab.hosts.items()}
    witnesses = {n: replace(w, address=local) for n, w in lab.witnesses.items()}
    return replace(lab, hosts=hosts, witnesses=witnesses, ports=ports)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose server takes connections and never says a word, as a frozen machine's does."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def complaints(answers: dict[str, Any], part: str) -> list[str]:
    found = answers[part]
    every = found.values() if part in ("voters", "brokers", "groups", "overrides") else [found]
    return [answer["complaint"] for answer in every]


def test_what_is_closed_is_known_at_once_and_nobody_is_asked_what_it_cannot_answer(
    closed: int,
) -> None:
    began = time.monotonic()
    answers = ask.everything(here(closed, closed), {}, PARTS, seconds=10)
    assert time.monotonic() - began < 5
    assert all("Connection refused" in why for why in complaints(answers, "voters"))
    assert complaints(answers, "topics") == ["no broker answers"]
    assert set(complaints(answers, "groups")) == {"no broker answers"}
    assert complaints(answers, "registry")[0].startswith("no ZooKeeper serves")
    # A broker that does not answer is not asked for its settings.
    assert all("does not answer" in why for why in complaints(answers, "overrides"))


def test_what_never_answers_is_not_waited_for_longer_than_allowed(silent: int) -> None:
    began = time.monotonic()
    answers = ask.everything(here(silent, silent), {}, PARTS, seconds=1)
    assert time.monotonic() - began < 3
    assert all("no answer within 1 s" in why for why in complaints(answers, "voters"))
    lab = verify_base.lab()
    assert verdict(lab, snapshot(answers), {}, {}).state == "down"


def test_only_the_parts_that_were_asked_for_are_answered(closed: int) -> None:
    answers = ask.everything(here(closed, closed), {}, ("topics",), seconds=5)
    assert answers.keys() == {"at", "topics"}


def done(answer: Answer) -> Future[Answer]:
    future: Future[Answer] = Future()
    future.set_result(answer)
    return future


def test_the_first_good_answer_is_enough() -> None:
    never: Future[Answer] = Future()
    pending = {"a": done({"complaint": "no"}), "b": never, "c": done({"brokers": {}})}
    began = time.monotonic()
    assert ask._first(pending, lambda a: "brokers" in a, began + 30) == ["c"]
    assert time.monotonic() - began < 5


def test_nobody_by_the_deadline_is_nobody() -> None:
    never: Future[Answer] = Future()
    pending = {"a": done({"complaint": "no"}), "b": never}
    assert ask._first(pending, lambda a: "brokers" in a, time.monotonic() + 0.2) == []


def test_what_a_machine_prints_and_nobody_can_read_is_a_complaint() -> None:
    assert ask.read('{"units": {}}') == {"units": {}}
    assert "makes no sense" in ask.read('{"units": {')["complaint"]
    assert "complaint" in ask.read("")
