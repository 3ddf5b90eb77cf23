"""What differs between the topics of the cluster and the list on the host."""

from __future__ import annotations

from pyinfra.api import FactBase

LIST = "/etc/standfast/topics/staged/topics.toml"


class TopicDifferences(FactBase[str | None]):
    """What `standfast topics --check` prints: one JSON list; None where it could not ask (a
    cluster not begun).
    """

    def command(self, tool: str) -> str:
        check = f"{tool} topics {LIST} --check 2>/dev/null || true"
        return f"if [ -x {tool} ] && [ -e {LIST} ]; then {check}; fi"

    def process(self, output: list[str]) -> str | None:
        return "".join(output).strip() or None
