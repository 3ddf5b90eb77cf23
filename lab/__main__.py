"""The lab's commands: `python -m lab COMMAND`, from the repository's root."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from lab.machine import Lab, LabError
from lab.status import table

COMMANDS = {
    "up": "bring every host up; those that run are left alone",
    "down": "end every host and remove all traces, disks included",
    "status": "show what each host is like",
    "check": "say what this machine lacks for a lab",
    "boot": "switch hosts on",
    "power-off": "switch hosts off in order",
    "reboot": "switch hosts off in order and on again",
    "kill": "hosts die silently: link down, then every process at once",
    "cut": "cut the power: like kill, and what was not flushed is lost",
    "freeze": "stop every process of a host where it stands",
    "thaw": "let a frozen host go on",
    "link-down": "pull a host's cable",
    "link-up": "put a host's cable back",
    "ssh": "log in to a host, or run a command there",
    "exec": "run a command in the controller's network namespace",
}
ON_HOSTS = ("boot", "power-off", "reboot", "kill", "cut", "freeze", "thaw", "link-down", "link-up")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument(
        "--inventory",
        default=os.environ.get("INVENTORY", "inventory/lab.yml"),
        help="the inventory that names the lab (default: $INVENTORY, then inventory/lab.yml)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name == "up":
            command.add_argument("--suite", help="bookworm or trixie (default: $SUITE)")
        elif name == "status":
            command.add_argument("--json", action="store_true", help="for programs")
        elif name in ON_HOSTS:
            command.add_argument("hosts", nargs="+", metavar="HOST")
        elif name == "ssh":
            command.add_argument("host", metavar="HOST")
        if name in ("ssh", "exec"):
            command.add_argument("arguments", nargs=argparse.REMAINDER, metavar="CMD")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except LabError as error:
        print(f"standfast: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"standfast: lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "standfast: lab: interrupted; `up` goes on from here, `down` cleans up", file=sys.stderr
        )
        return 130


def _run(options: argparse.Namespace) -> int:
    lab = Lab.load(options.inventory, say=lambda line: print(f"  {line}", flush=True))
    match options.command:
        case "status":
            return _status(lab, options.json)
        case "ssh":
            return lab.ssh(options.host, options.arguments)
        case "exec":
            words = options.arguments[options.arguments[:1] == ["--"] :]
            if not words:
                raise LabError("exec", "needs a command: `exec -- ping 198.18.0.11`", usage=True)
            return subprocess.run(lab.command(*words), check=False).returncode
    names = getattr(options, "hosts", [])
    for name in names:
        lab.plan.machine(name)
    print(
        f"lab {lab.plan.name} ({lab.plan.source}): {' '.join([options.command, *names])}",
        flush=True,
    )
    began = time.monotonic()
    if options.command == "up":
        lab.up(options.suite)
    elif options.command in ("kill", "cut"):
        getattr(lab, options.command)(*names)
    elif names:
        for name in names:
            getattr(lab, options.command.replace("-", "_"))(name)
    else:
        getattr(lab, options.command)()
    print(f"  done in {time.monotonic() - began:.1f} s")
    return 0


def _status(lab: Lab, as_json: bool) -> int:
    statuses = lab.status()
    if as_json:
        print(json.dumps([asdict(status) for status in statuses], indent=2))
        return 0
    print(f"lab {lab.plan.name} ({lab.plan.source})")
    print("\n".join(table(statuses)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
