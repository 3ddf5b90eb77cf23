#!/bin/sh
# Starts a broker in the foreground: kafka-server-start.sh server.properties [--override NAME=VALUE...]
# On a host that Standfast set up, systemd does this: systemctl start kafka
set -eu
here=$(dirname "$(readlink -f "$0")")
if [ "${1:-}" = "-daemon" ]; then
    echo "standfast: $(basename "$0"): -daemon is not supported: let systemd supervise it" >&2
    exit 2
fi
export KAFKA_HEAP_OPTS="${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G}"
export KAFKA_JVM_PERFORMANCE_OPTS="${KAFKA_JVM_PERFORMANCE_OPTS:--server -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError}"
export KAFKA_LOG4J_OPTS="${KAFKA_LOG4J_OPTS:--Dlog4j.configuration=file:$here/../config/log4j.properties}"
exec "$here/kafka-run-class.sh" kafka.Kafka "$@"
