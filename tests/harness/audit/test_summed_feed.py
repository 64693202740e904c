"""feed_gap_free of many followers: what is summed up where it arrives is judged as if every event were a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic, time

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit.feed import feed_gap_free
from harness.audit.history import Evidence
from harness.audit.tally import VIOLATIONS_KEPT
from harness.platform import Person
from harness.record.verdict import InvariantResult, Status
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.following import FollowedFeed
from harness.swarm.recording.recorder import Recorder
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged

T0 = ReleaseInstant(monotonic(), time())
LOG = {seq: (f"seat-{seq * 7 % 5}", seq % 3) for seq in range(1, 400)}
"""What the platform says of each change."""
NOBODY: frozenset[int] = frozenset()


def state_at(seq: int) -> dict[str, int]:
    states = dict(LOG[one] for one in range(1, seq + 1))
    return {seat: state for seat, state in states.items() if state}


@dataclass
class Feeds:
    """Followers of a feed that a test plays, a hundredth of a second for each event."""

    whole: frozenset[int] | None
    recorders: dict[int, Recorder] = field(default_factory=dict)
    open: dict[int, FollowedFeed] = field(default_factory=dict)
    t_s: float = T0.monotonic_s

    def follower(self, user: int, worker: int = 1) -> FollowedFeed:
        if user not in self.open:
            recorder = self.recorders.setdefault(worker, Recorder(worker, whole_feeds=self.whole))
            who = Person(user=user, kind="spectator", actor=f"spectator-{user:04d}", identity="")
            self.open[user] = recorder.following(who)
        return self.open[user]

    def now(self) -> tuple[float, float]:
        self.t_s += 0.01
        return self.t_s, self.t_s + T0.wall_s - T0.monotonic_s - 0.004

    def connect(self, user: int, seq: int | None = None, worker: int = 1) -> None:
        self.follower(user, worker).connected(self.now()[0], "" if seq is None else "e", seq)

    def drop(self, user: int) -> None:
        self.follower(user).dropped(self.now()[0], "reset")

    def resync(self, user: int, seq: int) -> None:
        self.follower(user).resync(*self.now(), "e", seq)

    def snapshot(self, user: int, seq: int) -> None:
        self.follower(user).snapshot(*self.now(), "e", seq, state_at(seq))

    def change(self, user: int, seq: int, *, other: bool = False) -> None:
        seat, state = LOG[seq]
        self.follower(user).change(*self.now(), "e", seq, "another" if other else seat, state)

    def start(self, *users: int, worker: int = 1) -> None:
        for user in users:
            self.connect(user, worker=worker)
            self.snapshot(user, 0)

    def all_hear(self, *seqs: int) -> None:
        for seq in seqs:
            for user in self.open:
                self.change(user, seq)

    def builder(self) -> RunBuilder:
        builder = empty()
        for recorder in self.recorders.values():
            recorder.cut_operations()
            for name, batch in recorder.take(T0).items():
                builder.tables.setdefault(name, []).extend(batch.to_pylist())
        return builder

    def result(self) -> InvariantResult:
        return feed_gap_free(Evidence(self.builder().record())).result("feed_gap_free")


def summed() -> Feeds:
    feeds = Feeds(NOBODY)
    feeds.start(1, 2, 3)
    feeds.all_hear(1, 2, 3)
    return feeds


def test_an_honest_feed_is_held_and_says_what_was_summed_up() -> None:
    feeds = summed()
    result = feeds.result()
    assert result.status is Status.HELD
    assert result.operations_checked == 3 * (3 + 1)  # changes and snapshots
    assert "of 3 others 9 changes were checked and summed up where they arrived, in 3 stretches" in result.note


def test_rows_do_not_grow_with_the_followers() -> None:
    rows = []
    for count in (10, 40):
        feeds = Feeds(NOBODY)
        feeds.start(*range(count))
        feeds.all_hear(*range(1, 21))
        tables = feeds.builder().tables
        rows.append(sum(row["event"] == "seat" for row in tables["events"]))
        assert len(tables["feed_stretches"]) == count
        assert sum(row["count"] for row in tables["feed_delays"]) == 20 * (count - 1)
    assert rows == [20, 20]


def play_hole(feeds: Feeds) -> None:
    feeds.change(2, 6)


def play_repeat(feeds: Feeds) -> None:
    feeds.change(2, 3)


def play_reorder(feeds: Feeds) -> None:
    for seq in (5, 4, 6):
        feeds.change(2, seq)


def play_silent_snapshot(feeds: Feeds) -> None:
    feeds.snapshot(2, 9)


def play_reconnect_that_skips(feeds: Feeds) -> None:
    feeds.drop(2)
    feeds.connect(2, 3)
    feeds.change(2, 5)


def play_change_before_any_snapshot(feeds: Feeds) -> None:
    feeds.drop(2)
    feeds.connect(2)
    feeds.change(2, 4)


def play_stale_snapshot(feeds: Feeds) -> None:
    feeds.drop(2)
    feeds.connect(2)
    t_s, sent_s = feeds.now()
    feeds.follower(2).snapshot(t_s, sent_s, "e", 3, state_at(1))


def play_another_epoch(feeds: Feeds) -> None:
    t_s, sent_s = feeds.now()
    feeds.follower(2).change(t_s, sent_s, "other", 4, *LOG[4])


@pytest.mark.parametrize(
    ("play", "told"),
    [
        (play_hole, "spectator-0002 missed 2 changes after 3 without a resync"),
        (play_repeat, "spectator-0002 got change 3 again or too late, after 3"),
        (play_reorder, "spectator-0002 missed 1 changes after 3 without a resync"),
        (play_silent_snapshot, "spectator-0002 was moved to 9 of epoch e without a resync"),
        (play_reconnect_that_skips, "spectator-0002 missed 1 changes after 3 without a resync"),
        (play_change_before_any_snapshot, "spectator-0002 got change 4 before any snapshot"),
        (play_stale_snapshot, "changes add up to sold for seat seat-4, but the snapshot at 3 shows it free"),
        (play_another_epoch, "spectator-0002 got a change of epoch other after epoch e without a resync"),
    ],
)
def test_what_one_summed_up_follower_suffers_is_a_violation_with_its_numbers_and_times(
    play: Callable[[Feeds], None], told: str
) -> None:
    """The same history as if every event had been a row, down to the instants."""
    results = []
    for whole in (NOBODY, None):
        feeds = Feeds(whole)
        feeds.start(1, 2, 3)
        feeds.all_hear(1, 2, 3)
        play(feeds)
        results.append(feeds.result())
    assert results[0].status is Status.VIOLATED
    assert told in [one.summary for one in results[0].violations]
    assert results[0].violations == results[1].violations
    assert results[0].violations_total == results[1].violations_total
    assert results[0].chances == results[1].chances


@pytest.mark.parametrize("worker", [1, 2])
def test_other_contents_for_one_follower_are_found_whoever_receives_them_and_where(worker: int) -> None:
    feeds = summed()
    feeds.start(9, worker=worker)
    for seq in (1, 2, 3):
        feeds.change(9, seq, other=seq == 2)
    result = feeds.result()
    assert result.status is Status.VIOLATED
    assert result.violations_total == 1
    assert "change 2 of epoch e means two things" in result.violations[0].summary


def test_a_change_that_no_row_tells_the_content_of_is_never_held() -> None:
    """The worker that noted it was lost, and its rows with it."""
    builder = summed().builder()
    builder.tables["events"] = [row for row in builder.tables["events"] if (row["event"], row["seq"]) != ("seat", 2)]
    result = judged("feed_gap_free", builder)
    assert result.status is Status.UNKNOWN
    assert "the record does not say what 3 changes were" in result.note


def test_a_summed_up_follower_that_falls_silent_leaves_it_undecided() -> None:
    feeds = summed()
    feeds.t_s += 1.0
    for seq in range(4, 8):
        feeds.t_s += 1.0
        feeds.change(1, seq)
    result = judged("feed_gap_free", feeds.builder().changed(scenario={"duration_s": 20.0}))
    assert result.status is Status.UNKNOWN
    assert "2 followers heard nothing more, as spectator-0002 after 3 of epoch e" in result.note


def test_a_long_stretch_is_cut_and_goes_on() -> None:
    feeds = Feeds(NOBODY)
    feeds.start(1, 2)
    for seq in range(1, 30):
        feeds.t_s += 1.0
        feeds.all_hear(seq)
    builder = feeds.builder()
    assert [(row["seq_from"], row["seq_to"]) for row in builder.tables["feed_stretches"] if row["user"] == 2] == [
        (1, 11),
        (12, 22),
        (23, 29),
    ]
    assert judged("feed_gap_free", builder).status is Status.HELD


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["next"] * 12 + ["skip", "again", "resync", "reconnect", "afresh", "snapshot"]),
        st.integers(0, 4),
        st.integers(1, 3),
    ),
    max_size=60,
)


def played(steps: list[Step], whole: frozenset[int] | None, worker_of: Callable[[int], int]) -> InvariantResult:
    feeds = Feeds(whole)
    at = dict.fromkeys(range(5), 0)
    for user in at:
        feeds.start(user, worker=worker_of(user))
    for what, user, by in steps:
        for _ in _moves(feeds, what, user, by, at):
            pass
    return feeds.result()


def _moves(feeds: Feeds, what: str, user: int, by: int, at: dict[int, int]) -> Iterator[None]:
    if what == "resync":
        feeds.resync(user, at[user] + by)
    elif what == "reconnect":
        feeds.drop(user)
        feeds.connect(user, at[user])
    elif what == "afresh":
        feeds.drop(user)
        feeds.connect(user)
    if what in ("resync", "afresh", "snapshot"):
        at[user] += by
        feeds.snapshot(user, at[user])
    elif what in ("next", "skip"):
        at[user] += 1 if what == "next" else by
        feeds.change(user, at[user])
    elif what == "again":
        at[user] = max(1, at[user] - by + 1)
        feeds.change(user, at[user])
    yield


@given(STEPS, st.sets(st.integers(0, 4)))
@settings(max_examples=15, deadline=None)
def test_summed_up_or_whole_the_judgement_is_the_same(steps: list[Step], whole: set[int]) -> None:
    """Status, number and text of the violations, and chances."""
    expected = played(steps, None, lambda _: 1)
    for workers in (1, 2):
        found = played(steps, frozenset(whole), lambda user, workers=workers: 1 + user % workers)  # type: ignore[misc]
        assert (found.status, found.violations_total) == (expected.status, expected.violations_total)
        assert (found.chances, found.operations_checked) == (expected.chances, expected.operations_checked)
        if expected.violations_total <= VIOLATIONS_KEPT:
            assert sorted(found.violations, key=repr) == sorted(expected.violations, key=repr)


def test_the_log_of_a_summed_up_feed_is_in_the_events() -> None:
    events = pa.Table.from_pylist(summed().builder().tables["events"])
    changes = events.filter(pc.equal(events["event"], "seat"))
    assert changes["seq"].to_pylist() == [1, 2, 3]
