"""A dead broker's own registration is deleted, and never another's."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from standfast import deregister
from standfast.__main__ import main
from standfast.deregister import Node, judge

DIED = 1_700_000_000.0
HERE = "198.18.0.11:9092"


def registration(at: str = HERE, made: float = DIED - 60, session: int = 77) -> Node:
    content = {"endpoints": [f"PLAINTEXT://{at}"], "timestamp": str(int(made * 1000)), "version": 5}
    return Node(json.dumps(content).encode(), 4, session)


def controller(broker_id: int = 1, session: int = 77) -> Node:
    return Node(json.dumps({"version": 2, "brokerid": broker_id}).encode(), 9, session)


def deletions(node: Node | None, controls: Node | None = None) -> list[tuple[str, int]]:
    return judge(node, controls, 1, HERE, DIED)[0]


def test_the_registration_of_the_broker_that_died_is_deleted_by_version() -> None:
    assert deletions(registration()) == [("/brokers/ids/1", 4)]


def test_the_controller_goes_with_the_broker_that_held_it() -> None:
    assert deletions(registration(), controller()) == [("/brokers/ids/1", 4), ("/controller", 9)]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(controller(broker_id=2), id="another-broker"),
        pytest.param(controller(session=78), id="another-session"),
        pytest.param(Node(b"no json", 9, 77), id="unreadable"),
    ],
)
def test_another_controller_is_left_alone(other: Node) -> None:
    assert deletions(registration(), other) == [("/brokers/ids/1", 4)]


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (None, "is not registered"),
        (registration(at="198.18.0.99:9092"), "it is 198.18.0.99:9092"),
        (registration(at="198.18.0.11:9093"), "it is 198.18.0.11:9093"),
        (registration(made=DIED + 0.5), "by a newer process"),
        (Node(b"no json", 4, 77), "not a broker's registration"),
        (Node(b"[]", 4, 77), "not a broker's registration"),
        (Node(b'{"endpoints": ["PLAINTEXT://198.18.0.11:9092"]}', 4, 77), "not a broker's"),
    ],
)
def test_what_is_not_the_dead_brokers_own_is_never_deleted(node: Node | None, reason: str) -> None:
    chosen, sentence = judge(node, controller(), 1, HERE, DIED)
    assert chosen == []
    assert reason in sentence


def test_a_broker_that_listens_is_never_deregistered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        began = time.monotonic()
        done, sentence = deregister.deregister(["127.0.0.1:1"], 1, address, 0.0, began + 5)
    assert not done
    assert "something listens" in sentence
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(("service_result", "code"), [("signal", 0), (None, 1)])
def test_an_ensemble_that_does_not_answer_never_holds_the_restart_up(
    service_result: str | None, code: int
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "SERVICE_RESULT"}
    environment["PYTHONPATH"] = str(Path(deregister.__file__).parents[1])
    if service_result:
        environment["SERVICE_RESULT"] = service_result
    # A server that accepts and never answers, as one that hangs does.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ensemble = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:1"
        options = ["--zookeeper", ensemble, "--broker-id", "1", "--host", "127.0.0.1"]
        options += ["--port", "1", "--deadline", "0.8"]
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "standfast", "deregister", *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=10,
        )
    assert ended.returncode == code
    assert time.monotonic() - began < 2
    assert "stays registered until its session ends" in ended.stderr


def test_an_ensemble_that_is_no_list_of_addresses_is_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--zookeeper", "kafka1", "--broker-id", "1", "--host", "127.0.0.1"]
    assert main(["deregister", *options]) == 2
    assert "--zookeeper: should be host:port,host:port,…, is 'kafka1'" in capsys.readouterr().err
