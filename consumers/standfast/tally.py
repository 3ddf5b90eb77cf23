"""Print what a sink holds, as JSON: offsets and sequence numbers as ranges, and counts.

Reads in order and keeps only ranges, so its memory does not grow with the sink. With --canary
it prints what became of one canary, and nothing else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standfast.collectconfig import Config, load
from standfast.errors import Failure
from standfast.ranges import Gather, Ranges
from standfast.sinks import Unavailable

if TYPE_CHECKING:
    import argparse

    from standfast.sinks import Sink

PLACES = """SELECT topic_id, topic, partition, "offset", feed, repeat FROM records
    ORDER BY topic_id, partition, "offset" """
SEQUENCES = """SELECT feed, sequence FROM records WHERE repeat = 0 AND sequence IS NOT NULL
    ORDER BY feed, sequence"""
REPEATED = """SELECT feed, sequence, repeat FROM records WHERE repeat <> 0
    ORDER BY feed, sequence"""
DEAD = """SELECT topic_id, topic, partition, "offset", feed, sequence FROM dead_letters
    ORDER BY topic_id, partition, "offset" """
CONFLICTS = """SELECT topic_id, topic, partition, "offset", feed FROM conflicts
    ORDER BY topic_id, partition, "offset" """
NEWEST = "SELECT max(stored_at) FROM records"
CANARY = """SELECT partition, "offset", broker, stored_at, consumer, host FROM canary
    WHERE token = ? ORDER BY partition, "offset" """


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `standfast tally`."""
    parser.add_argument("config", type=Path, metavar="collector.toml")
    parser.add_argument("--canary", metavar="TOKEN", help="only what arrived of this canary")
    parser.add_argument("--json", action="store_true", help="is what it prints in any case")


def run(args: argparse.Namespace) -> int:
    """Print the tally, as one line of JSON."""
    config = load(args.config)
    sink = config.open_sink(create=False)
    try:
        sink.open()
        found = canary(sink, args.canary) if args.canary else tally(sink)
    except Unavailable as error:
        raise Failure("sink", f"{error}") from error
    finally:
        sink.close()
    json.dump({**_head(config), **found}, sys.stdout, separators=(",", ":"))
    print()
    return 0


def _head(config: Config) -> dict[str, Any]:
    sink = str(config.sink.path)
    if config.sink.kind == "postgresql":
        sink = "{host}:{port}/{dbname}".format(**config.sink.connect)
    return {
        "consumer": config.name,
        "host": config.instance,
        "kind": config.sink.kind,
        "sink": sink,
    }


def canary(sink: Sink, token: str) -> dict[str, Any]:
    """{"canary": [{partition, offset, broker, stored_at, consumer, host}, …]}."""
    names = ("partition", "offset", "broker", "stored_at", "consumer", "host")
    rows = sink.rows(CANARY, (token,))
    return {"token": token, "canary": [dict(zip(names, row, strict=True)) for row in rows]}


def tally(sink: Sink) -> dict[str, Any]:
    """The shape is that of `standfast.union.Tally`, which reads it."""
    partitions: dict[tuple[str, str, int], Ranges] = {}
    places: dict[tuple[str, str, int], Ranges] = {}
    for topic_id, topic, partition, offset, feed, repeat in sink.rows(PLACES):
        partitions.setdefault((topic_id, topic, partition), Ranges()).add_next(offset)
        if feed is not None and repeat == 0:
            places.setdefault((feed, topic_id, partition), Ranges()).add_next(offset)
    sequences: dict[str, Ranges] = {}
    for feed, sequence in sink.rows(SEQUENCES):
        sequences.setdefault(feed, Ranges()).add_next(sequence)
    repeats: dict[str, int] = {}
    clashes: dict[str, int] = {}
    repeated: dict[str, Gather] = {}
    for feed, sequence, repeat in sink.rows(REPEATED):
        counts = repeats if repeat == 1 else clashes
        counts[feed] = counts.get(feed, 0) + 1
        repeated.setdefault(feed, Gather()).add(sequence)
    dead: dict[tuple[str, str, int], Ranges] = {}
    dead_numbers: dict[str, Gather] = {}
    for topic_id, topic, partition, offset, feed, sequence in sink.rows(DEAD):
        dead.setdefault((topic_id, topic, partition), Ranges()).add_next(offset)
        if sequence is not None:
            dead_numbers.setdefault(feed, Gather()).add(sequence)
    conflicts: dict[tuple[str, str, int], Gather] = {}
    conflicts_of: dict[str, int] = {}
    for topic_id, topic, partition, offset, feed in sink.rows(CONFLICTS):
        conflicts.setdefault((topic_id, topic, partition), Gather()).add(offset)
        if feed is not None:
            conflicts_of[feed] = conflicts_of.get(feed, 0) + 1
    newest = next(iter(sink.rows(NEWEST)), (None,))[0]
    nothing = Gather()
    return {
        "newest_stored_at": newest,
        "partitions": [
            {
                "topic_id": place[0],
                "topic": place[1],
                "partition": place[2],
                "records": len(partitions.get(place, ())),
                "offsets": partitions.get(place, Ranges()).pairs(),
                "dead_letters": dead.get(place, Ranges()).pairs(),
                "conflicts": conflicts.get(place, nothing).ranges().pairs(),
            }
            for place in sorted({*partitions, *dead, *conflicts})
        ],
        "feeds": [
            {
                "feed": feed,
                "records": len(sequences.get(feed, ())),
                "sequences": sequences.get(feed, Ranges()).pairs(),
                "repeats": repeats.get(feed, 0),
                "clashes": clashes.get(feed, 0),
                "repeated_sequences": repeated.get(feed, nothing).ranges().pairs(),
                "conflicts": conflicts_of.get(feed, 0),
                "dead_letter_sequences": dead_numbers.get(feed, nothing).ranges().pairs(),
                "places": [
                    {"topic_id": topic_id, "partition": partition, "offsets": offsets.pairs()}
                    for (of, topic_id, partition), offsets in sorted(
                        places.items(), key=lambda item: item[0]
                    )
                    if of == feed
                ],
            }
            for feed in sorted({*sequences, *repeats, *clashes, *dead_numbers})
        ],
    }
