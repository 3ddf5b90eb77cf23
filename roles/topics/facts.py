"""What differs between the topics of the cluster and those that the inventory asks for."""

from __future__ import annotations

from pyinfra.api import FactBase
from pyinfra.api.host import Host

import roles


class TopicDifferences(FactBase[str | None]):
    """What `standfast topics --check` prints of a list of topics (topics.toml's text): one JSON
    list; None where it could not ask (a cluster not begun).
    """

    def command(self, tool: str, topics: str) -> str:
        # The list travels with the question: it is judged before it is staged.
        check = f"{tool} topics /dev/stdin --check 2>/dev/null <<'END-OF-TOPICS' || true"
        return f"if [ -x {tool} ]; then {check}\n{topics}\nEND-OF-TOPICS\nfi"

    def process(self, output: list[str]) -> str | None:
        return "".join(output).strip() or None


def differences(of: Host) -> str | None:
    """How the topics differed when the deploy began, as JSON; None where the host could not say."""
    tool = f"{roles.artifacts().host.link}/bin/standfast"
    listed = roles.rendered(of.name)["topics"].files["topics.toml"]
    return roles.once(of, TopicDifferences, tool=tool, topics=listed)
