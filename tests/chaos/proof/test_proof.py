"""What a canary's samples prove."""

from __future__ import annotations

import pytest

from chaos.proof.proof import Proof, Timing, blind, not_as_asked, prove
from chaos.specification.experiment import CanarySpec, load
from harness.record.schema import CanarySample

REFUSED = CanarySpec(probe="redis", proxy="redis", effective="refused")
UNANSWERED = CanarySpec(probe="redis", proxy="redis", watches="valkey", effective="unanswered")
SLOW = CanarySpec(probe="http", proxy="payments", effective="slow", slow_ms_min=7900)
DROPPED = CanarySpec(probe="websocket", proxy="feed_1", effective="dropped", sockets=12)


def samples(*rows: tuple[float, str, float]) -> list[CanarySample]:
    return [CanarySample(t_s=t_s, state=state, latency_ms=latency_ms) for t_s, state, latency_ms in rows]


def test_refused_then_well_again() -> None:
    seen = samples((9.9, "ok", 1), (10.1, "ok", 1), (10.2, "refused", 1), (10.3, "reset", 1), (14.1, "ok", 100))
    proof = prove(REFUSED, seen, 10.0, 14.0)
    assert (proof.effective_s, proof.healed_s) == (pytest.approx(10.201), pytest.approx(14.2))
    assert proof.error == ""


def test_unanswered_is_refused_or_hung_and_says_how_much_hung() -> None:
    seen = samples((10.0, "reset", 1), (10.1, "hung", 1000), (10.2, "refused", 1), (11.5, "hung", 1000), (14, "ok", 1))
    proof = prove(UNANSWERED, seen, 10.0, 13.0)
    assert (proof.effective_s, proof.error) == (pytest.approx(10.001), "")
    assert proof.measured == {"probes": 4, "unanswered_share": 1.0, "hung_share": 0.5}
    answered = samples((10.1, "hung", 1000), (11.2, "wrong", 1), (11.3, "wrong", 1), (14, "ok", 1))
    assert "only 1 of 3 probes were unanswered" in prove(UNANSWERED, answered, 10.0, 13.0).error


def test_slow_counts_from_when_it_was_asked() -> None:
    seen = samples((9.0, "ok", 3), (10.5, "ok", 8004), (11.0, "ok", 8006), (18.0, "ok", 2000), (20.1, "ok", 4))
    proof = prove(SLOW, seen, 10.0, 20.0)
    assert (proof.effective_s, proof.error) == (10.5, "")
    assert proof.measured["latency_ms_p50"] == 8005


def test_an_answer_that_healing_set_free_proves_no_latency() -> None:
    assert "never effective" in prove(SLOW, samples((13.0, "ok", 7950), (20.1, "ok", 4)), 10.0, 20.0).error


def test_dropped_sockets_are_counted() -> None:
    seen = samples((9.0, "ok", 5), (10.0, "dropped", 0), (10.0, "dropped", 0), (10.1, "ok", 5), (12.2, "ok", 5))
    proof = prove(DROPPED, seen, 10.0, 12.0)
    assert proof.measured == {"canary_sockets": 12, "canary_sockets_dropped": 2}
    assert proof.error == ""


def test_a_fault_that_leaks_is_not_proven() -> None:
    seen = samples((10.1, "refused", 1), (10.2, "ok", 1), (10.3, "ok", 1), (14.1, "ok", 1))
    assert "only 1 of 3 probes were refused" in prove(REFUSED, seen, 10.0, 14.0).error


def test_what_was_never_seen_is_said() -> None:
    assert prove(REFUSED, [], None, None) == Proof(effective_s=None, healed_s=None, measured={}, error="never injected")
    assert "saw nothing" in prove(REFUSED, [], 10.0, 14.0).error
    assert "saw hung, ok" in prove(REFUSED, samples((11, "ok", 1), (12, "hung", 1)), 10.0, 14.0).error
    never_healed = prove(REFUSED, samples((11, "refused", 1), (14.1, "refused", 1)), 10.0, 14.0)
    assert (never_healed.healed_s, "never seen healed" in never_healed.error) == (None, True)


def timing(
    requested_s: float | None, effective_s: float | None, heal_requested_s: float | None, healed_s: float | None
) -> Timing:
    """Planned from 10 s for 2 s."""
    return Timing(
        start_s=10.0,
        asked_s=2.0,
        late_max_s=1.5,
        tolerance_s=3.0,
        requested_s=requested_s,
        effective_s=effective_s,
        heal_requested_s=heal_requested_s,
        healed_s=healed_s,
    )


@pytest.mark.parametrize(
    ("instants", "error"),
    [
        ((10.0, 10.1, 12.0, 12.1), ""),
        ((10.0, 10.1, 12.0, 15.1), ""),  # it came back slowly, which is the platform's own time
        ((10.0, 10.1, 12.0, 15.2), "in force for 5.1 s instead of 2 s (tolerance 3 s)"),
        ((10.0, 10.1, 21.3, 21.4), "in force for 11.3 s instead of 2 s (tolerance 3 s)"),
        ((10.0, 10.1, 13.6, 13.6), "in force for 3.6 s instead of 2 s (tolerance 1.5 s)"),
        ((10.0, 10.1, 10.4, 10.5), "in force for 0.4 s instead of 2 s (tolerance 1.5 s)"),
        ((11.6, 11.7, 13.6, 13.7), "injected 1.6 s later than planned (tolerance 1.5 s)"),
        ((None, None, None, None), ""),
        ((10.0, 10.1, 12.0, None), ""),  # never seen healed: that is said elsewhere
    ],
)
def test_a_fault_is_proven_as_asked_or_not(instants: tuple[float, ...], error: str) -> None:
    assert not_as_asked(timing(*instants)) == error


def test_a_canary_that_stood_still_has_not_seen_the_fault() -> None:
    seen = samples((10.1, "refused", 1), (10.2, "refused", 1), (13.4, "refused", 1), (14.1, "ok", 1))
    assert blind(REFUSED, seen, 10.0, 14.0, 3.5) == ""
    late = "the canary (redis at redis) was late: it did not look for 3.2 s"
    assert blind(REFUSED, seen, 10.0, 14.0, 1.5) == late
    assert blind(REFUSED, seen[:2], 10.0, 14.0, 1.5) == late.replace("3.2", "3.8")
    assert blind(DROPPED, seen, 10.0, 14.0, 1.5) == ""


def test_what_is_tolerated_is_in_the_file_or_follows_from_what_is_broken() -> None:
    assert load("redis-down").tolerates_s(4.0) == 1.5
    assert load("redis-down").tolerates_s(20.0) == 5.0
    assert load("redis-hang").tolerates_s(4.0) == 3.0  # a canary needs a second to call a connection hung
    assert load("feed-node-loss").tolerates_s(4.0) == 11.5  # what was killed has to start again
    assert load("feed-node-loss").may_be_late_s(4.0) == 1.5
