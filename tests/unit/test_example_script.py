"""The example of a user's own script: it finds large trades, and no bad record stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "inventory" / "scripts" / "large_trades.py"
SMALL = b'{"trade_id": "small", "price": "10.00", "quantity": 1}'
HUGE = b'{"trade_id": "huge", "price": "5000.50", "quantity": 100}'


@pytest.fixture
def kafka() -> Producer:
    """A producer with a broker of librdkafka's own inside, on the loopback address."""
    return Producer({"test.mock.num.brokers": 1, "log_level": 0})


def test_it_says_large_trades_and_goes_on_after_a_record_that_is_none(
    kafka: Producer, tmp_path: Path
) -> None:
    for value in (b"not a trade", SMALL, b'{"trade_id": 1, "price": "x", "quantity": 1}', HUGE):
        kafka.produce("trades", value, partition=0)
    assert kafka.flush(20) == 0, "the broker inside did not take the records within 20 s"
    (broker,) = kafka.list_topics(timeout=10).brokers.values()
    state = tmp_path / "state"
    state.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "consumers"),
        "STANDFAST_BOOTSTRAP": f"{broker.host}:{broker.port}",
        "STANDFAST_TOPICS": "trades",
        "STANDFAST_CONSUMER": str(ROOT / "consumers/standfast/settings/consumer.properties"),
        "STANDFAST_NAME": "large-trades",
        "STANDFAST_INSTANCE": "kafka1",
        "STANDFAST_STATE": str(state),
    }
    said = tmp_path / "said"
    with said.open("wb") as output:
        script = subprocess.Popen([sys.executable, SCRIPT], env=environment, stderr=output)
    try:
        deadline = time.monotonic() + 30
        while "huge" not in said.read_text():
            assert script.poll() is None, f"the script ended: {said.read_text()}"
            assert time.monotonic() < deadline, f"no large trade within 30 s: {said.read_text()}"
            time.sleep(0.1)
        script.send_signal(signal.SIGTERM)
        assert script.wait(15) == 0, said.read_text()
    finally:
        script.kill()
        script.wait()
    lines = said.read_text()
    assert "trades/0 offset 3: trade huge is worth 500050.00" in lines.replace("<6>", "")
    assert "small" not in lines
    assert lines.count("no trade: ") == 2
