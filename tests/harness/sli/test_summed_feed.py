"""Freshness of many followers: from delays that were counted where they arrived, as from rows within a bucket."""

from __future__ import annotations

from random import Random

import pytest

from harness.platform import Person
from harness.sli.measured import Observations
from harness.sli.measures.latency import feed_freshness_p99_ms
from harness.sli.samples import Samples
from harness.swarm.recording.recorder import Recorder
from tests.harness.audit.paper import empty
from tests.harness.audit.test_summed_feed import T0

FOLLOWERS, CHANGES = 20, 60


def freshness(whole: frozenset[int] | None, *, ahead_s: float) -> Samples:
    """Each change reaches the followers after up to 0.4 s; they connect in the middle and are told what was before."""
    random, recorder = Random(7), Recorder(1, whole_feeds=whole)
    feeds = [
        recorder.following(Person(user=user, kind="spectator", actor=f"spectator-{user}", identity=""))
        for user in range(FOLLOWERS)
    ]
    for seq in range(1, CHANGES + 1):
        changed_s = 1.0 + seq / 3
        if seq == CHANGES // 3:
            for feed in feeds:
                feed.connected(T0.monotonic_s + changed_s - 0.01, "e", 0)
                feed.snapshot(T0.monotonic_s + changed_s, T0.wall_s + changed_s + ahead_s, "e", 0, {})
            for earlier in range(1, seq):
                for feed in feeds:
                    at_s = T0.wall_s + 1.0 + earlier / 3 + ahead_s
                    feed.change(T0.monotonic_s + changed_s, at_s, "e", earlier, f"s-{earlier}", 1)
        if seq >= CHANGES // 3:
            for number, feed in enumerate(feeds):
                late_s = random.random() * 0.4 if number else 0.0
                at_s = T0.wall_s + changed_s + ahead_s
                feed.change(T0.monotonic_s + changed_s + late_s, at_s, "e", seq, f"s-{seq}", 1)
    recorder.cut_operations()
    builder = empty()
    for name, batch in recorder.take(T0).items():
        builder.tables.setdefault(name, []).extend(batch.to_pylist())
    return feed_freshness_p99_ms(Observations(builder.record()))


@pytest.mark.parametrize("ahead_s", [0.0, -0.02, 3600.0])
def test_delays_are_those_of_the_rows_within_a_bucket(ahead_s: float) -> None:
    """Whatever the platform's clock says, and without what a follower was told of the time before it connected."""
    rows, summed = freshness(None, ahead_s=ahead_s), freshness(frozenset({3}), ahead_s=ahead_s)
    assert len(rows) == len(summed) >= FOLLOWERS * (CHANGES - CHANGES // 3)
    assert "were counted in histograms where they arrived" in summed.note
    for quantile in (0.5, 0.9, 0.99):
        expected = rows.at(quantile).statistic
        assert summed.at(quantile).statistic == pytest.approx(expected, rel=1 / 128, abs=0.5)


def test_delays_stay_in_their_seconds() -> None:
    rows, summed = freshness(None, ahead_s=0.0), freshness(frozenset(), ahead_s=0.0)
    for second in range(2, 20):
        late = rows.between(second - 1.0, second + 2.0)
        assert abs(len(summed.between(second, second + 1.0)) - len(late) / 3) <= 2 * FOLLOWERS
