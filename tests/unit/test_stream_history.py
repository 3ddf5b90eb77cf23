"""How long a stream stood still, from its ledger's and its sinks' times."""

from drills.history import History, longest_gap, pause
from standfast.ledger import Acknowledgement


def ack(
    partition: int, at: int, offset: int = 0, *, run: int = 1, latency: float = 5.0
) -> Acknowledgement:
    return Acknowledgement(1, partition, offset, at, latency, run, again=False)


def acks(*rows: tuple[int, int], run: int = 1, latency: float = 5.0) -> list[Acknowledgement]:
    """(partition, at) as acknowledgements, each partition's offsets counted up."""
    offsets: dict[int, int] = {}
    lines = []
    for partition, at in rows:
        offsets[partition] = offsets.get(partition, -1) + 1
        lines.append(ack(partition, at, offsets[partition], run=run, latency=latency))
    return lines


def history(*lines: Acknowledgement) -> History:
    found = History()
    for line in lines:
        found.add(line)
    return found


def test_a_gap_counts_that_begins_before_the_fault_and_ends_within():
    assert longest_gap([0, 100, 2_100, 2_200], begin=150, end=2_150) == 2.0


def test_a_gap_before_and_a_gap_after_the_fault_do_not_count():
    assert longest_gap([0, 5_000, 5_100, 5_200, 9_000], begin=5_050, end=5_150) == 0.1


def test_a_stream_that_never_comes_back_has_paused_until_the_end():
    assert longest_gap([0, 100], begin=50, end=7_100) == 7.0


def test_a_stream_that_never_began_has_paused_all_the_time():
    assert longest_gap([], begin=1_000, end=4_000) == 3.0


def test_the_worst_partition_is_seen_though_the_others_hide_it():
    times = {0: list(range(0, 10_000, 100)), 1: [0, 100, 6_100, 6_200, 9_900]}
    found = pause(times, 150, 6_150)
    assert found.longest == 0.1
    assert found.worst == found.by_partition[1] == 6.0


def test_what_lies_between_two_runs_of_the_feed_is_no_pause_of_the_cluster():
    first = acks((0, 0), (0, 100), run=1)
    second = acks((0, 60_000), (0, 60_100), run=2)
    found = history(*first, *second)
    assert found.longest == 0.1
    assert found.pause(50, 60_100).longest == 0.1


def test_the_slowest_acknowledgement_is_of_those_under_way_during_the_fault():
    slow = ack(0, 9_000, 1, latency=8_000.0)
    found = history(*acks((0, 0)), slow, *acks((0, 20_000), latency=9.0))
    assert found.slowest_between(2_000, 3_000) == 8.0
    assert found.slowest_between(10_000, 30_000) == 0.009
    assert found.slowest == 8.0


def test_stored_are_those_below_the_groups_positions():
    found = history(*acks((0, 1), (0, 2), (0, 3), (1, 4)))
    assert found.ends() == {0: 3, 1: 1}
    assert found.below({}) == 0
    assert found.below({0: 2}) == 2
    assert found.below({0: 3, 1: 1}) == 4


def test_a_clock_set_back_does_not_break_the_order():
    found = history(*acks((0, 1_000), (0, 900), (0, 1_100)))
    assert list(found.at[0]) == [1_000, 1_000, 1_100]


def test_an_offset_that_the_broker_did_not_say_is_stored_with_the_one_before():
    found = history(ack(0, 1, 7), ack(0, 2, -1), ack(0, 3, 9))
    assert found.ends() == {0: 10}
    assert found.below({0: 8}) == 2
