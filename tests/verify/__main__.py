"""`python -m tests.verify`: every check, then one table.

Exit 0: all is well, 1: something is not, 2: wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

import connect
from cluster.model import Cluster
from tests.verify.outcome import UNSETTABLE
from tests.verify.table import FAILED, PASSED, UNSET, Result, render, summary

HERE = Path(__file__).resolve().parent


class Collected:
    """A pytest plugin: takes the place of pytest's own report."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.broken: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """pytest's own words are for developers."""
        config.pluginmanager.unregister(name="terminalreporter")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One result a check: its call, or what kept it from being called."""
        if report.when == "call" or not report.passed:
            place = next(value for name, value in report.user_properties if name == "check")
            self.results.append(Result(*place, *outcome(report)))  # type: ignore[misc]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file of checks that cannot be read is said, never passed over."""
        if report.failed:
            self.broken.append(f"{report.nodeid}: {_last(report.longreprtext)}")

    def pytest_internalerror(self, excrepr: object) -> bool:
        """As above."""
        self.broken.append(_last(str(excrepr)))
        return True


def outcome(report: pytest.TestReport) -> tuple[str, str]:
    """How a check ended, and what it says."""
    if report.passed:
        return PASSED, ""
    if report.skipped and isinstance(report.longrepr, tuple):
        text = report.longrepr[2].removeprefix("Skipped: ")
        return (UNSET if text.startswith(UNSETTABLE) else FAILED), text
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext
    if text.startswith("Failed: "):  # what pytest.fail was given
        return FAILED, text.removeprefix("Failed: ")
    return FAILED, f"the check itself failed\n  found     {text.strip().splitlines()[0]}"


def _last(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def show(results: Sequence[Result], cluster: Cluster, seconds: float, as_json: bool) -> None:
    """Print the results, as a table or as a JSON list."""
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=1), flush=True)
        return
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    width = shutil.get_terminal_size((100, 24)).columns
    print(render(results, list(cluster.machines), width, plain))
    print(summary(results, cluster.name, seconds), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Verify the cluster that INVENTORY names. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.verify",
        description="Check everything on INVENTORY; safe on production at any time.",
    )
    parser.add_argument("-k", metavar="WORDS", default="", help="only what matches, as pytest's -k")
    parser.add_argument(
        "--json", action="store_true", help="print a JSON list in place of the table"
    )
    args = parser.parse_args(argv)
    cluster = connect.begin("verify")
    began, collected = time.monotonic(), Collected()
    config = ["-c", str(connect.ROOT / "pyproject.toml"), "-o", "addopts="]
    config += ["--import-mode=importlib", "-p", "no:cacheprovider", "--tb=short"]
    selected = ["-k", args.k] if args.k else []
    try:
        code = pytest.main([*config, *selected, str(HERE)], plugins=[collected])
    except KeyboardInterrupt:
        code = pytest.ExitCode.INTERRUPTED
    seconds = time.monotonic() - began
    if code == pytest.ExitCode.INTERRUPTED and not collected.broken:
        print("standfast: verify: interrupted; nothing was changed", file=sys.stderr, flush=True)
        os._exit(130)  # what is still being asked would be waited for
    for line in collected.broken:
        print(f"standfast: verify: {line}", file=sys.stderr)
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        connect.die(f"verify: -k {args.k!r} matches no check", code=2)
    if not collected.results:
        return 2
    try:
        show(collected.results, cluster, seconds, args.json)
    except BrokenPipeError:  # `make verify | head`
        sys.stdout = None
    wrong = collected.broken or any(r.outcome == FAILED for r in collected.results)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
