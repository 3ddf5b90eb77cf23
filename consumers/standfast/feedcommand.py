"""Send records that must not be lost: from a CSV or JSON-lines file, or a generator of trades.

Ends with 0 only where every record was acknowledged by two machines and, with --ledger, that
is on disk here too; otherwise it says how many and which were not.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from standfast import clients, sources
from standfast.errors import Failure, UserError
from standfast.feed import Feed, RecordRefused
from standfast.feedprogress import Progress
from standfast.ledger import read_head
from standfast.ranges import Gather, Ranges
from standfast.supervision import Stop

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from standfast.sources import Row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `standfast feed`."""
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT,…")
    parser.add_argument("--topic", required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--csv", metavar="FILE", help="a CSV with a header line; - is stdin")
    what.add_argument("--json", metavar="FILE", dest="lines", help="JSON objects, one a line; -")
    what.add_argument("--generate", type=int, metavar="N", help="N made-up trades; 0: no end")
    parser.add_argument("--seed", type=int, default=1, help="of the generator (default 1)")
    parser.add_argument("--key", metavar="COLUMN", help="its value is the record's key")
    parser.add_argument("--event-time", metavar="COLUMN", help="milliseconds, or ISO 8601")
    parser.add_argument("--rate", type=float, default=0.0, help="records a second (default: all)")
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument("--ledger", type=Path, help="keep here what was acknowledged")
    parser.add_argument("--resume", action="store_true", help="go on from the ledger")
    parser.add_argument("--name", default="feed", help="begins the feed's id (default: feed)")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="producer.properties")
    parser.add_argument("--accept-risk", metavar="REASON", help="send with unsafe settings")
    parser.add_argument("--drain", type=float, default=30.0, help="seconds to wait at the end")
    parser.add_argument("--summary", action="store_true", help="print the summary as JSON")
    parser.add_argument("--no-progress", action="store_false", dest="progress")
    parser.add_argument("--progress", action="store_true", default=True)


def run(args: argparse.Namespace) -> int:
    """Feed as asked; 0 if every row was acknowledged, 1 if not."""
    if args.resume and args.ledger is None:
        raise UserError("--resume", "needs --ledger, the file to go on from")
    if args.rate < 0 or args.drain < 0 or (args.generate is not None and args.generate < 0):
        raise UserError("--rate, --drain, --generate", "must not be negative")
    stop = Stop().install()
    with ExitStack() as stack:
        rows = _rows(args, stack)
        source = _source(args)
        feed = Feed(
            args.bootstrap.split(","),
            args.topic,
            ledger=args.ledger,
            name=args.name,
            source=source,
            resume=args.resume,
            settings=clients.read_properties(args.settings) if args.settings else None,
            accept_risk=args.accept_risk,
            drain=args.drain,
            stop=stop.__bool__,
        )
        feed.check()
        progress = Progress(feed, args.progress, args.generate or None)
        bad = Gather()
        try:
            _send(feed, rows, args, stop, progress, bad)
        except Failure as failure:  # the feed cannot go on: what is missing is said below
            print(f"standfast: {failure}", file=sys.stderr)
        missing = feed.close()
        progress.close()
    return _report(feed, missing, bad.ranges(), bool(stop), args)


def _rows(args: argparse.Namespace, stack: ExitStack) -> Iterator[Row]:
    if args.generate is not None:
        return sources.generated(args.seed, args.generate)
    path = args.csv or args.lines
    file = stack.enter_context(sources.opened(path))
    read = sources.csv_rows if args.csv else sources.json_rows
    return read(file, path, args.key, args.event_time)


def _source(args: argparse.Namespace) -> str:
    if args.generate is not None:
        return f"generator seed={args.seed}"
    known = None
    if args.resume and args.ledger.exists():
        known = read_head(args.ledger).source
    return sources.identity(args.csv or args.lines, known)


def _send(
    feed: Feed,
    rows: Iterator[Row],
    args: argparse.Namespace,
    stop: Stop,
    progress: Progress,
    bad: Gather,
) -> None:
    """Send each row that is not acknowledged yet, at the rate asked for."""
    began = time.monotonic()
    for row in rows:
        if stop or (args.seconds and time.monotonic() - began >= args.seconds):
            return
        if row.sequence in feed.done:
            continue
        if row.problem is not None:
            print(f"standfast: {row.problem}; it is not sent", file=sys.stderr)
            bad.add(row.sequence)
            continue
        try:
            feed.send(row.key, row.value, event_time=row.event_time, sequence=row.sequence)
        except RecordRefused as refused:
            print(f"standfast: {refused}; it is not sent", file=sys.stderr)
            bad.add(row.sequence)
        progress.show()
        if args.rate:
            # Against the schedule, not the last record: a pause is made up for.
            while not stop and (left := began + feed.sent / args.rate - time.monotonic()) > 0.001:
                time.sleep(min(left, 0.2))
                progress.show()


def _report(
    feed: Feed, missing: Ranges, bad: Ranges, stopped: bool, args: argparse.Namespace
) -> int:
    before = len(feed.done)
    summary: dict[str, object] = {
        "feed": feed.id,
        "topic": feed.topic,
        "sent": feed.sent,
        "acknowledged": feed.acknowledged,
        "acknowledged_before": before,
        "not_acknowledged": len(missing),
        "not_acknowledged_sequences": missing.pairs(),
        "bad_rows": len(bad),
        "bad_row_sequences": bad.pairs(),
        "stopped": stopped,
        **feed.pauses.summary(),
    }
    if args.summary:
        print(json.dumps(summary))
    pauses = feed.pauses
    earlier = f" ({before} before)" if before else ""
    print(
        f"{feed.id}: {feed.sent} sent, {feed.acknowledged} acknowledged{earlier}; "
        f"longest pause {pauses.longest:.2f} s, slowest {pauses.slowest:.2f} s, "
        f"p50 {pauses.percentile(0.5):.1f} ms, p99 {pauses.percentile(0.99):.1f} ms",
        file=sys.stderr,
    )
    if missing:
        again = "; --resume sends them" if args.ledger else ""
        print(
            f"standfast: feed: {len(missing)} not acknowledged: sequences {missing.text()}{again}",
            file=sys.stderr,
        )
    if bad:
        print(f"standfast: feed: {len(bad)} bad rows not sent: {bad.text()}", file=sys.stderr)
    return 1 if missing or bad else 0
