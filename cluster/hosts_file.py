"""The hosts file's text as a cluster needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping

BEGIN = "# Standfast: the cluster's machines"
END = "# Standfast: end"


def with_machines(text: str, addresses: Mapping[str, str]) -> str:
    """`text` with one block that names every machine, in place of an older block.

    A line of 127.0.1.1 is dropped: a host's own name must map to its own address, or a server that
    looks itself up
    binds where no other host reaches it, and no quorum forms.
    """
    lines = re.sub(rf"{BEGIN}\n.*?{END}\n", "", text, flags=re.DOTALL).splitlines()
    kept = [line for line in lines if line.split()[:1] != ["127.0.1.1"]]
    own = [f"{address} {name}" for name, address in addresses.items()]
    # A line that gives one of the names another address would win over ours.
    kept = [line for line in kept if not set(line.split("#")[0].split()[1:]) & addresses.keys()]
    return "\n".join([*kept, BEGIN, *own, END]) + "\n"
