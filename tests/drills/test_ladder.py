"""Each rung of the ladder once, from a fixed list: what `make drills` does two hundred times."""

from __future__ import annotations

from drills import faults
from drills.ground import Ground
from drills.judge import ladder
from drills.plan import Planned
from tests.lab.conftest import Figure

# Seconds that would not be kept without what carries this rung; the targets are stricter.
BOUNDS = {
    "one machine's death": 18.0,
    "the second machine's death": 20.0,
    "two machines at once": 25.0,
    "all three, after sshd answers": 60.0,
}
PLAN = [
    Planned("kill -9 of kafka", ("kafka2",), "kafka"),
    Planned("silent deaths in turn", ("kafka1", "kafka2"), aim="controller", gap=6.0),
    Planned("silent deaths at once", ("kafka2", "kafka3")),
    Planned("power cut on all", ("kafka1", "kafka2", "kafka3")),
]


def test_no_acknowledged_record_is_lost_on_any_rung(ground: Ground, figure: Figure) -> None:
    for planned in PLAN:
        faults.strike(ground, planned)
    stream = ground.stream
    stream.caught_up(90)
    assert stream.stop(), "the feed did not have everything acknowledged"
    result = stream.result()
    assert result.good, result.problems()
    assert not [entry for entry in ground.entries if entry.error]
    found = {one.rung.name: one for one in ladder.figures(ground.entries, [])}
    for name, bound in BOUNDS.items():
        one = found[name]
        figure(name, one.worst, one.rung.median)
        assert one.worst < bound, f"{name}: {one.worst:.1f} s"
