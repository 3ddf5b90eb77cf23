from pathlib import Path

from cluster.draft import Draft


def check(d: Draft, root: Path) -> None: ...
