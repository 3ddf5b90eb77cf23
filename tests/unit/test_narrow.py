"""Whom a last stand is left to, and who comes back: nothing forks, nothing is lost unseen."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cluster.model import Cluster
from cluster.narrow import (
    NAMED,
    Narrow,
    Refused,
    Sight,
    Widen,
    elsewhere,
    following,
    last_stand,
    record_of,
    rejoin,
    sight,
)
from cluster.observed import Narrowed
from tests.unit.inventory_base import loaded

NAMES = ("kafka1", "kafka2", "kafka3", "witness1", "witness2")  # voters 1 to 5
ALL = frozenset({1, 2, 3, 4, 5})
EPOCH, ZXID = 3, 0x3_0000_0010
RECORD = Narrowed((2,), 1_700_000_000.0, "ops@desk", EPOCH, ZXID)
AWAY = Sight(complaint="it answers to nothing")
Seen = dict[str, Sight]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return loaded(tmp_path_factory.mktemp("inventory"))


def there(**more: Any) -> Sight:
    """A machine that can be looked at: its voter has data, and serves nobody."""
    sight: dict[str, Any] = {
        "holds": True, "epoch": EPOCH, "zxid": ZXID, "logged": ZXID, "answers": frozenset({2181}),
    }  # fmt: skip
    return Sight(**{**sight, **more})


EMPTY = there(holds=False, epoch=-1, zxid=-1, logged=-1)
DAMAGED = there(fault="log.1: fails its checksum")


def world(**of: Sight) -> Seen:
    """All five voters; those that are not named are away."""
    return {**dict.fromkeys(NAMES, AWAY), **of}


def refused(result: object, *says: str) -> Refused:
    assert isinstance(result, Refused), result
    for words in says:
        assert words in f"{result.why}\n{result.next}"
    return result


# --- a last stand ---


def test_the_only_voter_that_is_left_becomes_the_ensemble(cluster: Cluster) -> None:
    dead = ("kafka1", "kafka3", "witness1", "witness2")
    plan = last_stand(cluster, "kafka2", world(kafka2=there()))
    assert plan == Narrow(("kafka2",), dead, EPOCH, ZXID)


def test_all_voters_that_are_left_become_the_ensemble(cluster: Cluster) -> None:
    plan = last_stand(cluster, "kafka2", world(kafka2=there(), witness1=there()))
    assert isinstance(plan, Narrow)
    assert plan.voters == ("kafka2", "witness1")
    assert plan.dead == ("kafka1", "kafka3", "witness2")


@pytest.mark.parametrize(
    ("host", "witness", "begins"),
    [
        ((3, ZXID), (3, ZXID + 5), (3, ZXID + 5)),
        ((3, ZXID + 5), (3, ZXID), (3, ZXID + 5)),
        ((3, ZXID + 5), (4, ZXID), (4, ZXID)),
    ],
    ids=["the witness has more", "the host has more", "a later epoch before more of an earlier"],
)
def test_it_begins_with_the_newest_data(
    cluster: Cluster, host: tuple[int, int], witness: tuple[int, int], begins: tuple[int, int]
) -> None:
    of = [there(epoch=epoch, zxid=zxid) for epoch, zxid in (host, witness)]
    plan = last_stand(cluster, "kafka2", world(kafka2=of[0], witness1=of[1]))
    assert isinstance(plan, Narrow)
    assert (plan.epoch, plan.zxid) == begins


@pytest.mark.parametrize(
    "witness", [EMPTY, replace(DAMAGED, zxid=ZXID + 99, epoch=9)], ids=["empty", "damaged"]
)
def test_a_witness_without_good_data_is_left_out_of_the_ensemble(
    cluster: Cluster, witness: Sight
) -> None:
    plan = last_stand(cluster, "kafka2", world(kafka2=there(), witness1=witness))
    dead = ("kafka1", "kafka3", "witness2")
    assert plan == Narrow(("kafka2",), dead, EPOCH, ZXID), "nobody has to switch off what answers"


SERVES = there(mode="follower", members=ALL)
LIVES = Sight(complaint="no such user", answers=frozenset({3888}))
NO_STAND: dict[str, tuple[str, Seen, tuple[str, ...]]] = {
    "a quorum serves": (
        "kafka2", world(kafka2=SERVES, witness1=there()),
        ("ZooKeeper serves, with a quorum: kafka2 says so", "fab status"),
    ),
    "a quorum serves elsewhere": (
        "kafka2", world(witness1=SERVES), ("witness1 says so", "fab status"),
    ),
    "the host is away": (
        "kafka1", world(kafka2=there(), witness1=there()),
        ("kafka1 cannot be looked at (it answers to nothing)", "those that can be are kafka2",
         "fab last-stand kafka2"),
    ),
    "every host is away": (
        "kafka1", world(witness1=there()), ("nor can any other host", "ssh kafka1"),
    ),
    "enough are there": (
        "kafka2", world(kafka2=there(), witness1=there(), witness2=there()),
        ("kafka2, witness1 and witness2 are there, 3 of 5", "fab status"),
    ),
    "the host is damaged": (
        "kafka2", world(kafka2=DAMAGED, witness1=there()),
        ("ZooKeeper's data on kafka2 cannot be used: log.1: fails", "switch another machine on"),
    ),
    "the host is empty": (
        "kafka2", world(kafka2=EMPTY, witness1=there()),
        ("data on kafka2 cannot be used: it holds no data", "switch another machine on"),
    ),
    "a silent one answers at a port": (
        "kafka2", world(kafka2=there(), kafka3=LIVES),
        ("kafka3 lives: it answers this controller, and", "no such user", "ssh kafka3"),
    ),
    "a silent one is heard by the host": (
        "kafka2", world(kafka2=there(hears=frozenset({"kafka3"}))),
        ("kafka3 lives: it answers kafka2, and", "ssh kafka3; mend it, or switch it off"),
    ),
    "a silent one is heard by another voter": (
        "kafka2", world(kafka2=there(), witness1=there(hears=frozenset({"witness2"}))),
        ("witness2 lives: it answers witness1, and", "ssh witness2"),
    ),
    "a silent one is heard by an empty voter": (
        "kafka2", world(kafka2=there(), witness1=replace(EMPTY, hears=frozenset({"kafka1"}))),
        ("kafka1 lives: it answers witness1, and",),
    ),
    "a silent one is heard by all": (
        "kafka2", world(kafka2=there(hears=frozenset({"kafka3"})), kafka3=LIVES),
        ("kafka3 lives: it answers this controller and kafka2, and",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", NO_STAND)
def test_no_last_stand_begins_while(cluster: Cluster, why: str) -> None:
    host, seen, says = NO_STAND[why]
    refused(last_stand(cluster, host, seen), *says)


def test_that_the_voters_hear_each_other_is_no_obstacle(cluster: Cluster) -> None:
    both = {
        "kafka2": there(hears=frozenset({"witness1"})),
        "witness1": there(hears=frozenset({"kafka2"})),
    }
    assert isinstance(last_stand(cluster, "kafka2", world(**both)), Narrow)


SHORT = Narrowed((2, 4), RECORD.since, RECORD.by, EPOCH, ZXID)


@pytest.mark.parametrize(
    "seen",
    [
        world(kafka2=there(record=SHORT), witness1=there()),
        world(kafka2=there(record=SHORT, mode="leader", members=frozenset({2, 4}))),
        world(kafka2=there(record=SHORT), witness1=there(), kafka1=there(), kafka3=there()),
    ],
    ids=["nobody serves", "it serves already", "others are there, and serve nobody"],
)
def test_a_last_stand_that_was_interrupted_goes_on(seen: Seen) -> None:
    assert elsewhere(SHORT, seen) is None


def test_it_does_not_go_on_where_the_others_serve_meanwhile() -> None:
    """One of two was narrowed; the machines that were off came back, and are a quorum with the
    other: to narrow that one as well would fork the data.
    """
    four = {name: SERVES for name in NAMES if name != "kafka2"}
    seen = world(kafka2=there(record=SHORT), **four)
    why = refused(elsewhere(SHORT, seen), "kafka1, kafka3, witness1 and witness2 says so").why
    assert "second ensemble" in why


# --- a machine comes back ---


def inside(*numbers: int, **of: Sight) -> Seen:
    """A narrowed ensemble of these voters, which serves; the first leads. The rest is away."""
    record = replace(RECORD, voters=numbers)
    serve = {
        NAMES[n - 1]: there(
            record=record, mode="leader" if n == numbers[0] else "follower",
            members=frozenset(numbers), epoch=EPOCH + 1, zxid=ZXID + 500, logged=ZXID + 500,
        )
        for n in numbers
    }  # fmt: skip
    return world(**{**serve, **of})


@pytest.mark.parametrize("mine", [there(), EMPTY, DAMAGED], ids=["old data", "none", "damaged"])
def test_one_that_was_away_comes_back_empty(cluster: Cluster, mine: Sight) -> None:
    plan = rejoin(cluster, "kafka1", inside(2, kafka1=mine))
    assert plan == Widen("kafka1", ("kafka2",), RECORD, wipes=True, ends=False)


def test_the_last_one_that_comes_back_ends_it(cluster: Cluster) -> None:
    plan = rejoin(cluster, "witness2", inside(1, 2, 3, 4, witness2=there()))
    assert isinstance(plan, Widen)
    assert plan.voters == NAMES[:4]
    assert (plan.wipes, plan.ends) == (True, True)
    assert isinstance(before := rejoin(cluster, "witness1", inside(2, 3, witness1=there())), Widen)
    assert not before.ends


def test_without_a_last_stand_nobody_has_to_come_back(cluster: Cluster) -> None:
    seen = dict.fromkeys(NAMES, there(mode="follower", members=ALL))
    refused(rejoin(cluster, "kafka1", seen), "no last stand is under way", "fab status")


def test_who_could_not_be_asked_may_know_of_a_last_stand(cluster: Cluster) -> None:
    seen = {**dict.fromkeys(NAMES, there()), "kafka2": AWAY, "witness1": AWAY}
    refused(
        rejoin(cluster, "kafka1", seen),
        "no last stand is known, and kafka2 and witness1 could not be asked",
    )


def test_a_machine_that_is_away_cannot_come_back(cluster: Cluster) -> None:
    why = "kafka1 cannot be looked at: it answers to nothing"
    refused(rejoin(cluster, "kafka1", inside(2)), why, "switch kafka1 on")


def test_nobody_comes_back_while_a_member_is_away(cluster: Cluster) -> None:
    seen = inside(2, 4, kafka1=there(), kafka2=AWAY)
    why = "kafka2 cannot be looked at: what was written since lies there"
    refused(rejoin(cluster, "kafka1", seen, discard=True), why, "switch kafka2 on")


def test_one_that_is_back_already_is_left_as_it_is(cluster: Cluster) -> None:
    plan = rejoin(cluster, "kafka1", inside(1, 2))
    record = replace(RECORD, voters=(1, 2))
    assert plan == Widen("kafka1", ("kafka2",), record, wipes=False, ends=False)
    alone = rejoin(cluster, "kafka2", inside(2))
    assert alone == Widen("kafka2", (), RECORD, wipes=False, ends=False)


@pytest.mark.parametrize(
    "mine", [replace(EMPTY, record=replace(RECORD, voters=(1, 2, 4))), there()],
    ids=["empty", "new and without a record"],
)  # fmt: skip
def test_one_that_the_others_count_on_and_does_not_serve_comes_back_empty(
    cluster: Cluster, mine: Sight
) -> None:
    plan = rejoin(cluster, "kafka1", inside(1, 2, 4, kafka1=mine))
    assert isinstance(plan, Widen)
    assert (plan.voters, plan.wipes) == (("kafka2", "witness1"), True)


def test_an_end_that_was_interrupted_is_brought_to_its_end(cluster: Cluster) -> None:
    plan = rejoin(cluster, "kafka1", inside(1, 2, 3, 4, 5))
    assert isinstance(plan, Widen)
    assert (plan.wipes, plan.ends) == (False, True)


WIDER = replace(RECORD, voters=(1, 2))


@pytest.mark.parametrize(
    ("mine", "wipes"),
    [
        (there(record=WIDER, changes=("setData /controller",), epoch=EPOCH + 1), False),
        (replace(EMPTY, record=WIDER), True),
    ],
    ids=["it has its leader's data", "it is empty"],
)
def test_a_return_that_was_interrupted_goes_on(cluster: Cluster, mine: Sight, wipes: bool) -> None:
    """An empty one must be told again that it may vote, which is said as its data are put aside."""
    plan = rejoin(cluster, "kafka1", inside(2, kafka1=mine))
    assert isinstance(plan, Widen)
    assert (plan.voters, plan.record, plan.wipes) == (("kafka2",), WIDER, wipes)


def test_the_return_of_another_is_brought_to_its_end_first(cluster: Cluster) -> None:
    seen = inside(2, kafka1=there(record=WIDER), kafka3=there())
    why = "the return of kafka1 was interrupted"
    refused(rejoin(cluster, "kafka3", seen), why, "fab rejoin kafka1")


def test_nobody_comes_back_into_an_ensemble_that_does_not_serve(cluster: Cluster) -> None:
    stopped = there(record=RECORD)
    seen = inside(2, kafka1=there(), kafka2=stopped)
    why = "ZooKeeper does not serve on kafka2"
    refused(rejoin(cluster, "kafka1", seen, discard=True), why, "journalctl", "on kafka2")


def test_a_return_goes_on_though_nobody_serves_meanwhile(cluster: Cluster) -> None:
    seen = world(kafka1=there(record=WIDER), kafka2=there(record=WIDER))
    assert isinstance(rejoin(cluster, "kafka1", seen), Widen)
    assert isinstance(rejoin(cluster, "kafka2", seen), Widen)


SUM = 4711
FORK = there(mode="leader", members=ALL, epoch=EPOCH + 1, at=SUM)


@pytest.mark.parametrize("discard", [False, True])
@pytest.mark.parametrize("theirs", [None, SUM + 1])
def test_one_that_serves_in_an_ensemble_of_its_own_is_kept_out(
    cluster: Cluster, theirs: int | None, discard: bool
) -> None:
    seen = inside(2, kafka1=FORK)
    seen["kafka2"] = replace(seen["kafka2"], at=theirs)
    refused(
        rejoin(cluster, "kafka1", seen, discard),
        "kafka1 serves in an ensemble of its own (kafka1, kafka2, kafka3, witness1 and witness2)",
        "two clusters take writes", "Stop the applications", "docs/two-in-the-morning.md, 5",
    )  # fmt: skip


FOLLOWS = there(mode="follower", members=ALL, epoch=EPOCH + 1, zxid=ZXID + 500)


@pytest.mark.parametrize(
    "mine",
    [replace(FOLLOWS, logged=ZXID + 500, at=SUM), replace(FOLLOWS, logged=-1)],
    ids=["its last transaction is theirs", "its leader sent it everything"],
)
def test_one_that_follows_the_narrowed_ensemble_unasked_comes_back(
    cluster: Cluster, mine: Sight
) -> None:
    """What it holds is the ensemble's own, however much of it is new."""
    seen = inside(2, 3, 4, kafka1=replace(mine, changes=("create /brokers/ids/2",)))
    seen["witness1"] = replace(seen["witness1"], at=SUM)
    plan = rejoin(cluster, "kafka1", seen)
    assert isinstance(plan, Widen)
    assert plan.wipes


LATER = there(epoch=EPOCH + 1)
MORE = there(changes=("setData /controller_epoch", "create /brokers/topics/new"))
LOSES = "What was acknowledged on the strength of that would be lost"


@pytest.mark.parametrize(
    ("mine", "says"),
    [
        (LATER, "was in a later quorum (epoch 4, the last stand's began after 3)"),
        (MORE, "holds changes that the last stand never had: setData /controller_epoch; create /"),
        (replace(MORE, epoch=EPOCH + 1), "was in a later quorum (epoch 4, the last stand's began "
         "after 3): setData /controller_epoch; create /brokers/topics/new"),
    ],
    ids=["a later epoch", "changes", "both"],
)  # fmt: skip
def test_what_the_last_stand_never_had_is_not_thrown_away_unasked(
    cluster: Cluster, mine: Sight, says: str
) -> None:
    seen = inside(2, kafka1=mine, witness1=mine)
    next_step = "copy /var/lib/kafka of kafka1; then fab rejoin kafka1 --discard"
    assert refused(rejoin(cluster, "kafka1", seen), says, LOSES).next == next_step
    witness = refused(rejoin(cluster, "witness1", seen), says, LOSES)
    assert witness.next == "fab rejoin witness1 --discard", "it has no broker"


def test_a_checksum_that_is_not_known_proves_nothing(cluster: Cluster) -> None:
    assert inside(2)["kafka2"].at is MORE.at is None
    refused(rejoin(cluster, "kafka1", inside(2, kafka1=MORE)), LOSES)


def test_what_nobody_else_has_goes_by_the_operators_word(cluster: Cluster) -> None:
    plan = rejoin(cluster, "kafka1", inside(2, kafka1=MORE), discard=True)
    assert isinstance(plan, Widen)
    assert (plan.wipes, plan.lost) == (True, MORE.changes)


def test_only_some_of_many_changes_are_named(cluster: Cluster) -> None:
    mine = there(changes=tuple(f"create /n{n}" for n in range(NAMED + 3)))
    result = refused(rejoin(cluster, "kafka1", inside(2, kafka1=mine)), f"create /n{NAMED - 1}")
    assert result.why.count("create /") == NAMED


def test_a_record_of_an_earlier_last_stand_is_no_return_that_began(cluster: Cluster) -> None:
    """It came back once, died, and a second last stand began without it."""
    earlier = replace(RECORD, voters=(1, 2, 4), since=RECORD.since - 3600)
    mine = there(record=earlier)
    plan = rejoin(cluster, "kafka1", inside(2, kafka1=mine))
    assert isinstance(plan, Widen)
    assert plan.wipes, "its data are from before the second"
    changed = replace(mine, changes=MORE.changes)
    refused(rejoin(cluster, "kafka1", inside(2, kafka1=changed)), LOSES)
    refused(rejoin(cluster, "kafka1", inside(2, kafka1=replace(FORK, record=earlier))), "two clus")


# --- what is known of a last stand ---


def test_the_widest_record_of_the_latest_last_stand_is_the_one() -> None:
    earlier = replace(RECORD, voters=(1, 2, 3, 4), since=RECORD.since - 3600)
    seen = world(
        kafka1=there(record=earlier), kafka2=there(record=RECORD), kafka3=there(record=WIDER)
    )
    assert record_of(seen) == WIDER
    assert record_of({**seen, "kafka3": AWAY}) == RECORD
    assert record_of(world(kafka2=there())) is None


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ((2,), "when kafka1 is mended, switch it on, and: fab rejoin kafka1"),
        ((1, 2, 4), "when kafka3 is mended, switch it on, and: fab rejoin kafka3"),
        ((1, 2, 3), "when witness1 is mended, switch it on, and: fab rejoin witness1"),
        ((1, 2, 3, 4, 5), "fab status"),
    ],
)
def test_the_hosts_come_back_before_the_witnesses(
    cluster: Cluster, members: tuple[int, ...], says: str
) -> None:
    assert following(cluster, members) == says


ANSWER = {
    "id": 2, "mode": "leader", "members": [1, 2], "holds": True, "fault": "", "epoch": 4,
    "record": {"voters": [1, 2], "since": 1.5, "by": "ops@desk", "epoch": 3, "zxid": 16},
    "zxid": 99, "logged": 98, "at": SUM, "changes": ["create /a"],
    "hears": ["10.0.0.13:3888", "10.0.0.99:3888"],
}  # fmt: skip


def test_a_machines_answer_is_read() -> None:
    names = {"10.0.0.11:3888": "kafka1", "10.0.0.13:3888": "kafka3"}
    seen = sight(json.loads(json.dumps(ANSWER)), names, frozenset({2181}))
    assert seen == Sight(
        record=Narrowed((1, 2), 1.5, "ops@desk", 3, 16), mode="leader", members=frozenset({1, 2}),
        holds=True, epoch=4, zxid=99, logged=98, at=SUM, changes=("create /a",),
        hears=frozenset({"kafka3"}), answers=frozenset({2181}),
    )  # fmt: skip
    assert sight({**ANSWER, "record": None, "at": None}, names, frozenset()).record is None


@pytest.mark.parametrize("lacks", [name for name in ANSWER if name != "id"])
def test_an_answer_that_lacks_something_is_none(lacks: str) -> None:
    with pytest.raises(KeyError):
        sight({name: value for name, value in ANSWER.items() if name != lacks}, {}, frozenset())
