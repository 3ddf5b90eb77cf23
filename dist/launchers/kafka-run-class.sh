#!/bin/sh
# Runs a class of Kafka's: kafka-run-class.sh CLASS [ARGUMENT...]
# As in Kafka's own scripts, KAFKA_HEAP_OPTS, KAFKA_JVM_PERFORMANCE_OPTS, KAFKA_LOG4J_OPTS, KAFKA_OPTS,
# CLASSPATH and JAVA_HOME are honoured.
set -eu
here=$(dirname "$(readlink -f "$0")")
home=$(dirname "$here")
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

if [ $# -eq 0 ]; then
    echo "usage: $(basename "$0") CLASS [ARGUMENT...]" >&2
    exit 2
fi
if ! command -v "$java" >/dev/null; then
    echo "standfast: $(basename "$0"): $java not found: install Java 17, or set JAVA_HOME" >&2
    exit 1
fi

set -- -cp "$home/libs/*${CLASSPATH:+:$CLASSPATH}" "$@"
[ -n "${KAFKA_LOG4J_OPTS:-}" ] || set -- "-Dlog4j.configuration=file:$home/config/tools-log4j.properties" "$@"
# A tool lives for seconds: the serial collector and the first compiler start fastest.
# shellcheck disable=SC2086  # these hold several options each
exec "$java" ${KAFKA_HEAP_OPTS:--Xmx256M} \
    ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseSerialGC -XX:TieredStopAtLevel=1} \
    ${KAFKA_LOG4J_OPTS:-} ${KAFKA_OPTS:-} "$@"
