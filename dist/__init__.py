"""Builds what the deploy sends to hosts: Kafka, ZooKeeper and the Python programs, all pinned.

python -m dist [--relock] [--python 3.11] makes, where they are not up to date,

    build/dist/kafka-VERSION.tar      libs/ bin/ config/
    build/dist/zookeeper-VERSION.tar  libs/ bin/ conf/
    build/dist/host-cp311.tar         bin/standfast lib/

and holds cluster/names/, the settings that these versions know, against what was built.
"""
