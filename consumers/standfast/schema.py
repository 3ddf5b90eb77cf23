"""The tables of a sink, one text for SQLite and PostgreSQL.

{bytes} and {int} are the two types that differ. Times are Unix milliseconds.
"""

VERSION = 1

TABLES = (
    """CREATE TABLE IF NOT EXISTS standfast_schema (version {int} NOT NULL PRIMARY KEY)""",
    # repeat: 0 the first with its feed and sequence, or of no feed
    #         1 the same record again, under another offset: a feed that resumed sent it twice
    #         2 the same feed and sequence with another content: not the same record, an alarm
    """CREATE TABLE IF NOT EXISTS records (
        topic_id TEXT NOT NULL,
        topic TEXT NOT NULL,
        partition {int} NOT NULL,
        "offset" {int} NOT NULL,
        key {bytes},
        value {bytes},
        headers TEXT NOT NULL,
        timestamp_ms {int},
        event_time {int},
        feed TEXT,
        sequence {int},
        repeat {int} NOT NULL,
        sha256 {bytes} NOT NULL,
        stored_at {int} NOT NULL,
        host TEXT NOT NULL,
        PRIMARY KEY (topic_id, partition, "offset"))""",
    """CREATE UNIQUE INDEX IF NOT EXISTS records_of_feed ON records (feed, sequence)
        WHERE repeat = 0 AND sequence IS NOT NULL""",
    """CREATE INDEX IF NOT EXISTS records_repeated ON records (feed, sequence)
        WHERE repeat <> 0""",
    # What came under a key that is taken by another content: kept, never dropped.
    """CREATE TABLE IF NOT EXISTS conflicts (
        topic_id TEXT NOT NULL,
        topic TEXT NOT NULL,
        partition {int} NOT NULL,
        "offset" {int} NOT NULL,
        key {bytes},
        value {bytes},
        headers TEXT NOT NULL,
        timestamp_ms {int},
        event_time {int},
        feed TEXT,
        sequence {int},
        sha256 {bytes} NOT NULL,
        stored_at {int} NOT NULL,
        host TEXT NOT NULL,
        PRIMARY KEY (topic_id, partition, "offset", sha256))""",
    # What could not be stored and is in the dead-letter topic.
    """CREATE TABLE IF NOT EXISTS dead_letters (
        topic_id TEXT NOT NULL,
        topic TEXT NOT NULL,
        partition {int} NOT NULL,
        "offset" {int} NOT NULL,
        reason TEXT NOT NULL,
        feed TEXT,
        sequence {int},
        timestamp_ms {int},
        stored_at {int} NOT NULL,
        host TEXT NOT NULL,
        PRIMARY KEY (topic_id, partition, "offset"))""",
    """CREATE TABLE IF NOT EXISTS canary (
        token TEXT NOT NULL,
        partition {int} NOT NULL,
        "offset" {int} NOT NULL,
        broker {int},
        stored_at {int} NOT NULL,
        consumer TEXT NOT NULL,
        host TEXT NOT NULL,
        PRIMARY KEY (token, partition, "offset"))""",
    """CREATE INDEX IF NOT EXISTS canary_by_age ON canary (stored_at)""",
)

# Each record once, also where a feed that resumed sent it twice: what applications read.
EVENTS = "SELECT * FROM records WHERE repeat <> 1"

INSERT_RECORD = """INSERT INTO records (topic_id, topic, partition, "offset", key, value, headers,
    timestamp_ms, event_time, feed, sequence, sha256, stored_at, host, repeat)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
INSERT_CONFLICT = """INSERT INTO conflicts (topic_id, topic, partition, "offset", key, value,
    headers, timestamp_ms, event_time, feed, sequence, sha256, stored_at, host)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
INSERT_DEAD = """INSERT INTO dead_letters (topic_id, topic, partition, "offset", reason, feed,
    sequence, timestamp_ms, stored_at, host)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
INSERT_CANARY = """INSERT INTO canary (token, partition, "offset", broker, stored_at, consumer,
    host) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
PRUNE_CANARY = "DELETE FROM canary WHERE stored_at < ?"

HASHES = """SELECT "offset", sha256 FROM records
    WHERE topic_id = ? AND partition = ? AND "offset" BETWEEN ? AND ?"""
DEAD = """SELECT 1 FROM dead_letters WHERE topic_id = ? AND partition = ? AND "offset" = ?"""
