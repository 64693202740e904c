"""Counters over restarts and births, gauges of sources that come and go: against figures worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sli import INDICATORS, scraped
from harness.sli.measured import Measured, Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty

ASKED, WROTE, SOCKETS = "target_cache_requests_total", "target_db_write_seconds_bucket", "target_websocket_connections"


def measured(name: str, builder: RunBuilder) -> Measured:
    return INDICATORS[name].measure(Observations(builder.record()))


def test_a_series_born_in_mid_run_counts_from_zero() -> None:
    """The first miss comes after a hundred requests: all 110 misses count, not only the ten after its first scrape."""
    builder = empty()
    for t_s, hits, misses in ((0, 0, None), (1, 100, 100), (2, 110, 110)):
        builder.metric(t_s, "booking", ASKED, hits, "cache=sections,outcome=hit")
        if misses is not None:
            builder.metric(t_s, "booking", ASKED, misses, "cache=sections,outcome=miss")
    assert measured("cache_hit_ratio", builder) == Measured(0.5, 220)


def test_a_source_seen_for_the_first_time_brings_its_past_along() -> None:
    builder = empty()
    builder.metric(0, "booking", ASKED, 1_000, "outcome=hit")
    builder.metric(1, "booking", ASKED, 1_010, "outcome=hit")
    assert measured("cache_hit_ratio", builder) == Measured(1.0, 10)


def test_a_histogram_over_a_restart_counts_all_of_its_buckets_from_zero() -> None:
    """Nine writes after the restart, eight of them slow; no bucket but the fastest fell below where it had been."""
    builder = empty()
    for t_s, counts in ((0, (8, 8, 8, 8)), (1, (8, 8, 8, 8)), (2, (1, 1, 9, 9))):
        for edge, count in zip(("0.025", "0.1", "1.0", "+Inf"), counts, strict=True):
            builder.metric(t_s, "booking", WROTE, count, f"le={edge}")
    found = measured("db_write_latency_p99_ms", builder)
    assert found.samples == 9
    assert found.value is not None
    assert 100.0 < found.value <= 1000.0


def test_a_restart_shows_in_the_cpu_time_when_no_counter_falls() -> None:
    builder = empty()
    for t_s, hits, cpu_s in ((0, 10, 4.0), (1, 12, 0.1)):
        builder.metric(t_s, "booking", ASKED, hits, "outcome=hit")
        builder.metric(t_s, "booking", "process_cpu_seconds_total", cpu_s)
    assert measured("cache_hit_ratio", builder) == Measured(1.0, 12)


def test_a_source_that_tells_nothing_but_its_cpu_time_has_no_such_counter() -> None:
    """As of a platform of one's own, which has metrics of other names."""
    builder = empty()
    for t_s in (0, 1):
        builder.metric(t_s, "web", "process_cpu_seconds_total", t_s)
    assert measured("cache_hit_ratio", builder).value is None


def test_a_dead_node_does_not_keep_its_sockets() -> None:
    """One of two nodes dies with 50 sockets and the other takes them: there were never more than 100."""
    builder = empty()
    for tick in range(40):
        t_s = tick / 2
        if t_s < 10:
            builder.metric(t_s, "feed-1", SOCKETS, 50)
        builder.metric(t_s + 0.01, "feed-2", SOCKETS, 50 if t_s < 10 else 100)
    assert measured("websocket_connections_max", builder).value == 100.0


def test_a_node_that_comes_back_counts_again_but_not_for_its_absence() -> None:
    builder = empty()
    for tick in range(40):
        t_s = tick / 2
        if not 5 <= t_s < 10:
            builder.metric(t_s, "feed-1", SOCKETS, 50)
        builder.metric(t_s + 0.01, "feed-2", SOCKETS, 100 if 5 <= t_s < 10 else 60)
    totals = scraped.totals(builder.record().table("metrics"), SOCKETS).set_index("t_s")["value"]
    assert totals.max() == 110.0
    assert set(totals[(totals.index > 5) & (totals.index < 9.6)]) == {100.0}
    assert totals.iloc[-1] == 110.0


def test_another_owner_of_the_queue_takes_over() -> None:
    builder = empty()
    for tick in range(20):
        builder.metric(tick / 2, "worker-1" if tick < 10 else "worker-2", "target_queue_depth", 80)
    assert measured("queue_depth_max", builder).value == 80.0


Lives = st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=6), min_size=1, max_size=4)


@given(lives=Lives, unseen=st.booleans())
def test_a_counter_grows_by_what_every_life_of_its_process_counted(lives: list[list[int]], unseen: bool) -> None:
    """Oracle: each life counts its own steps; of the first scrape only what is known to have been counted since."""
    builder, t_s, counted = empty(), 1, 0
    if unseen:
        builder.metric(0, "booking", "process_cpu_seconds_total", 0.0)
    for number, steps in enumerate(lives):
        value = 0
        for at, step in enumerate(steps):
            value += step
            builder.metric(t_s, "booking", ASKED, value, "outcome=hit")
            builder.metric(t_s, "booking", "process_cpu_seconds_total", 1.0 + at)
            before = not unseen and number == 0 and at == 0
            counted += 0 if before else step
            t_s += 1
    grown = scraped.growth(builder.record().table("metrics"), ASKED)
    assert grown["outcome=hit"] == pytest.approx(counted if not _hidden(lives) else grown["outcome=hit"])


def _hidden(lives: list[list[int]]) -> bool:
    """A restart that neither the counter nor the CPU time shows: one scrape in the life before it."""
    return any(len(life) == 1 for life in lives[:-1])
