"""The demo: a lab from nothing, a stream, and everything in turn killed under it.

Ends with 0 only where nothing is missing, nothing is twice, and all that was killed came back.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import connect
from cluster.model import Cluster
from drills import deploys, fab, hosts, power
from drills.closing import closing_table, ladder_table, try_next
from drills.outside import outside
from drills.result import Result
from drills.screen import Screen
from drills.stream import Stream, now
from drills.wait import NotYet, Overdue, wait_until
from drills.watch import Watch
from lab.machine import Lab, LabError

FOLDER = connect.ROOT / "build" / "demo"
TOPIC = "trades"
RATE = 150.0  # records a second: what two cores carry with three brokers that flush each record
STEADY = 600  # records between one fault and the next, so that each is seen apart


class Failed(Exception):
    """A step did not succeed: one sentence, and where to read more."""


def main() -> int:
    """Run the demo; return its exit code."""
    argparse.ArgumentParser(prog="python -m drills.demo", description=__doc__).parse_args()
    cluster = connect.cluster()
    if not cluster.is_lab:
        path = cluster.path.name
        connect.die(f"{path}: is no lab, and the demo kills what it runs on (INVENTORY=…)", code=2)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    FOLDER.mkdir(parents=True, exist_ok=True)
    screen = Screen()
    try:
        build(screen)
        connect.begin("demo on")
        deploy(screen, cluster)
    except Failed as error:
        connect.die(str(error))
    except KeyboardInterrupt:
        connect.die("interrupted; nothing was killed, and `make demo` goes on from here", code=130)
    return Demo(cluster, screen).run()


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


# --- what it stands on ---


def build(screen: Screen) -> None:
    """The archives and the lab, both at once."""
    steps = {"dist": "the archives", "lab": "the hosts"}
    commands = {"dist": ["-m", "dist"], "lab": ["-m", "lab", "up"]}

    def one(name: str) -> str:
        log = FOLDER / f"{name}.log"
        with log.open("w") as file:
            code = subprocess.run(
                [sys.executable, *commands[name]],
                cwd=connect.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        if code:
            raise Failed(f"{steps[name]}: {_last_words(log)}")
        return name

    with screen.doing("Building the archives and the hosts"), ThreadPoolExecutor() as pool:
        for future in [pool.submit(one, name) for name in steps]:
            future.result()


def deploy(screen: Screen, cluster: Cluster) -> None:
    """What a person types for three machines of their own, with its output in a file."""
    log = FOLDER / "deploy.log"
    with screen.doing("Deploying: pyinfra inventory/hosts.py deploy.py") as at:
        done = deploys.followed(cluster.path, log, at)
        if done.code:
            raise Failed(f"the deploy: {_last_words(log)}")
    if " is stale: " in done.text:
        with screen.doing("Making live what was staged: fab roll"):
            rolled = fab.roll(cluster.path)
        if rolled.code:
            raise Failed(f"the roll: {rolled.text.strip().splitlines()[-1]}")


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text().splitlines() if line.strip()][-6:]
    return "\n  ".join([f"failed (all of it: {log.relative_to(connect.ROOT)})", *lines])


# --- the demo itself ---


class Demo:
    """The stream, and what befalls it."""

    def __init__(self, cluster: Cluster, screen: Screen) -> None:
        self.cluster, self.screen = cluster, screen
        self.lab = Lab.load(cluster.path)
        folder = FOLDER / time.strftime("%Y%m%d-%H%M%S")
        self.stream = Stream(cluster, folder, topic=TOPIC, rate=RATE, name="demo")
        self.killed: list[str] = []  # machines that are off by our hand
        self.struck = 0  # when the last of them was
        names = list(self.stream.collectors)
        self.watch = Watch(cluster, self.lab, self.stream.seen, names, TOPIC)
        self.collector = names[0]

    def run(self) -> int:
        """All of it; returns the exit code."""
        try:
            result = self.story()
            verified = self.verify()
        except KeyboardInterrupt:
            return self.leave_whole("interrupted", 130)
        except (Failed, Overdue, LabError, OSError) as error:
            return self.leave_whole(str(error), 1)
        self.screen.console.print(closing_table(result, verified))
        self.screen.console.print(ladder_table(result))
        for problem in result.problems():
            self.screen.say(problem, "bold red")
        # A command is not broken: it can be copied from a narrow terminal too.
        self.screen.console.print(try_next(self.cluster), soft_wrap=True)
        return 0 if result.good and verified else 1

    def story(self) -> Result:
        """The stream from its first record to the judgement."""
        say = self.screen.say
        self.watch.start()
        with self.screen.showing(self.cluster, self.stream, self.watch):
            self.stream.start()
            self.stream.healthy()
            say(f"a feed sends {RATE:.0f} trades a second to the topic {TOPIC}")
            self.steadily()
            self.kill_consumer()
            self.steadily()
            self.kill_broker()
            self.steadily()
            self.climb()
            say("the feed stops: is every record that was acknowledged in every sink?")
            if not self.stream.stop():
                raise Failed(f"the feed did not end well: see {self.stream.folder / 'feed.log'}")
            self.watch.stop()
            return self.stream.result()

    def steadily(self) -> None:
        """Let the stream run for a while, so that one fault's pause is not the next one's."""
        target = self.stream.acknowledged + STEADY
        wait_until(
            lambda: self.stream.acknowledged >= target, 60, f"{STEADY} records to be acknowledged"
        )

    def kill_consumer(self) -> None:
        """kill -9 of a collector that holds partitions."""
        held = self.stream.seen.holders(self.collector, TOPIC)
        host = max(held, key=lambda name: len(held[name]))
        self.screen.say(
            f"kill -9: the consumer {self.collector} on {host}, which reads partitions "
            f"{' and '.join(map(str, held[host]))}",
            "bold yellow",
        )
        self.kill(host, f"consumer-{self.collector}.service", "consumer's kill -9")
        self.screen.say(f"systemd restarted it; it reads on ({self.felt()})", "green")

    def kill_broker(self) -> None:
        """kill -9 of the broker that is the controller."""
        host = self.controller()
        self.screen.say(f"kill -9: the broker on {host}, the cluster's controller", "bold yellow")
        self.kill(host, "kafka.service", "broker's kill -9 (the controller)")
        self.screen.say(f"it is back, every replica in sync again ({self.felt()})", "green")

    def climb(self) -> None:
        """One machine, the second, the third with the power; and all of them back."""
        host = self.controller()
        self.die(host, f"{host} dies: its cable first, then every process at once. It says nothing")
        self.lives_on("machine's silent death (the controller)", "the others lead every partition")
        self.steadily()
        host = self.controller()
        (last,) = set(self.cluster.hosts) - {*self.killed, host}
        self.die(host, f"{host} dies as well. Nothing may be written now: {last} is alone")
        self.lives_on("second machine's silent death", f"{last}'s guardian lets it write alone")
        self.steadily()
        self.screen.say(f"the power of {last} is cut, with all three off now", "bold yellow")
        self.killed.append(last)
        with outside():
            self.lab.cut(last)
        self.screen.say("nobody is left. What was acknowledged lies on the disks", "yellow")
        self.power_on()

    def die(self, host: str, words: str) -> None:
        """A machine's silent death."""
        self.screen.say(words, "bold yellow")
        self.struck = now()
        self.killed.append(host)
        with outside():
            self.lab.kill(host)

    def lives_on(self, name: str, words: str) -> None:
        """Wait until the stream goes on, and note what the fault cost it."""
        with self.stream.fault(name, self.struck):
            self.stream.flows(60)
            self.screen.say(f"{words}: the stream goes on", "green")
            self.stream.caught_up(90)
        self.screen.say(f"and what is left reads on ({self.felt()})", "green")

    def power_on(self) -> None:
        """Every machine on again; what counts is the time from when they can be logged in to."""
        self.screen.say("all three are switched on again", "bold yellow")

        at = power.boot(self.lab, self.killed, self.screen.say)
        with self.stream.fault("all three powered on again, after sshd answers", at, since=True):
            self.stream.flows(120)
            self.screen.say("the stream goes on", "green")
        self.stream.healthy(180)
        self.stream.restored()
        self.killed.clear()
        self.screen.say("every replica is in sync again, and min ISR is what it was", "green")

    def kill(self, host: str, unit: str, name: str) -> None:
        """kill -9 of a service, and wait until all is well again."""
        before = hosts.unit(host, unit)

        def again() -> bool:
            found = hosts.unit(host, unit)
            if found.state != "active" or found.pid in (0, before.pid):
                raise NotYet(f"it is {found.state}")
            return True

        with self.stream.fault(name):
            hosts.signal(host, unit)
            wait_until(again, 60, f"{unit} to run again on {host}", every=0.4)
            self.stream.healthy(120)

    def controller(self) -> str:
        """The machine whose broker is the controller."""

        def known() -> str:
            return self.stream.seen.brokers().controller or ""

        return wait_until(known, 30, "the cluster to have a controller")

    def felt(self) -> str:
        """How long acknowledgements paused at the last fault."""
        pause = self.stream.faults[-1].acknowledged
        return f"acknowledgements paused for {pause.worst:.1f} s at most"

    def verify(self) -> bool:
        """The verification, as `make verify` runs it."""
        self.screen.say("make verify: is the cluster what the inventory says?")
        self.screen.console.file.flush()
        done = subprocess.run([sys.executable, "-m", "tests.verify"], cwd=connect.ROOT, check=False)
        return done.returncode == 0

    def leave_whole(self, why: str, code: int) -> int:
        """Stop the feed, switch on what was killed, and say how things stand."""
        say = self.screen.say
        say(f"{why}", "bold red")
        try:
            self.watch.stop()
            for host in self.killed:
                say(f"switching {host} on again")
            power.boot(self.lab, self.killed, say)
            self.stream.stop()
            say("the feed is stopped")
            if self.stream.faults or self.killed:
                self.stream.whole(120)
            say(f"the cluster is whole: {self.stream.acknowledged:,} records were acknowledged")
        except (KeyboardInterrupt, Overdue, LabError, OSError) as error:
            say(str(error) or "interrupted again", "bold red")
            say("the lab is not whole: `make demo` brings it back, `make lab-down` takes it away")
        return code


if __name__ == "__main__":
    sys.exit(main())
