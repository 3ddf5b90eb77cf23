"""Every kind of process killed on every host, hung, and a machine's silent death: under one load.

One stream goes through all of it, in the order of this file; at the end every acknowledged record
is looked for in every sink.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import connect
from cluster.model import Cluster, Script
from drills import hosts
from drills.hosts import Unit, unit, units
from drills.outside import outside
from drills.result import Fault, Result
from drills.stream import Stream, now
from drills.wait import NotYet, wait_until
from lab.machine import Lab
from tests.lab.conftest import Figure, services

# Seconds. The targets for a pause of acknowledgements, and of a sink at its collector's death:
BROKER, MACHINE, CONSUMER = 2.0, 12.0, 3.0
# What would be waited for if nobody deregistered the dead, or took its place: the session's end.
SESSION = 6.0
# A machine's death ends with its session, and where ZooKeeper's leader died with it, every
# session's clock starts again; then leaders are elected and clients look for them.
DEATH = 3 * SESSION
# A hung process is restarted within:
SERVER_HANGS, CONSUMER_HANGS = 30.0, 15.0
RATE = 100.0  # records a second

pytestmark = pytest.mark.usefixtures("deployed")


@pytest.fixture(scope="module")
def stream(
    cluster: Cluster, deployed: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stream]:
    folder = connect.ROOT / "build" / "drills" / time.strftime("test-%Y%m%d-%H%M%S")
    with Stream(cluster, folder, name="test", rate=RATE) as running:
        running.start()
        running.healthy()
        yield running


@pytest.fixture(scope="module")
def result(stream: Stream) -> Result:
    """What became of the stream, asked once, after all that befell it."""
    stream.healthy()
    assert stream.stop(), "the feed did not have everything acknowledged"
    return stream.result()


def busy(stream: Stream, fault: Fault) -> float:
    """Seconds that the slowest acknowledgement took just before a fault: what this machine's load
    costs by itself, and is no fault's.
    """
    return stream.history.slowest_between(fault.at - 5_000, fault.at - 1_000)


def because(stream: Stream) -> str:
    """What else was going on: a figure that was missed on a busy machine says so."""
    slow = busy(stream, stream.faults[-1])
    return (
        f"in the 5 s before it the slowest acknowledgement took {slow:.2f} s; this machine's "
        f"load: {Path('/proc/loadavg').read_text().strip()}"
    )


def restarted(host: str, name: str, before: Unit, seconds: float) -> Unit:
    """Wait until systemd runs the service in another process."""

    def again() -> Unit | None:
        found = unit(host, name)
        if found.state != "active" or found.pid in (0, before.pid):
            raise NotYet(f"{name} is {found.state}, process {found.pid}")
        return found

    return wait_until(again, seconds, f"{name} to run again on {host}", every=0.4)


def kill(stream: Stream, host: str, name: str) -> Fault:
    """kill -9, and wait until all is well again; systemd restarted it exactly once."""
    stream.calm()
    was, at = unit(host, name), now()
    with stream.fault(f"kill -9 of {name.removesuffix('.service')} on {host}"):
        hosts.signal(host, name)
        restarted(host, name, was, 30)
        stream.healthy()
    after = unit(host, name)
    assert after.state == "active"
    assert after.restarts == was.restarts + 1, hosts.journal(host, name, at)[-2000:]
    return stream.faults[-1]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cluster = connect.cluster()
    if "any_host" in metafunc.fixturenames:
        metafunc.parametrize("any_host", cluster.hosts)
    if "voter" in metafunc.fixturenames:
        metafunc.parametrize("voter", cluster.voters)
    if "collector_host" in metafunc.fixturenames:
        of = [
            (name, host)
            for name, consumer in cluster.consumers.items()
            if not isinstance(consumer, Script)
            for host in cluster.hosts
        ]
        metafunc.parametrize("collector_host", of, ids=["-".join(pair) for pair in of])
    if "script_host" in metafunc.fixturenames:
        scripts = [n for n, c in cluster.consumers.items() if isinstance(c, Script)]
        pairs = [(name, host) for name in scripts for host in cluster.hosts]
        metafunc.parametrize("script_host", pairs, ids=["-".join(pair) for pair in pairs])


def test_a_brokers_kill_9_is_over_before_its_session_would_end(
    stream: Stream, any_host: str, figure: Figure
) -> None:
    was = stream.seen.brokers().controller
    fault = kill(stream, any_host, "kafka.service")
    assert "NodeExists" not in hosts.journal(any_host, "kafka", fault.at)
    controller = " (the controller)" if was == any_host else ""
    what = f"{fault.name}{controller}: acknowledgements paused"
    figure(what, fault.acknowledged.worst, BROKER)
    assert fault.acknowledged.worst < SESSION + busy(stream, fault), because(stream)


def test_a_zookeepers_kill_9_ends_no_brokers_session(
    stream: Stream, voter: str, figure: Figure
) -> None:
    fault = kill(stream, voter, "zookeeper.service")
    figure(f"{fault.name}: acknowledgements paused", fault.acknowledged.worst, BROKER)
    assert fault.acknowledged.worst < SESSION + busy(stream, fault), because(stream)


def test_a_collector_goes_on_after_kill_9_before_its_session_would_end(
    stream: Stream, collector_host: tuple[str, str], figure: Figure
) -> None:
    collector, host = collector_host
    assert stream.seen.holders(collector, stream.topic)[host], f"{host} holds no partition"
    fault = kill(stream, host, f"consumer-{collector}.service")
    (seen,) = stream.with_stored(fault)
    figure(f"{fault.name}: its sink stood still", seen.stored[collector].worst, CONSUMER)
    figure(f"{fault.name}: acknowledgements paused", fault.acknowledged.worst, CONSUMER)
    assert seen.stored[collector].worst < SESSION + busy(stream, fault), because(stream)


def test_a_users_own_script_is_restarted_after_kill_9(
    stream: Stream, script_host: tuple[str, str]
) -> None:
    script, host = script_host
    kill(stream, host, f"consumer-{script}.service")


def test_a_hung_process_of_each_kind_is_noticed_and_restarted(
    cluster: Cluster, stream: Stream, figure: Figure
) -> None:
    """A broker, a ZooKeeper and a collector at once, each on a machine of its own."""
    controller = stream.seen.brokers().controller
    broker, collecting, *_ = [host for host in cluster.hosts if host != controller]
    voter = next(iter(cluster.witnesses or [controller or ""]))
    wanted = {
        broker: ("kafka.service", SERVER_HANGS),
        voter: ("zookeeper.service", SERVER_HANGS),
        collecting: ("consumer-collector.service", CONSUMER_HANGS),
    }
    before = {host: unit(host, name) for host, (name, _) in wanted.items()}

    def hang(host: str) -> float:
        name, seconds = wanted[host]
        began = time.monotonic()
        hosts.signal(host, name, "STOP")
        restarted(host, name, before[host], seconds + 15)
        return time.monotonic() - began

    with stream.fault("a broker, a ZooKeeper and a collector hang"):
        took = connect.each(wanted, hang)
        stream.healthy()
    for host, (name, seconds) in wanted.items():
        answer = took[host]
        assert not isinstance(answer, OSError), answer
        figure(f"SIGSTOP of {name.removesuffix('.service')} on {host}: runs again", answer, seconds)
        assert answer < seconds, f"{name} on {host} hung for {answer:.1f} s; {because(stream)}"
    figure("a broker hangs: acknowledgements paused", stream.faults[-1].acknowledged.worst)


def test_the_stream_goes_on_after_a_machines_silent_death(
    cluster: Cluster, lab: Lab, stream: Stream, figure: Figure
) -> None:
    """Aimed at the host that is the controller; then it comes back by itself."""
    host = stream.seen.brokers().controller
    assert host is not None
    try:
        with stream.fault(f"silent death of {host} (the controller)"):
            with outside():
                lab.kill(host)
            stream.flows(60)
            stream.caught_up(90)
    finally:
        with stream.fault(f"return of {host}"):
            with outside():
                lab.boot(host)
            stream.healthy(120)
    (died, back) = stream.with_stored(*stream.faults[-2:])
    figure(f"{died.name}: acknowledgements paused", died.acknowledged.worst, MACHINE)
    figure(f"{died.name}: slowest acknowledgement", died.slowest)
    for name, pause in died.stored.items():
        figure(f"{died.name}: {name}'s sink stood still", pause.worst)
    figure(f"{back.name}: acknowledgements paused", back.acknowledged.worst)
    assert died.acknowledged.worst < DEATH + busy(stream, died), because(stream)
    assert back.acknowledged.worst < SESSION + busy(stream, back), because(stream)
    names = services(cluster)[host]
    states = {name: u.state for name, u in units(host, names).items()}
    assert states == dict.fromkeys(names, "active")


def test_a_feed_that_was_killed_resumes_and_skips_none(stream: Stream) -> None:
    stream.kill()
    before = stream.acknowledged
    stream.start(resume=True)
    assert stream.acknowledged > before
    stream.healthy()


def test_a_sink_that_is_down_is_waited_for(cluster: Cluster, stream: Stream) -> None:
    found = [
        name
        for name, c in stream.collectors.items()
        if cluster.sinks[c.sink].kind == "postgresql" and cluster.databases
    ]
    if not found:
        pytest.skip("this inventory has no PostgreSQL of its own")
    collector, database = found[0], next(iter(cluster.databases))
    name = f"consumer-{collector}.service"
    before = connect.each(cluster.hosts, lambda host: unit(host, name))
    at = now()
    with stream.fault("PostgreSQL down"):
        connect.run(database, "systemctl stop postgresql@*-main.service")
        try:
            stored, sent = stream.stored(collector), stream.acknowledged
            wait_until(
                lambda: stream.acknowledged > sent + 1_000, 60, "1,000 records more acknowledged"
            )
            assert stream.stored(collector) <= stored + 1_000, "it stored while the sink was down"
            said = connect.each(cluster.hosts, lambda host: hosts.journal(host, name, at))
            for host, text in said.items():
                assert "waiting" in str(text).lower(), f"{host} does not say that it waits: {text}"
        finally:
            connect.run(database, "sh -c 'systemctl start postgresql'")
        stream.healthy()
    after = connect.each(cluster.hosts, lambda host: unit(host, name))
    assert after == before, "it was restarted, and should have waited"
    down = stream.faults[-1]
    assert down.acknowledged.worst < SESSION + busy(stream, down), because(stream)


def test_a_record_that_no_sink_takes_goes_to_the_dead_letters_and_blocks_nothing(
    cluster: Cluster, stream: Stream
) -> None:
    """Some bytes more than a collector stores, compressed so that the brokers take them."""
    from confluent_kafka import Consumer, Message

    from standfast import clients

    placed: list[Message] = []
    settings = {
        **clients.default_settings("producer"),
        "compression.type": "gzip",
        "message.max.bytes": "4000000",
    }
    producer = connect.producer(settings)
    producer.produce(
        stream.topic,
        bytes(2_000_000),
        b"poison",
        partition=0,
        on_delivery=lambda error, message: placed.append(message),
    )
    assert producer.flush(20) == 0
    assert placed[0].error() is None, placed[0].error()
    offset = str(placed[0].offset()).encode()
    topic = next(iter(stream.collectors.values())).dead_letter
    letters: Consumer = clients.consumer(
        clients.default_settings("consumer"),
        cluster.bootstrap.split(","),
        group_id=f"test-{now()}",
    )
    letters.subscribe([topic])
    reasons: list[bytes] = []

    def all_buried() -> bool:
        for message in letters.consume(100, 0.5):
            headers = dict(message.headers() or [])
            if headers.get("standfast-dead-offset") == offset and message.error() is None:
                reasons.append(headers["standfast-dead-reason"])
        return len(reasons) >= len(stream.collectors)

    try:
        wait_until(all_buried, 40, f"each collector's dead letter in {topic}")
    finally:
        letters.close()
    assert all(b"too large" in reason for reason in reasons), reasons
    stream.flows()
    stream.caught_up()


def test_nothing_acknowledged_is_missing_and_nothing_is_twice(result: Result) -> None:
    assert result.problems() == []
    assert result.sinks, "no sink was looked at"
    for sink in result.sinks.values():
        assert (len(sink.verdict.missing), sink.verdict.twice, sink.conflicts) == (0, 0, 0)
        assert sink.verdict.stored == result.acknowledged
        assert not sink.beyond


def test_what_the_feed_sent_again_is_known_as_such(result: Result) -> None:
    """It was killed with records under way: some came twice, and the sinks tell."""
    assert any(sink.verdict.repeats > 0 for sink in result.sinks.values())


def planted(cluster: Cluster, host: str, collector: str, feed: str, plan: str) -> str:
    """A copy of a collector's sink on every host, changed on one; returns where its configs lie."""
    folder = "/var/tmp/planted"
    copy = f"""
set -e
rm -rf {folder}
install -d -o standfast {folder} {folder}/{collector}
cp -rL /etc/standfast/{collector}/current/. {folder}/{collector}/
echo 'path = "{folder}/sink.db"' >> {folder}/{collector}/collector.toml
runuser -u standfast -- python3 -c '
import sqlite3
source = sqlite3.connect("/var/lib/standfast/{collector}/sink.db")
target = sqlite3.connect("{folder}/sink.db")
source.backup(target)
'
"""
    change = f"""
runuser -u standfast -- python3 -c '
import sqlite3
sink = sqlite3.connect("{folder}/sink.db", isolation_level=None)
where = "feed = ? AND sequence = (SELECT min(sequence) FROM records WHERE feed = ? AND repeat = 0)"
sink.execute("{plan}" % where, ("{feed}", "{feed}"))
assert sink.execute("SELECT changes()").fetchone()[0] == 1
'
"""
    done = connect.each(
        cluster.hosts,
        lambda name: connect.run(
            name, f"bash -c {shlex.quote(copy + (change if name == host else ''))}"
        ),
    )
    assert not [error for error in done.values() if isinstance(error, OSError)], done
    return folder + "/{}/collector.toml"


COLUMNS = (
    'topic_id, topic, partition, "offset" + 1000000000, key, value, headers, timestamp_ms, '
    "event_time, feed, sequence, %s, sha256, stored_at, host"
)
PLANS = {
    "hole": ("DELETE FROM records WHERE %s", "1 missing"),
    "copy": (
        f"INSERT INTO records SELECT {COLUMNS % '1'} FROM records WHERE repeat = 0 AND %s",
        "1 twice",
    ),
}


@pytest.mark.parametrize("what", PLANS)
def test_the_judgement_sees_what_was_planted(
    cluster: Cluster, stream: Stream, result: Result, what: str
) -> None:
    """Fed with copies of the sinks' files of which one was changed by one record."""
    plan, sentence = PLANS[what]
    name = next(
        name for name, c in stream.collectors.items() if cluster.sinks[c.sink].kind == "sqlite"
    )
    host = next(iter(cluster.hosts))
    # Only what has no other copy can go missing: two hosts may hold a record after a takeover.
    config = planted(cluster, host, name, result.feed, plan.replace('"', '\\"'))
    only = {n: c for n, c in stream.collectors.items() if n == name}
    everything, stream.collectors = stream.collectors, only
    try:
        found = stream.result(seconds=0, config=config)
    finally:
        stream.collectors = everything
        connect.each(cluster.hosts, lambda name: connect.run(name, "rm -rf /var/tmp/planted"))
    assert any(sentence in problem for problem in found.problems()), found.problems()
