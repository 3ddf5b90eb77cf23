"""Builds what the deploy sends to hosts: Kafka, ZooKeeper and the Python programs, all pinned.

    python -m dist [--relock] [--python 3.11 ...]

makes build/dist/kafka-*.tar, zookeeper-*.tar and host-cp*.tar, and checks cluster/names/ against them.
"""
