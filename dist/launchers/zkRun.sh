#!/bin/sh
# Runs a class of ZooKeeper's: zkRun.sh CLASS [ARGUMENT...]
# JAVA_HOME, JVMFLAGS and ZK_LOG (a logback configuration) are honoured.
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

# shellcheck disable=SC2086  # JVMFLAGS holds several options
exec "$java" ${JVMFLAGS:--Xmx256M} "-Dlogback.configurationFile=${ZK_LOG:-$home/conf/logback-tools.xml}" \
    -cp "$home/libs/*" "$@"
