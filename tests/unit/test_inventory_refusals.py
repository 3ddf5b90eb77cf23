"""Every way in which an inventory is refused, with the exact message."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.inventory_base import LAB, loaded, problems

from cluster.inventory import InventoryError

ACCEPT = "; if you mean it, give the reason under accept_risk"
SAMPLE = "; inventory/production.example.yml shows what belongs there"
TOP = (
    "known here: name, ssh, promise, hosts, kafka, zookeeper, topics, consumers, lab, witnesses,"
    " databases, ports, sinks, feed, accept_risk"
)

# What is laid over the good inventory, and the one line that must come of it.
SHAPES = [
    ("topic: {}", "topic: unknown key; did you mean topics?"),
    ("colour: blue", f"colour: unknown key; {TOP}"),
    ("name: REMOVED", f"name: is missing{SAMPLE}"),
    ("name: Prod 1", "name: must be lower-case letters, digits, hyphens, and begin with a letter; is Prod 1"),
    ("ssh: REMOVED", f"ssh: is missing{SAMPLE}"),
    ("ssh: ops", "ssh: must be a mapping with user, port, config, known_hosts; is ops"),
    ("ssh: {user: REMOVED, port: 22}", "ssh.user: is missing; should be the user to log in as"),
    ("ssh: {user: 'a b'}", "ssh.user: must be a user's name such as ops, is a b"),
    ("ssh: {usr: ops}", "ssh.usr: unknown key; did you mean user?"),
    ("promise: {disk: 5 parsecs}", "promise.disk: must be a size such as 20MB or 500GiB, is 5 parsecs"),
    ("promise: {disk: 0GB}", "promise.disk: must be more than nothing, is 0GB"),
    ("promise: {retention_days: '7'}", "promise.retention_days: must be a whole number, is 7"),
    ("promise: {retention_days: 0}", "promise.retention_days: must be at least 1, is 0"),
    ("promise: {bytes_per_day: REMOVED}", "promise.bytes_per_day: is missing; should be a size such as 20GB"),
    ("hosts: {kafka2: {address: kafka2}}", "hosts.kafka2.address: must be an IPv4 address such as 10.0.0.11, is kafka2"),
    ("hosts: {kafka2: {address: 127.0.0.1}}", "hosts.kafka2.address: must be an address that the other machines reach, not loopback, is 127.0.0.1"),
    ("hosts: {kafka2: {address: 0.0.0.0}}", "hosts.kafka2.address: must be the address of one machine, is 0.0.0.0"),
    ("hosts: {kafka2: {address: REMOVED}}", "hosts.kafka2.address: is missing; should be an IPv4 address such as 10.0.0.11"),
    ("hosts: {kafka2: {broker_id: two}}", "hosts.kafka2.broker_id: must be a whole number, is two"),
    ("hosts: {kafka2: {broker_id: 1001}}", "hosts.kafka2.broker_id: must be at most 1000, is 1001"),
    ("hosts: {kafka2: {zookeeper_id: 0}}", "hosts.kafka2.zookeeper_id: must be at least 1, is 0"),
    ("hosts: {kafka2: {brokerid: 2}}", "hosts.kafka2.brokerid: unknown key; did you mean broker_id?"),
    ("hosts: [a]", "hosts: must be a mapping of names, is a list"),
    ("ports: {kafka: 99}", "ports.kafka: must be at least 1024, is 99"),
    ("kafka: {heap: 1 GB}", "kafka.heap: must be a whole number of M or G such as 384M, is 1 GB"),
    ("kafka: {settings: {min: {insync: 2}}}", "kafka.settings.min: must be one value; write a setting's name whole, with its dots, is a mapping"),
    ("kafka: {settings: {num.io.threads: null}}", "kafka.settings.num.io.threads: must be a value, is empty"),
    ("topics: {trades: {partitions: 0}}", "topics.trades.partitions: must be at least 1, is 0"),
    ("topics: {trades: {partitions: 1.5}}", "topics.trades.partitions: must be a whole number, is 1.5"),
    ("topics: {trades: {partitions: true}}", "topics.trades.partitions: must be a whole number, is true"),
    ("sinks: {warehouse: {kind: oracle}}", "sinks.warehouse.kind: must be sqlite or postgresql, is oracle"),
    ("sinks: {warehouse: {password: x}}", "sinks.warehouse.password: unknown key; did you mean password_file?"),
    ("consumers: {mine: {watchdog: 'yes'}}", "consumers.mine.watchdog: must be true or false, is yes"),
    ("consumers: {mine: {command: []}}", "consumers.mine.command: must name at least one, is empty"),
    ("consumers: {mine: {files: [/etc/passwd]}}", "consumers.mine.files[0]: must be a path inside the repository, such as inventory/scripts/mine.py, is /etc/passwd"),
    ("consumers: {collector: {sink: REMOVED}}", "consumers.collector.sink: is missing; should be the name of one of `sinks`"),
    ("accept_risk: none", "accept_risk: must be a list of {setting, reason}, is none"),
]  # fmt: skip

MACHINES = [
    ("hosts: {kafka2: {broker_id: 1}}", "hosts.kafka2.broker_id: 1 is taken by kafka1"),
    ("hosts: {kafka2: {address: 10.0.0.11}}", "hosts.kafka2.address: 10.0.0.11 is taken by kafka1"),
    ("witnesses: {witness1: {zookeeper_id: 3}}", "witnesses.witness1.zookeeper_id: 3 is taken by kafka3"),
    ("witnesses: {witness1: {address: 10.0.0.11}}", "witnesses.witness1.address: 10.0.0.11 is taken by kafka1"),
    ("hosts: {kafka3: REMOVED}\nwitnesses: {witness2: REMOVED}", "hosts: must be at least 3, is 2: an acknowledged record lies on two machines, and one of three may die"),
    ("witnesses: {witness2: REMOVED}", "witnesses: 3 hosts and 1 witnesses are 4 voters, which survive no more deaths than 3; name 0 or 2 witnesses"),
    ("hosts: {Kafka4: {address: 10.0.0.16, broker_id: 4, zookeeper_id: 6}, kafka5: {address: 10.0.0.17, broker_id: 5, zookeeper_id: 7}}", "hosts.Kafka4: must be a host's own name: lower-case letters, digits and hyphens (dots between), not localhost"),
    ("witnesses: {localhost: {address: 10.0.0.16, zookeeper_id: 6}, w4: {address: 10.0.0.17, zookeeper_id: 7}}", "witnesses.localhost: must be a host's own name: lower-case letters, digits and hyphens (dots between), not localhost"),
    ("witnesses: {kafka1: {address: 10.0.0.16, zookeeper_id: 6}, w4: {address: 10.0.0.17, zookeeper_id: 7}}", "witnesses.kafka1: kafka1 is taken by hosts"),
    ("databases: {db1: {address: 10.0.0.21}}", "databases: only a lab installs a database; run your own, and name it under sinks"),
    ("ports: {zookeeper: 9092}", "ports.zookeeper: 9092 is taken by ports.kafka"),
    ("kafka: {heap: 64M}", "kafka.heap: must be at least 256M, is 64M"),
]  # fmt: skip

IN_A_LAB = [
    ("hosts: {kafka1: {address: 10.0.0.11}}", "hosts.kafka1.address: a lab's address must lie in 198.18.0.0/16, which is set aside for tests, is 10.0.0.11"),
    ("hosts: {kafka1: {address: 198.18.0.1}}", "hosts.kafka1.address: 198.18.0.1 is the lab's own; take 198.18.0.2 to 198.18.0.254"),
    ("databases: {db1: {address: 198.18.1.21}}\nsinks: {warehouse: {host: 198.18.1.21}}", "databases.db1.address: must lie in 198.18.0.0/24 as kafka1's does, is 198.18.1.21"),
    ("sinks: {warehouse: {host: 10.0.0.21}}", "sinks.warehouse.host: must be the address of one of the lab's databases, is 10.0.0.21"),
    ("ssh: {config: REMOVED}", "ssh.config: is missing; a lab writes build/lab/ssh_config"),
    ("lab: my-lab", "lab: must be lower-case letters, digits, no more than 12 of them, and begin with a letter; is my-lab"),
]  # fmt: skip

REFERENCES = [
    ("topics: {trades: {replication: 4}}", "topics.trades.replication: must be at most 3, the number of hosts, is 4"),
    ("topics: {'bad topic': {partitions: 1}}", "topics.bad topic: must be at most 249 letters, digits, dots, hyphens and underscores"),
    ("topics: {__mine: {partitions: 1}}", "topics.__mine: topics that begin with __ or standfast. are Kafka's and Standfast's own"),
    ("topics: {trades_dead-letter: {partitions: 1}}", "topics.trades_dead-letter: Kafka cannot tell it from trades.dead-letter: a dot and an underscore are one to it"),
    ("consumers: {collector: {topics: [trade]}}", "consumers.collector.topics[0]: trade is not one of `topics`; did you mean trades?"),
    ("consumers: {collector: {topics: [trades, trades]}}", "consumers.collector.topics[1]: trades is named twice"),
    ("consumers: {collector: {sink: lake}}", "consumers.collector.sink: lake is not one of `sinks` (warehouse)"),
    ("consumers: {collector: {dead_letter: morgue}}", "consumers.collector.dead_letter: morgue is not one of `topics` (trades, trades.dead-letter)"),
    ("consumers: {collector: {dead_letter: trades}}", "consumers.collector.dead_letter: trades is one of its own topics: a refused record would come back for ever"),
    ("consumers: {kafka: {command: [a], topics: [trades]}}", "consumers.kafka: kafka is a name of Standfast's own; take another"),
    ("consumers: {My_Own: {command: [a], topics: [trades]}}", "consumers.My_Own: must be at most 31 lower-case letters, digits and hyphens, and begin with a letter: it names a unit of systemd and a group of Kafka"),
    ("consumers: {mine: {files: [scripts/yours.py]}}", "consumers.mine.files[0]: no such file in the repository: scripts/yours.py"),
    ("consumers: {mine: {files: [scripts/mine.py, scripts/mine.py]}}", "consumers.mine.files[1]: the name mine.py is taken by scripts/mine.py: all files lie in one folder"),
    ("consumers: {mine: {requirements: none.txt}}", "consumers.mine.requirements: no such file in the repository, or not text: none.txt"),
    ("sinks: {warehouse: {host: 127.0.0.1}}", "sinks.warehouse.host: must be an address that every host reaches, is 127.0.0.1"),
]  # fmt: skip

SETTINGS = [
    ("kafka: {settings: {min.insync.replica: 2}}", "kafka.settings.min.insync.replica: no such Kafka 3.9.2 setting; did you mean min.insync.replicas?"),
    ("zookeeper: {settings: {tickTme: 1000}}", "zookeeper.settings.tickTme: no such ZooKeeper 3.9.5 setting; did you mean tickTime?"),
    ("topics: {trades: {settings: {log.retention.ms: 1}}}", "topics.trades.settings.log.retention.ms: no such topic setting of Kafka 3.9.2; did you mean retention.ms?"),
    ("feed: {settings: {linger: 5}}", "feed.settings.linger: no such librdkafka setting; did you mean linger.ms?"),
    ("kafka: {settings: {num.io.threads: many}}", "kafka.settings.num.io.threads: must be a whole number, is many"),
    ("kafka: {settings: {auto.leader.rebalance.enable: 'on'}}", "kafka.settings.auto.leader.rebalance.enable: must be true or false, is on"),
    ("kafka: {settings: {listeners: 'PLAINTEXT://:9092'}}", "kafka.settings.listeners: is decided by hosts.NAME.address and ports.kafka; it cannot be set here"),
    ("kafka: {settings: {broker.id: 7}}", "kafka.settings.broker.id: is decided by hosts.NAME.broker_id; it cannot be set here"),
    ("kafka: {settings: {process.roles: broker}}", "kafka.settings.process.roles: is decided by Standfast itself: these brokers run on ZooKeeper; it cannot be set here"),
    ("zookeeper: {settings: {server.1: 'a:2888:3888'}}", "zookeeper.settings.server.1: is decided by hosts and witnesses; it cannot be set here"),
    ("zookeeper: {settings: {clientPort: 2182}}", "zookeeper.settings.clientPort: is decided by ports.zookeeper; it cannot be set here"),
    ("consumers: {collector: {settings: {group.id: other}}}", "consumers.collector.settings.group.id: is decided by the consumer's name; it cannot be set here"),
    ("kafka: {settings: {log.retention.ms: 2000000000, log.retention.hours: 600}}", "kafka.settings.log.retention.hours: log.retention.ms sets the same; keep one of them"),
    ("kafka: {settings: {default.replication.factor: 4}}", "kafka.settings.default.replication.factor: must be at most 3, the number of hosts, is 4"),
    ("kafka: {settings: {min.insync.replicas: 3}}", "kafka.settings.min.insync.replicas: must be below the replication, 3, is 3: with one machine down nothing could be written"),
    ("topics: {trades: {settings: {min.insync.replicas: 3}}}", "topics.trades.settings.min.insync.replicas: must be below the replication, 3, is 3: with one machine down nothing could be written"),
    ("zookeeper: {settings: {tickTime: 4000}}", "zookeeper.settings.tickTime: allows sessions of 8000 to 80000 ms, and the brokers ask for 6000 (kafka.settings.zookeeper.session.timeout.ms)"),
    ("kafka: {settings: {zookeeper.session.timeout.ms: 60000}}", "kafka.settings.zookeeper.session.timeout.ms: must be 2000 to 20000, is 60000: ZooKeeper allows 2 to 20 ticks of 1000 ms, and takes the nearest without a word"),
    ("consumers: {collector: {settings: {session.timeout.ms: 3000}}}", "consumers.collector.settings.session.timeout.ms: must be at least 6000, is 3000: the brokers accept no shorter session (group.min.session.timeout.ms)"),
    ("consumers: {collector: {settings: {heartbeat.interval.ms: 5000}}}", "consumers.collector.settings.heartbeat.interval.ms: three heartbeats of 5000 ms must fit into a session of 6000 ms, or one that is lost looks like a death"),
]  # fmt: skip

# Values that could lose data: refused like the rest, until accept_risk names them.
UNSAFE = [
    ("promise: {retention_days: 6}", "promise.retention_days: must be at least 7, is 6: that long a missed record can be found and brought back"),
    ("promise: {outage_days: 0}", "promise.outage_days: must be at least 1, is 0: the clock of retention runs on while the cluster is down"),
    ("sinks: {warehouse: {kind: sqlite, host: REMOVED, database: REMOVED, user: REMOVED, password_file: REMOVED}}", "sinks.warehouse.kind: sqlite is for a lab: it keeps a machine's part on that machine's disk alone"),
    ("kafka: {settings: {unclean.leader.election.enable: true}}", "kafka.settings.unclean.leader.election.enable: must be false, is true: a replica that lacks acknowledged records could lead, and the others would delete theirs to follow it"),
    ("kafka: {settings: {auto.create.topics.enable: true}}", "kafka.settings.auto.create.topics.enable: must be false, is true: a misspelt topic name would become a topic that nobody reads"),
    ("kafka: {settings: {log.flush.interval.messages: 10000}}", "kafka.settings.log.flush.interval.messages: must be 1, is 10000: what was acknowledged but not yet on disk is gone when the power goes on all machines at once"),
    ("kafka: {settings: {min.insync.replicas: 1}}", "kafka.settings.min.insync.replicas: must be at least 2, is 1: the only copy of an acknowledged record could lie on one machine"),
    ("kafka: {settings: {log.retention.ms: 86400000}}", "kafka.settings.log.retention.ms: must be at least 1209600000, is 86400000: the inventory promises 7 days and an outage of 7 (promise.retention_days, promise.outage_days)"),
    ("kafka: {settings: {log.retention.hours: 168}}", "kafka.settings.log.retention.hours: must be at least 336, is 168: the inventory promises 7 days and an outage of 7 (promise.retention_days, promise.outage_days)"),
    ("kafka: {settings: {log.retention.minutes: 60}}", "kafka.settings.log.retention.minutes: must be at least 20160, is 60: the inventory promises 7 days and an outage of 7 (promise.retention_days, promise.outage_days)"),
    ("kafka: {settings: {log.retention.bytes: 1000000}}", "kafka.settings.log.retention.bytes: must be -1, is 1000000: a busy partition would delete records before their time"),
    ("kafka: {settings: {log.cleanup.policy: 'compact,delete'}}", "kafka.settings.log.cleanup.policy: must be delete, is compact,delete: compaction drops every record but the last of each key"),
    ("kafka: {settings: {log.message.timestamp.type: CreateTime}}", "kafka.settings.log.message.timestamp.type: must be LogAppendTime, is CreateTime: a producer's clock in the past would have its records deleted early"),
    ("kafka: {settings: {offsets.retention.minutes: 10080}}", "kafka.settings.offsets.retention.minutes: must be at least 20160, is 10080: a group's position would be forgotten while its records are still kept"),
    ("kafka: {settings: {offsets.topic.replication.factor: 1}}", "kafka.settings.offsets.topic.replication.factor: must be at least 3, is 1: a machine's death could lose the groups' positions"),
    ("topics: {trades: {settings: {retention.ms: 3600000}}}", "topics.trades.settings.retention.ms: must be at least 1209600000, is 3600000: the inventory promises 7 days and an outage of 7 (promise.retention_days, promise.outage_days)"),
    ("topics: {trades: {settings: {retention.bytes: 1}}}", "topics.trades.settings.retention.bytes: must be -1, is 1: a busy partition would delete records before their time"),
    ("topics: {trades: {settings: {cleanup.policy: compact}}}", "topics.trades.settings.cleanup.policy: must be delete, is compact: compaction drops every record but the last of each key"),
    ("topics: {trades: {settings: {unclean.leader.election.enable: true}}}", "topics.trades.settings.unclean.leader.election.enable: must be false, is true: a replica that lacks acknowledged records could lead, and the others would delete theirs to follow it"),
    ("topics: {trades: {settings: {message.timestamp.type: CreateTime}}}", "topics.trades.settings.message.timestamp.type: must be LogAppendTime, is CreateTime: a producer's clock in the past would have its records deleted early"),
    ("zookeeper: {settings: {forceSync: 'no'}}", "zookeeper.settings.forceSync: must be yes, is no: a power cut could undo changes that the brokers already rely on"),
    ("zookeeper: {settings: {snapshot.trust.empty: true}}", "zookeeper.settings.snapshot.trust.empty: must be false, is true: a voter that lost its snapshots would start with a part of the tree, and may lead with it"),
    ("feed: {settings: {acks: 1}}", "feed.settings.acks: must be all or -1, is 1: a record would be acknowledged before two machines have it"),
    ("feed: {settings: {request.required.acks: 0}}", "feed.settings.request.required.acks: must be all or -1, is 0: a record would be acknowledged before two machines have it"),
    ("feed: {settings: {enable.idempotence: false}}", "feed.settings.enable.idempotence: must be true, is false: a retry could store a record twice or out of order"),
    ("feed: {settings: {message.timeout.ms: 300000}}", "feed.settings.message.timeout.ms: must be 0, is 300000: a record that waits longer than this is dropped"),
    ("feed: {settings: {retries: 3}}", "feed.settings.retries: must be at least 2147483647, is 3: a record is dropped after so many attempts"),
    ("consumers: {collector: {settings: {auto.offset.reset: latest}}}", "consumers.collector.settings.auto.offset.reset: must be earliest or beginning or smallest or error, is latest: a group without a position would skip every record that is already there"),
    ("consumers: {collector: {settings: {enable.auto.commit: true}}}", "consumers.collector.settings.enable.auto.commit: must be false, is true: a record's position would be committed before the sink has it"),
    ("consumers: {mine: {settings: {enable.auto.offset.store: true}}}", "consumers.mine.settings.enable.auto.offset.store: must be false, is true: a record would count as done because it was handed out"),
]  # fmt: skip


@pytest.mark.parametrize(("patch", "message"), SHAPES)
def test_an_entry_of_the_wrong_shape_is_refused(tmp_path: Path, patch: str, message: str) -> None:
    assert problems(tmp_path, patch) == [message]


@pytest.mark.parametrize(("patch", "message"), MACHINES)
def test_machines_that_cannot_be_a_cluster_are_refused(
    tmp_path: Path, patch: str, message: str
) -> None:
    assert problems(tmp_path, patch) == [message]


@pytest.mark.parametrize(("patch", "message"), IN_A_LAB)
def test_a_lab_that_could_reach_other_machines_is_refused(
    tmp_path: Path, patch: str, message: str
) -> None:
    assert problems(tmp_path, LAB, patch) == [message]


@pytest.mark.parametrize(("patch", "message"), REFERENCES)
def test_a_reference_to_nothing_and_an_illegal_name_are_refused(
    tmp_path: Path, patch: str, message: str
) -> None:
    assert problems(tmp_path, patch) == [message]


@pytest.mark.parametrize(("patch", "message"), SETTINGS)
def test_a_setting_that_cannot_be_is_refused(tmp_path: Path, patch: str, message: str) -> None:
    assert problems(tmp_path, patch) == [message]


@pytest.mark.parametrize(("patch", "message"), UNSAFE)
def test_an_unsafe_value_is_refused(tmp_path: Path, patch: str, message: str) -> None:
    assert problems(tmp_path, patch) == [message + ACCEPT]


@pytest.mark.parametrize(("patch", "message"), UNSAFE)
def test_an_unsafe_value_is_taken_with_a_reason(
    tmp_path: Path, patch: str, message: str
) -> None:
    path = message.split(": ")[0]
    risk = f"accept_risk: [{{setting: {path}, reason: we know what we do here}}]"
    assert loaded(tmp_path, patch, risk).risks == {path: "we know what we do here"}


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    rows = [
        ("colour: blue", f"colour: unknown key; {TOP}"),
        ("kafka: {heap: big}", "kafka.heap: must be a whole number of M or G such as 384M, is big"),
        *((patch, f"{told}{ACCEPT}") for patch, told in UNSAFE[3:5]),
        ("hosts: {kafka2: {broker_id: 1}}", "hosts.kafka2.broker_id: 1 is taken by kafka1"),
        (
            "hosts: {kafka2: {address: kafka2}}",
            "hosts.kafka2.address: must be an IPv4 address such as 10.0.0.11, is kafka2",
        ),
        ("topics: {trades: {partitions: 0}}", "topics.trades.partitions: must be at least 1, is 0"),
        REFERENCES[5],
        SETTINGS[0],
        SETTINGS[3],
    ]
    with pytest.raises(InventoryError) as raised:
        loaded(tmp_path, *(patch for patch, _ in rows))
    file = tmp_path / "test.yml"
    assert set(str(raised.value).splitlines()) == {f"{file}: {message}" for _, message in rows}
