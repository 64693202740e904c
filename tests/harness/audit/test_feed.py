"""feed_gap_free: the ways in which a follower can be misled."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import at_rest, empty, judged
from tests.paper_sale import EPOCH

Change = tuple[str, int]


class Paper:
    """A feed written by hand; each event is a hundredth of a second after the one before."""

    def __init__(self) -> None:
        self.builder = empty()
        self.t_s = 0.0

    def connect(self, user: int, seq: int | None = None, epoch: str = EPOCH) -> Paper:
        return self._add(user, "connect", "" if seq is None else epoch, seq)

    def drop(self, user: int) -> Paper:
        return self._add(user, "disconnect", key="reset")

    def resync(self, user: int, seq: int, epoch: str = EPOCH) -> Paper:
        return self._add(user, "resync", epoch, seq)

    def snapshot(self, user: int, seq: int, states: dict[str, int], epoch: str = EPOCH) -> Paper:
        self._add(user, "snapshot", epoch, seq, len(states))
        for seat, state in states.items():
            self.seat(user, seq, seat, state, epoch)
        return self

    def seat(self, user: int, seq: int, seat: str, state: int, epoch: str = EPOCH) -> Paper:
        return self._add(user, "seat", epoch, seq, state, seat)

    def _add(
        self, user: int, event: str, epoch: str = "", seq: int | None = None, value: int | None = None, key: str = ""
    ) -> Paper:
        self.t_s += 0.01
        self.builder.event(user, "feed", event, self.t_s, epoch, seq, value, key)
        return self

    def result(self) -> InvariantResult:
        return judged("feed_gap_free", self.builder)

    def complaint(self) -> str:
        result = self.result()
        assert result.status is Status.VIOLATED
        assert result.violations_total == 1
        return result.violations[0].summary


def started() -> Paper:
    return Paper().connect(1).snapshot(1, 4, {"a": 2}).seat(1, 5, "b", 1)


def test_contiguous_changes_hold() -> None:
    assert started().seat(1, 6, "b", 2).result().status is Status.HELD


def test_a_hole_is_a_gap() -> None:
    assert started().seat(1, 8, "c", 1).complaint() == "spectator-0001 missed 2 changes after 5 without a resync"


def test_a_repeat_is_told_apart() -> None:
    assert "got change 5 again or too late" in started().seat(1, 5, "b", 1).complaint()


def test_a_change_before_any_snapshot() -> None:
    assert "got change 5 before any snapshot" in Paper().connect(1).seat(1, 5, "b", 1).complaint()


def test_a_reconnect_continues_where_it_asked_to() -> None:
    assert started().drop(1).connect(1, 5).seat(1, 6, "b", 2).result().status is Status.HELD


def test_a_reconnect_that_skips_is_a_gap() -> None:
    paper = started().drop(1).connect(1, 5).seat(1, 7, "b", 2)
    history = paper.result().violations[0].history
    assert [step.text for step in history] == [
        "connected, asking to continue after 5",
        "change 7: seat b is sold",
    ]


def test_a_resync_may_skip() -> None:
    paper = started().drop(1).connect(1, 5).resync(1, 90).snapshot(1, 90, {"a": 2, "b": 2}).seat(1, 91, "c", 1)
    assert paper.result().status is Status.HELD


def test_a_silent_snapshot_may_not_skip() -> None:
    paper = started().drop(1).connect(1, 5).snapshot(1, 90, {"a": 2})
    assert "was moved to 90 of epoch e1 without a resync" in paper.complaint()


def test_a_fresh_connection_gets_a_snapshot() -> None:
    assert started().drop(1).connect(1).snapshot(1, 90, {}).result().status is Status.HELD


def test_an_epoch_ends_with_a_resync() -> None:
    assert started().resync(1, 0, "e2").snapshot(1, 0, {}, "e2").seat(1, 1, "a", 1, "e2").result().status is Status.HELD
    assert "got a change of epoch e2 after epoch e1" in started().seat(1, 6, "a", 1, "e2").complaint()


def test_a_number_means_the_same_to_everybody() -> None:
    paper = started().connect(2).snapshot(2, 4, {"a": 2}).seat(2, 5, "c", 1)
    assert "change 5 of epoch e1 means two things" in paper.complaint()


def test_changes_add_up_to_a_later_snapshot() -> None:
    paper = started().seat(1, 6, "a", 0)
    assert paper.connect(2).snapshot(2, 6, {"b": 1}).result().status is Status.HELD
    assert "changes add up to free for seat a, but the snapshot at 6 shows it sold" in (
        paper.connect(3).snapshot(3, 6, {"a": 2, "b": 1}).complaint()
    )


def test_a_snapshot_cut_short_is_not_compared() -> None:
    paper = started().connect(2)
    paper.snapshot(2, 5, {"a": 2, "b": 1})
    paper.builder.tables["events"].pop()
    result = paper.result()
    assert (result.status, result.unknowns) == (Status.HELD, 1)


def test_changes_add_up_to_the_map_at_rest() -> None:
    paper = started().seat(1, 6, "b", 2)
    paper.builder.tables["final_seats"] += [{"seat": "a", "state": "sold"}, {"seat": "b", "state": "sold"}]
    at_rest(paper.builder, seq=6)
    assert paper.result().status is Status.HELD
    paper.builder.tables["final_seats"].append({"seat": "c", "state": "held"})
    assert paper.complaint() == "changes up to 6 add up to free for seat c, but at rest it is held"


def test_of_a_map_that_nobody_followed_to_each_unseen_change_can_have_changed_one_seat() -> None:
    paper = started()
    resting = paper.builder.tables["final_seats"]
    resting += [{"seat": "a", "state": "sold"}, {"seat": "c", "state": "held"}]
    at_rest(paper.builder, seq=7)
    result = paper.result()
    assert result.status is Status.HELD
    assert result.note == "nobody followed the feed to 7, where the platform came to rest"
    resting[0]["state"] = "held"
    assert paper.complaint() == (
        "changes up to 5 add up to sold for seat a, but at rest it is held; 2 more differ too, after 2 changes"
    )
    at_rest(paper.builder, seq=8)
    assert paper.result().status is Status.HELD


def test_one_snapshot_puts_nothing_to_the_test() -> None:
    result = Paper().connect(1).snapshot(1, 4, {"a": 2}).result()
    assert (result.status, result.chances) == (Status.NOT_EXERCISED, 0)


def test_a_reconnect_is_a_chance_only_where_something_follows() -> None:
    paper = started()
    assert paper.result().chances == 1
    assert paper.drop(1).connect(1, 5).result().chances == 1
    assert paper.seat(1, 6, "b", 2).result().chances == 2


def test_a_change_of_another_epoch_is_no_part_of_a_snapshot() -> None:
    paper = Paper().connect(1)._add(1, "snapshot", "e2", 4, 1).seat(1, 4, "a", 1, "e1").seat(1, 5, "b", 1, "e1")
    assert "got a change of epoch e1 after epoch e2" in paper.complaint()


def test_a_feed_that_nobody_followed_is_no_pass() -> None:
    assert Paper().connect(1).result().status is Status.UNKNOWN


changes = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2)), min_size=3, max_size=30)


def followed(log: list[Change], joins: list[int]) -> RunBuilder:
    """Followers who join after so many changes and see the rest."""
    paper = Paper()
    for user, join in enumerate(joins, start=1):
        states = dict(log[:join])
        paper.connect(user).snapshot(user, join, {seat: state for seat, state in states.items() if state})
        for seq, (seat, state) in enumerate(log[join:], start=join + 1):
            paper.seat(user, seq, seat, state)
    return paper.builder


@settings(max_examples=60, deadline=None)
@given(log=changes, data=st.data())
def test_a_correct_feed_is_never_flagged(log: list[Change], data: st.DataObject) -> None:
    joins = data.draw(st.lists(st.integers(0, len(log)), min_size=1, max_size=4))
    result = judged("feed_gap_free", followed(log, joins))
    assert (result.violations_total, result.chances) == (0, sum(len(log) - join for join in joins) + len(joins) - 1)
    assert result.status is (Status.HELD if result.chances else Status.NOT_EXERCISED)


@settings(max_examples=60, deadline=None)
@given(log=changes, data=st.data())
def test_a_lost_repeated_or_altered_change_is_always_flagged(log: list[Change], data: st.DataObject) -> None:
    events = (builder := followed(log, [0, 0])).tables["events"]
    mine = [at for at, row in enumerate(events) if row["event"] == "seat" and row["user"] == 2]
    at = mine[data.draw(st.integers(0, len(mine) - 2))]  # the last change may be still on its way
    match data.draw(st.sampled_from(["lose", "repeat", "alter"])):
        case "lose":
            del events[at]
        case "repeat":
            events.insert(at, dict(events[at]))
        case "alter":
            events[at]["key"] = "another seat"
    assert judged("feed_gap_free", builder).status is Status.VIOLATED


STEPS = ((1, 1.04), (0, 8.04), (1, 16.04), (2, 23.04))
"""What the feed should tell of a seat that is held, given back, held by another fan, and sold to them."""


def sold(*told: int) -> Paper:
    """These of the steps are told, with numbers that are contiguous."""
    paper = Paper().connect(1).snapshot(1, 0, {})
    operation = paper.builder.operation
    operation(2, "hold", "h2", {"seats": ["c"], "ttl_s": 8.0}, 1.0, 1.1)
    operation(2, "release", "h2", {"seats": ["c"]}, 8.0, 8.1)
    operation(3, "hold", "h3", {"seats": ["c"], "ttl_s": 8.0}, 16.0, 16.1)
    operation(3, "pay", "k3", {"hold_id": "h3", "seats": ["c"], "state": "confirmed"}, 23.0, 23.1)
    for seq, (state, paper.t_s) in enumerate((STEPS[step] for step in told), start=1):
        paper.seat(1, seq, "c", state)
    return paper


def test_every_change_of_hands_is_told_of() -> None:
    assert sold(0, 1, 2, 3).result().status is Status.HELD


@pytest.mark.parametrize("told", [(1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)], ids=["held", "freed", "again", "sold"])
def test_a_change_that_was_never_given_a_number_leaves_it_undecided(told: tuple[int, ...]) -> None:
    result = sold(*told).result()
    assert result.status is Status.UNKNOWN
    assert result.note == "no follower heard of 1 seats that changed hands, as c"


def test_a_hold_that_ran_out_is_not_told_of_before_another_fan_has_the_seat() -> None:
    paper = sold(0, 2, 3)
    paper.builder.tables["operations"][1]["outcome"] = "fail"  # nobody gave it back: it ended by itself
    assert paper.result().note == "no follower heard of 1 seats that changed hands, as c"


def test_who_only_looks_in_need_not_hear_of_every_change() -> None:
    paper = sold(0, 3)
    for event in paper.builder.tables["events"]:
        event["actor"] = "probe-1-new"
    assert "no follower" not in paper.result().note
