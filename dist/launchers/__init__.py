"""The commands in the archives' bin/: names that Kafka's users know, each one class of 3.9."""

from __future__ import annotations

from pathlib import Path

from dist.archive import Member

HERE = Path(__file__).parent

KAFKA = {
    "kafka-acls.sh": "kafka.admin.AclCommand",
    "kafka-broker-api-versions.sh": "kafka.admin.BrokerApiVersionsCommand",
    "kafka-cluster.sh": "org.apache.kafka.tools.ClusterTool",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer.sh": "kafka.tools.ConsoleProducer",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-consumer-perf-test.sh": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-delete-records.sh": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-dump-log.sh": "kafka.tools.DumpLogSegments",
    "kafka-e2e-latency.sh": "org.apache.kafka.tools.EndToEndLatency",
    "kafka-get-offsets.sh": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-leader-election.sh": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-log-dirs.sh": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-producer-perf-test.sh": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-reassign-partitions.sh": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-transactions.sh": "org.apache.kafka.tools.TransactionsCommand",
    "zookeeper-shell.sh": "org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka",
}
ZOOKEEPER = {
    "zkCli.sh": "org.apache.zookeeper.ZooKeeperMain",
    "zkSnapShotToolkit.sh": "org.apache.zookeeper.server.SnapshotFormatter",
    "zkTxnLogToolkit.sh": "org.apache.zookeeper.server.persistence.TxnLogToolkit",
}


def _launcher(runner: str, main_class: str, arguments: str = "") -> bytes:
    return (
        "#!/bin/sh\n"
        f'exec "$(dirname "$(readlink -f "$0")")/{runner}" {main_class} {arguments}"$@"\n'
    ).encode()


def members(service: str) -> list[Member]:
    """The members under bin/ and config/ (ZooKeeper: conf/) of the archive of `service`."""
    if service == "kafka":
        table, runner = KAFKA, "kafka-run-class.sh"
        scripts, folder = [runner, "kafka-server-start.sh"], "config"
        configs = ["log4j.properties", "tools-log4j.properties"]
    else:
        table, runner = ZOOKEEPER, "zkRun.sh"
        scripts, folder, configs = (
            [runner, "zkServer.sh"],
            "conf",
            ["logback.xml", "logback-tools.xml"],
        )
    # ZooKeeper's shell takes its server by an option; Kafka's users give it as the first word.
    words = {"zookeeper-shell.sh": "-server "}
    return [
        *(
            Member(f"bin/{n}", 0o755, _launcher(runner, c, words.get(n, "")))
            for n, c in table.items()
        ),
        *(Member(f"bin/{name}", 0o755, HERE / name) for name in scripts),
        *(Member(f"{folder}/{name}", 0o644, HERE / name) for name in configs),
    ]
