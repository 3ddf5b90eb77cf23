"""`standfast SUBCOMMAND …`: finds the subcommand's module, and imports that one only.

A command that must be done within a fraction of a second (deregister) does not pay for what
the others import.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING

from standfast.errors import StandfastError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Each module has add_arguments(parser) and run(args) -> exit code.
SUBCOMMANDS = {
    "collect": "standfast.collect",
    "tally": "standfast.tally",
    "audit": "standfast.audit",
    "refill": "standfast.refill",
    "feed": "standfast.feedcommand",
    "probe": "standfast.probe",
    "alert": "standfast.alert",
    "deregister": "standfast.deregister",
    "guardian": "standfast.guardian",
    "gate": "standfast.gate",
    "ensemble": "standfast.ensemble",
    "copies": "standfast.copies",
    "topics": "standfast.topics",
    "wait": "standfast.wait",
}

HELP = """\
usage: standfast SUBCOMMAND …        (standfast SUBCOMMAND --help says more)

  feed        send records that must not be lost: CSV, JSON lines, or a generator
  collect     read topics into a durable sink, nothing lost and nothing twice
  tally       print what a sink holds, as JSON
  audit       hold a sink against the log, record by record
  refill      bring what a sink lacks from the log into it
  topics      check topics, or create and alter them
  wait        wait until this host's Kafka or ZooKeeper is ready
  probe       watch this host's servers, and end one that hangs
  alert       hand this host's alarms on: to a command, or a webhook
  gate        keep a server from starting on a damaged copy
  copies      print how far this broker's copies of partitions go
  ensemble    narrow ZooKeeper's ensemble to the voters that are left, and end that
  guardian    let the last broker alive take writes alone, and end that again
  deregister  take a dead broker's registration out of ZooKeeper

exit codes: 0 done, 1 failed, 2 wrong usage or invalid input, 130 interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; every error of the user's is one line on stderr, never a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from standfast import __version__

        print(f"standfast {__version__}")
        return 0
    name = arguments[0]
    if name not in SUBCOMMANDS:
        known = ", ".join(SUBCOMMANDS)
        print(f"standfast: {name}: no such subcommand; there are {known}", file=sys.stderr)
        return 2
    module = importlib.import_module(SUBCOMMANDS[name])
    parser = argparse.ArgumentParser(prog=f"standfast {name}", description=module.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    module.add_arguments(parser)
    try:
        return int(module.run(parser.parse_args(arguments[1:])))
    except StandfastError as error:
        print(f"standfast: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"standfast: {name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, a pager) is gone: there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
