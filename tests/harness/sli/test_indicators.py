"""The indicators against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record.schema import Outcome
from harness.scenario import load
from harness.sli import INDICATORS, measure, outcome_share, percentile, step_latency_ms
from harness.sli.measured import Measured, Observations
from harness.sli.measures.infrastructure import histogram_quantile_ms
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty
from tests.paper_sale import EPOCH


def measured(name: str, builder: RunBuilder) -> Measured:
    return INDICATORS[name].measure(Observations(builder.record()))


def value(name: str, builder: RunBuilder) -> float | None:
    return measured(name, builder).value


def test_every_indicator_of_a_whole_run_has_a_value() -> None:
    values = {indicator.name: indicator for indicator in measure(RunBuilder().record())}
    not_here = ("stock_response", "choose_response", "request_response", "stale_stock")  # it holds seats, for fans
    assert list(values) == [name for name in INDICATORS if not name.startswith(not_here)]
    no_bots_came = ["bot_share_of_seats"]
    assert [name for name, indicator in values.items() if indicator.value is None] == no_bots_came


def test_without_samples_there_is_no_value() -> None:
    for indicator in measure(empty().record()):
        assert (indicator.value, indicator.samples) == (None, 0), indicator.name


def test_the_shipped_scenario_sets_objectives_on_known_indicators() -> None:
    scenario = load("playoff-presale").scenario
    assert set(scenario.objectives) <= set(INDICATORS)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1), quantile=st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_that_was_seen(values: list[float], quantile: float) -> None:
    """Nearest rank: at least that share does not exceed it, and it is the smallest such value."""
    found = percentile(values, quantile)
    assert found in values
    assert sum(v <= found for v in values) >= quantile * len(values) - 1e-6
    assert sum(v < found for v in values) < quantile * len(values) + 1e-6


def test_response_time_runs_from_the_intended_instant() -> None:
    builder = empty()
    builder.operation(1, "hold", "h", {}, 5.0, 5.1, t_intended_s=4.0)
    assert value("hold_response_p50_ms", builder) == pytest.approx(1100.0)


def test_a_verb_takes_as_long_as_all_its_requests() -> None:
    """People wait for the purchase, not for its slowest page."""
    builder = empty()
    op = builder.operation(1, "pay", "k", {}, 2.0, 21.8, t_intended_s=2.0)["op"]
    for number in range(8):
        builder.request(1, "pay", 2.0 + 2.4 * number, 2.4, op=op)
    assert value("pay_response_p99_ms", builder) == pytest.approx(19_800.0)


def test_without_an_answer_a_verb_lasts_until_its_last_request_was_given_up() -> None:
    builder = empty()
    op = builder.operation(1, "hold", "", {}, 1.0, None, "unknown", "timeout")["op"]
    builder.request(1, "hold", 1.0, 0.5, op=op)
    builder.request(1, "hold", 1.5, 10.0, outcome="unknown", error="timeout", status=0, op=op)
    assert value("hold_response_p50_ms", builder) == pytest.approx(10_500.0)


def test_a_no_is_an_answer_and_an_error_page_is_none() -> None:
    builder = empty()
    builder.operation(1, "hold", "", {}, 1.0, 1.2, "fail", "conflict")
    builder.operation(2, "hold", "", {}, 1.0, 1.001, "fail", "status")
    crashed = builder.operation(3, "pay", "k", {}, 1.0, None, "unknown", "status")["op"]
    builder.request(3, "pay", 1.0, 0.001, status=500, outcome="fail", error="status", op=crashed)
    assert measured("hold_response_p50_ms", builder) == Measured(pytest.approx(200.0), 1)
    assert measured("pay_response_p50_ms", builder) == Measured(None, 0)


def test_refusals_do_not_flatter_and_timeouts_count() -> None:
    builder = empty()
    builder.operation(1, "pay", "a", {}, 1.0, 1.5)
    builder.operation(2, "pay", "b", {}, 1.0, 1.001, "fail", "refused")
    op = builder.operation(3, "pay", "c", {}, 1.0, None, "unknown", "timeout")["op"]
    builder.request(3, "pay", 1.0, 10.0, outcome="unknown", error="timeout", status=0, op=op)
    assert measured("pay_response_p50_ms", builder) == Measured(pytest.approx(500.0), 2)
    assert value("pay_response_p99_ms", builder) == pytest.approx(10_000.0)


def test_a_window_takes_the_requests_sent_in_it() -> None:
    builder = empty()
    for t_s, took_s, outcome in ((1.0, 0.1, "ok"), (2.0, 0.2, "ok"), (2.9, 0.3, "fail"), (3.0, 0.4, "ok")):
        builder.request(1, "hold", t_s, took_s, outcome=outcome)
    requests = builder.record().table("requests")
    assert step_latency_ms(requests, "hold", 1.0, 2.0, 3.0) == Measured(pytest.approx(200.0), 1)
    assert outcome_share(requests, "hold", Outcome.FAIL, 2.0, 3.0) == Measured(0.5, 2)
    assert outcome_share(requests, "", Outcome.OK) == Measured(0.75, 4)
    assert outcome_share(requests, "pay", Outcome.OK) == Measured(None, 0)


def test_errors_leave_out_the_final_reads() -> None:
    builder = empty()
    builder.request(1, "hold", 1.0, 0.1)
    builder.request(1, "pay", 1.0, 0.1, outcome="unknown")
    builder.request(1, "settle", 60.0, 0.1, outcome="fail")
    assert measured("error_ratio", builder) == Measured(0.5, 2)


def paid(
    builder: RunBuilder, fan: int, outcome: str, state: str = "", *, declined: bool = False, error: str = ""
) -> None:
    pay = {"hold_id": f"h-{fan}", "seats": ["a"], "state": state, "declined_on_purpose": declined}
    builder.operation(fan, "pay", f"k-{fan}", pay, 1.0, 1.1, outcome, error)


def test_checkout_completion_asks_who_was_told_confirmed() -> None:
    builder = empty()
    paid(builder, 1, "ok", "confirmed")
    paid(builder, 2, "ok", "pending")
    builder.operation(2, "order", "o-2", {"state": "confirmed"}, 5.0, 5.1)
    paid(builder, 3, "ok", "pending")
    paid(builder, 4, "unknown")
    paid(builder, 5, "fail", declined=True, error="declined")
    assert measured("checkout_completion_ratio", builder) == Measured(0.5, 4)


def test_payment_failures_leave_out_cards_that_were_meant_to_fail_and_later_tries() -> None:
    builder = empty()
    paid(builder, 1, "fail", error="status")
    paid(builder, 1, "ok", "confirmed")
    paid(builder, 2, "unknown")
    paid(builder, 3, "ok", "pending")
    paid(builder, 4, "fail", declined=True, error="declined")
    assert measured("payment_failure_ratio", builder) == Measured(pytest.approx(1 / 3), 3)


def test_holds_run_out_when_nobody_pays_releases_or_is_declined() -> None:
    builder = empty()
    for fan in range(1, 7):
        builder.operation(fan, "hold", f"h-{fan}", {"seats": ["a"], "ttl_s": 8.0}, 0.5, 0.6)
    paid(builder, 1, "ok", "confirmed")
    paid(builder, 2, "fail", declined=True, error="declined")
    paid(builder, 3, "fail", error="expired")
    paid(builder, 4, "unknown")
    builder.operation(5, "release", "h-5", {"seats": ["a"]}, 2.0, 2.1)
    builder.operation(7, "hold", "h-7", {"seats": ["a"], "ttl_s": 8.0}, 50.0, 50.1)  # cannot run out any more
    assert measured("hold_expiry_ratio", builder) == Measured(pytest.approx(2 / 6), 6)


def test_admission_rate_is_not_decided_by_stragglers() -> None:
    builder = empty()
    for fan in range(100):
        t_s = 1.0 + fan / 10 if fan < 96 else 500.0
        builder.operation(fan, "enter", "", {"admission_no": fan}, t_s - 0.01, t_s)
    assert value("queue_admission_rate_per_s", builder) == pytest.approx(10.0)


def test_a_fan_who_never_saw_a_position_waited_to_the_end() -> None:
    builder = empty()
    builder.fans = 3
    for fan in range(3):
        builder.request(fan, "queue_page", 0.2, 0.1, t_intended_s=0.1)
    builder.event(0, "positions", "position", 1.1, EPOCH, value=3)
    builder.event(1, "positions", "admitted", 2.1)
    found = measured("time_to_first_position_p95_s", builder)
    assert found == Measured(pytest.approx(54.9), 3, "1 of 3 fans never saw a position")


def test_freshness_leaves_out_what_is_caught_up_after_a_reconnect() -> None:
    builder = empty()
    builder.event(1, "feed", "connect", 1.0)
    builder.event(1, "feed", "seat", 2.05, EPOCH, 1, 1, "a", t_sent_s=2.0)
    builder.event(1, "feed", "disconnect", 3.0, key="reset")
    builder.event(1, "feed", "connect", 9.0, EPOCH, 1)
    builder.event(1, "feed", "seat", 9.1, EPOCH, 2, 1, "b", t_sent_s=4.0)
    assert measured("feed_freshness_p99_ms", builder) == Measured(pytest.approx(50.0), 1)
    assert measured("reconnect_recovery_p95_s", builder) == Measured(pytest.approx(6.0), 1)


def test_a_follower_who_never_came_back_waited_to_the_end() -> None:
    builder = empty()
    builder.event(1, "feed", "connect", 1.0)
    builder.event(1, "feed", "disconnect", 15.0, key="reset")
    builder.event(2, "feed", "connect", 1.0)
    builder.event(2, "feed", "disconnect", 55.0)  # left on its own at the end
    assert measured("reconnect_recovery_p95_s", builder) == Measured(pytest.approx(40.0), 1)


def test_counters_are_read_by_their_increase_over_restarts() -> None:
    builder = empty()
    for outcome, readings in (("hit", (100, 160, 30)), ("miss", (50, 60, 0))):
        for tick, reading in enumerate(readings):
            builder.metric(tick, "booking", "target_cache_requests_total", reading, f"cache=sections,outcome={outcome}")
    assert measured("cache_hit_ratio", builder) == Measured(pytest.approx(90 / 100), 100)


def test_gauges_of_several_sources_add_up_between_scrapes() -> None:
    builder = empty()
    for t_s, source, connections in (
        (0.0, "feed-1", 40),
        (0.1, "feed-2", 50),
        (0.5, "feed-1", 45),
        (0.6, "feed-2", 10),
    ):
        builder.metric(t_s, source, "target_websocket_connections", connections)
    assert value("websocket_connections_max", builder) == 95.0


def test_a_histogram_is_interpolated_within_its_bucket() -> None:
    edges, counts = np.array([0.01, 0.1, 1.0, np.inf]), np.array([50.0, 90.0, 100.0, 100.0])
    assert histogram_quantile_ms(edges, counts, 0.5).value == pytest.approx(10.0)
    assert histogram_quantile_ms(edges, counts, 0.7).value == pytest.approx(55.0)
    assert histogram_quantile_ms(edges, counts, 0.99).value == pytest.approx(910.0)
    beyond = histogram_quantile_ms(edges, np.array([1.0, 1.0, 1.0, 100.0]), 0.99)
    assert (beyond.value, beyond.note) == (1000.0, "at least: beyond the last bucket")


def _buys(builder: RunBuilder, actor: str, state: str, *seats: str, step: str = "pay") -> None:
    value = {"seats": list(seats), "state": state, "hold_id": actor, "order_id": f"o-{actor}"}
    builder.operation(0, step, f"k-{actor}", value, 1.0, 1.1, actor=actor)


def _bot_request(builder: RunBuilder, step: str, took_s: float, **changes: object) -> None:
    builder.request(0, step, 1.0, took_s, **changes)["kind"] = "bot"


def test_the_bots_share_counts_seats_and_each_once() -> None:
    builder = empty()
    _bot_request(builder, "join", 0.1)
    _buys(builder, "bot-000001", "confirmed", "101-A-1", "101-A-2")
    _buys(builder, "bot-000001", "confirmed", "101-A-1", "101-A-2", step="order")
    _buys(builder, "bot-000002", "pending", "101-A-3")
    _buys(builder, "fan-000001", "confirmed", *(f"102-A-{number}" for number in range(1, 7)))
    assert measured("bot_share_of_seats", builder) == Measured(0.25, 8)


def test_bots_who_get_nothing_have_no_share_of_it() -> None:
    builder = empty()
    _bot_request(builder, "join", 0.1, outcome="fail", error="status", status=403)
    assert measured("bot_share_of_seats", builder) == Measured(None, 0)
    _buys(builder, "fan-000001", "confirmed", "101-A-1")
    assert measured("bot_share_of_seats", builder) == Measured(0.0, 1)


def test_bots_count_in_no_other_indicator() -> None:
    builder = RunBuilder()
    before = {one.name: one for one in measure(builder.record())}
    for step in ("queue_page", "join", "seat_map", "hold", "pay"):
        _bot_request(builder, step, 9.0, outcome="fail", error="status", status=403)
        _bot_request(builder, step, 9.0, outcome="unknown", error="timeout", status=0)
    value = {"hold_id": "h", "seats": ["104-A-1"], "declined_on_purpose": False, "admission_no": 9_999, "ttl_s": 0.1}
    for function in ("hold", "pay", "enter"):
        builder.operation(0, function, "k", value, 1.0, 1.1, "fail", "conflict", actor="bot-000001")
        builder.operation(0, function, "h", value, 1.0, 1.1, actor="bot-000002")
    after = {one.name: one for one in measure(builder.record())}
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["bot_share_of_seats"]


def lottery() -> RunBuilder:
    """Twenty fans join; half are let in, half a second apart; the lots of the others are not drawn."""
    builder = empty()
    builder.changed(scenario=builder.run.scenario | {"on_sale": {"queue_policy": "shuffle"}})
    for user in range(20):
        fan = f"fan-{user:04d}"
        builder.request(user, "queue_page", 0.0, 0.1, actor=fan)["kind"] = "fan"
        builder.operation(user, "join", fan, {"position": None, "epoch": ""}, 0.1, 0.2)
        builder.event(user, "positions", "position", 0.3)["actor"] = fan
        if user < 10:
            builder.event(user, "positions", "position", 4.0, value=user + 1)["actor"] = fan
            builder.operation(user, "enter", fan, {"admission_no": user + 1}, 5.0 + user / 2, 5.1 + user / 2)
            state = {"hold_id": "h", "seats": [], "order_id": f"o{user}", "amount_cents": 1, "state": "confirmed"}
            builder.operation(user, "pay", f"k{user}", state, 20.0, 20.1)
        else:
            builder.event(user, "positions", "refused", 4.0, key="not_drawn")["actor"] = fan
    return builder


def test_fans_whose_lot_was_not_drawn_count_as_no_failure() -> None:
    assert measured("queue_admission_rate_per_s", lottery()) == Measured(2.0, 10, "")
    empty_handed = measured("empty_handed_ratio", lottery())
    assert (empty_handed.value, empty_handed.samples) == (0.0, 10)


def test_where_no_lots_are_drawn_nobody_is_excused_by_a_lot_that_was_not_drawn() -> None:
    in_order = lottery()
    in_order.changed(scenario=in_order.run.scenario | {"on_sale": {"queue_policy": "fifo"}})
    empty_handed = measured("empty_handed_ratio", in_order)
    assert (empty_handed.value, empty_handed.samples) == (0.5, 20)
    assert measured("queue_admission_rate_per_s", in_order).note == "10 fans were never admitted"


def test_the_first_position_is_a_number_or_the_end_of_the_wait() -> None:
    found = measured("time_to_first_position_p95_s", lottery())
    assert (found.value, found.samples, found.note) == (4.0, 20, "")
    late = lottery()
    late.tables["events"] = [row for row in late.tables["events"] if row["event"] == "position" and not row["value"]]
    assert measured("time_to_first_position_p95_s", late).note == "20 of 20 fans never saw a position"
