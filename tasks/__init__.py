"""What an operator does to a running cluster: fabfile.py names the tasks, here is what they do."""

from __future__ import annotations

import sys

from rich.console import Console

import connect
from cluster.model import Cluster
from cluster.render import FileSet, file_sets
from dist.artifacts import artifacts
from dist.errors import BuildError

WIDE = 120  # columns, where there is no terminal


def render(cluster: Cluster) -> dict[str, list[FileSet]]:
    """The sets of every machine with a voter, as the inventory asks for them. Raises BuildError or
    OSError where an archive or a password's file is missing.
    """
    archives = artifacts(cluster)
    return {n: file_sets(cluster, v, archives) for n, v in cluster.voters.items()}


def rendered(cluster: Cluster) -> dict[str, list[FileSet]]:
    """As render; what is missing ends it, with the sentence and exit 1."""
    try:
        return render(cluster)
    except (BuildError, OSError) as error:
        connect.die(str(error))


def console() -> Console:
    """Where a task writes for people: stdout, as wide as the terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
