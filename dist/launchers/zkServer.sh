#!/bin/sh
# Starts a ZooKeeper server in the foreground: zkServer.sh zookeeper.properties
# On a host that Standfast set up, systemd does this: systemctl start zookeeper
set -eu
here=$(dirname "$(readlink -f "$0")")
if [ $# -ne 1 ] || [ ! -f "$1" ]; then
    echo "usage: $(basename "$0") zookeeper.properties" >&2
    exit 2
fi
export JVMFLAGS="${JVMFLAGS:--Xmx512M}"
export ZK_LOG="${ZK_LOG:-$here/../conf/logback.xml}"
exec "$here/zkRun.sh" org.apache.zookeeper.server.quorum.QuorumPeerMain "$1"
