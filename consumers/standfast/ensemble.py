"""A ZooKeeper ensemble narrowed to the voters that are left, on one of their machines.

  standfast ensemble look                what this voter is, holds and runs with, as JSON
  standfast ensemble narrow --record …   copy its data, and run with the record's voters alone
  standfast ensemble leave-out           let its voter not start, until it is brought back
  standfast ensemble wipe                put its data aside: it starts empty, gets its leader's
  standfast ensemble whole               run with the inventory's voters again from its next start

Root runs it, for `fab last-stand` and `fab rejoin`. While a record lies on a machine its voter is
started with the record's voters, whoever starts it, after a power cut as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import syslog
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standfast import questions, zookeeperdata
from standfast.clients import parse_properties
from standfast.errors import Failure, UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

PROPERTIES = "zookeeper.properties"
RECORD = "record.json"
UNIT = "zookeeper.service"
STOPPED = 90.0  # seconds for systemd to stop a voter
ANSWER = 2.0  # seconds for a voter's answer
HEARD = 1.0  # seconds for a machine to answer or refuse at a port


@dataclass(frozen=True)
class Record:
    """An ensemble that was narrowed: its `voters` by number, since when (Unix seconds), by whom;
    the last epoch and transaction of the data that it began with.
    """

    voters: tuple[int, ...]
    since: float
    by: str
    epoch: int
    zxid: int

    def dump(self) -> str:
        """As it lies in its file."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def load(cls, text: str) -> Record:
        """The opposite of dump; ValueError where it is none."""
        try:
            c = json.loads(text)
            voters = tuple(sorted(map(int, c["voters"])))
            return cls(voters, float(c["since"]), str(c["by"]), int(c["epoch"]), int(c["zxid"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a record of an ensemble ({error!r})") from error


@dataclass(frozen=True)
class Places:
    """Where everything lies on a voter's machine."""

    set: Path = Path("/etc/standfast/zookeeper/current")
    narrowed: Path = Path("/etc/standfast/ensemble")
    dropin: Path = Path("/etc/systemd/system/zookeeper.service.d/ensemble.conf")
    home: Path = Path("/var/lib/zookeeper")

    @property
    def data(self) -> Path:
        """The snapshots."""
        return self.home / "data" / "version-2"

    @property
    def log(self) -> Path:
        """The transactions."""
        return self.home / "log" / "version-2"

    @property
    def left_out(self) -> Path:
        """Is there from when a voter was left out until it is brought back: nobody may have to be
        in reach to keep it from starting.
        """
        return self.home / "left-out"

    def record(self) -> Record | None:
        """The record, None where there is none. Raises Failure where it makes no sense."""
        path = self.narrowed / RECORD
        try:
            return Record.load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Failure(str(path), str(error)) from error

    def settings(self) -> dict[str, str]:
        """The inventory's settings of this voter. Raises UserError."""
        path = self.set / PROPERTIES
        try:
            return parse_properties(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise UserError(str(path), f"cannot be read: {error.strerror}") from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(
        dest="what", required=True, metavar="look|narrow|leave-out|wipe|whole"
    )
    look = kinds.add_parser("look", help="print what this voter holds and runs with")
    after = "name the changes that it holds after this transaction"
    look.add_argument("--after", type=int, metavar="ZXID", help=after)
    at = "print the checksum of this transaction"
    look.add_argument("--at", type=int, metavar="ZXID", help=at)
    others = "ask these addresses whether anybody is there"
    look.add_argument("--others", default="", metavar="HOST:PORT,…", help=others)
    narrow = kinds.add_parser("narrow", help="run with some of the voters alone")
    narrow.add_argument("--record", required=True, metavar="JSON")
    kinds.add_parser("leave-out", help="let its voter not start, until it is brought back")
    wipe_ = kinds.add_parser("wipe", help="put its data aside")
    begin = "let it vote though it is empty: its only partner has the tree, and cannot elect alone"
    wipe_.add_argument("--vote", action="store_true", help=begin)
    kinds.add_parser("whole", help="run with all voters again, from the next start on")


def run(args: argparse.Namespace) -> int:
    try:
        return _run(args, Places())
    except OSError as error:  # a full disk, say
        raise Failure("ensemble", str(error)) from error


def _run(args: argparse.Namespace, places: Places) -> int:
    if args.what == "look":
        others = [other for other in args.others.split(",") if other]
        print(json.dumps(look(places, args.after, args.at, others)))
    elif args.what == "narrow":
        try:
            record = Record.load(args.record)
        except ValueError as error:
            raise UserError("--record", str(error)) from error
        narrow(places, record)
    elif args.what == "leave-out":
        leave_out(places)
    elif args.what == "wipe":
        print(json.dumps({"aside": str(wipe(places, args.vote) or "")}))
    else:
        whole(places)
    return 0


# --- what is there ---


def look(
    places: Places,
    after: int | None = None,
    at: int | None = None,
    others: Sequence[str] = (),
) -> dict[str, Any]:
    """What a voter is, holds and runs with:

    {"id", "record": {…} or null, "mode": "leader", "follower" or "" where it serves nobody,
     "members": [numbers it runs with, where it serves], "holds": whether it has data, "fault": why
     they cannot be used, "epoch", "zxid": the last of its data, "logged": the last of its log (-1:
     none), "at": the checksum of transaction `at`, null where its logs do not hold it, "changes":
     those after `after`, "hears": those of `others` ("host:port") whose machine answers, with a
     refusal too}
    """
    settings, record = places.settings(), places.record()
    number = voter(settings)
    address = f"{settings['clientPortAddress']}:{settings['clientPort']}"
    try:
        mode = questions.zookeeper_mode(address, ANSWER)
        members = sorted(questions.zookeeper_members(address, ANSWER))
    except OSError:
        mode, members = "", []
    try:
        fault = zookeeperdata.fault(places.data, places.log)
        zxid, logged = zookeeperdata.last(places.data, places.log), zookeeperdata.logged(places.log)
        there = None if at is None else zookeeperdata.checksum(places.log, at)
        changes = [] if after is None else zookeeperdata.changes(places.log, after)
    except OSError as error:
        raise Failure(str(places.home), f"cannot be read: {error}") from error
    return {
        "id": number,
        "record": asdict(record) if record else None,
        "mode": mode,
        "members": members,
        "holds": zxid >= 0,
        "fault": fault,
        "epoch": _epoch(places),
        "zxid": zxid,
        "logged": logged,
        "at": there,
        "changes": changes,
        "hears": questions.machines_that_answer(others, HEARD),
    }


def voter(settings: dict[str, str]) -> int:
    """A voter's number: the one of its own address."""
    own = settings.get("clientPortAddress", "")
    for name, value in settings.items():
        if name.startswith("server.") and value.partition(":")[0] == own:
            return int(name.removeprefix("server."))
    raise UserError(PROPERTIES, f"names no voter at {own or 'its own address'}")


def _epoch(places: Places) -> int:
    """The last epoch in which it followed or led; -1 for none."""
    try:
        return int((places.data / "currentEpoch").read_text())
    except (OSError, ValueError):
        return -1


def serving(others: Sequence[str], timeout: float) -> dict[str, frozenset[int]]:
    """The other voters ("host:port") that serve, each with the voters of its ensemble; all are
    asked at once, for `timeout` seconds.
    """

    def members(address: str) -> frozenset[int]:
        try:
            return questions.zookeeper_members(address, timeout)
        except OSError:
            return frozenset()

    with ThreadPoolExecutor(max(1, len(others))) as pool:
        found = zip(others, pool.map(members, others), strict=True)
        return {at: of for at, of in found if of}


# --- what is changed ---


def leave_out(places: Places) -> None:
    """Note that this voter was left out. Raises OSError."""
    _write(places.left_out, "fab rejoin takes this away; without it this voter starts\n")


def narrow(places: Places, record: Record) -> None:
    """Start the voter anew, with the record's voters alone. Raises UserError, Failure."""
    settings = places.settings()
    number, known = voter(settings), _numbers(settings)
    if number not in record.voters:
        raise UserError("--record", f"this is voter {number}, and not one of {record.voters}")
    if unknown := set(record.voters) - known:
        raise UserError("--record", f"no such voter: {', '.join(map(str, sorted(unknown)))}")
    there = places.record()
    if there is None or there.since != record.since:
        _systemctl("stop", UNIT)
        copy = _keep(places, "before-last-stand", shutil.copytree)
        _say(f"ensemble: its data were copied to {copy or 'nowhere: there are none'}")
    _write(places.narrowed / PROPERTIES, narrowed(places, record))
    _write(places.narrowed / RECORD, record.dump())
    properties = places.narrowed / PROPERTIES
    _write(
        places.dropin,
        f"# Put here by `fab last-stand`, taken away by `fab rejoin`: {places.narrowed / RECORD}\n"
        f"[Service]\nEnvironment=PROPERTIES={properties}\n",
    )
    places.left_out.unlink(missing_ok=True)
    _systemctl("daemon-reload")
    _systemctl("restart", "--no-block", UNIT)
    voters = " ".join(map(str, record.voters))
    _say(f"alarm ensemble: ZooKeeper's ensemble is narrowed to the voters {voters}", crit=True)


def narrowed(places: Places, record: Record) -> str:
    """The voter's settings file with the record's voters alone."""
    lines = (places.set / PROPERTIES).read_text(encoding="utf-8").splitlines()
    out = [f"server.{n}=" for n in _numbers(places.settings()) - set(record.voters)]
    kept = [line for line in lines if not line.startswith(tuple(out))] if out else lines
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.since))
    head = [
        f"# A last stand since {since}, by {record.by}: the voters that are left, alone.",
        "# `fab rejoin HOST` brings the others back, one at a time, and removes this file at last.",
        "# A quorum of one must begin an epoch of its own, as any other does.",
        "standaloneEnabled=false",
        "",
    ]
    return "\n".join([*head, *kept]) + "\n"


def wipe(places: Places, vote: bool = False) -> Path | None:
    """Stop the voter, and move its data aside; returns where they are, None where it had none.

    An empty voter does not vote (db.autocreate=false): empty ones could elect an empty tree. With
    `vote` it does, once: right only where every other voter of its ensemble has the tree.
    """
    _systemctl("stop", UNIT)
    aside = _keep(places, "before-rejoin", shutil.move)
    if aside:
        _say(f"ensemble: its data were moved to {aside}; it gets its leader's")
    if vote:
        word = places.home / "log" / "initialize"  # ZooKeeper removes it as it starts
        word.touch()
        shutil.chown(word, "zookeeper", "zookeeper")
    return aside


def whole(places: Places) -> None:
    """Take the record away. What runs is left alone: it runs with all voters already."""
    there = places.record() is not None
    files = (places.dropin, places.narrowed / RECORD, places.narrowed / PROPERTIES)
    for path in (*files, places.left_out):
        path.unlink(missing_ok=True)
    _systemctl("daemon-reload")
    if there:
        _say("alarm ensemble-whole: ZooKeeper's ensemble is the inventory's again", crit=True)


def _keep(places: Places, name: str, how: Any) -> Path | None:
    """Copy or move the data (not myid) to a folder of their own beside them."""
    to = places.home / f"{name}-{time.strftime('%Y%m%dT%H%M%S')}"
    for place in (places.data, places.log):
        if place.exists():
            (to / place.parent.name).mkdir(parents=True, exist_ok=True, mode=0o750)
            how(place, to / place.parent.name / place.name)
    if not to.exists():
        return None
    os.sync()
    return to


def _numbers(settings: dict[str, str]) -> set[int]:
    names = (n.removeprefix("server.") for n in settings if n.startswith("server."))
    return {int(name) for name in names if name.isdigit()}


def _write(path: Path, text: str) -> None:
    """Write a file as a whole, on the disk before the next."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.new")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _say(line: str, crit: bool = False) -> None:
    """To the system log: an operator's command runs it, no unit."""
    syslog.openlog("standfast", facility=syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_CRIT if crit else syslog.LOG_NOTICE, line)


def _systemctl(*words: str) -> None:
    try:
        subprocess.run(
            ["systemctl", *words], check=True, capture_output=True, text=True, timeout=STOPPED
        )
    except subprocess.CalledProcessError as error:
        raise Failure("systemctl", f"{' '.join(words)}: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired:
        raise Failure("systemctl", f"{' '.join(words)}: not done in {STOPPED:.0f} s") from None
