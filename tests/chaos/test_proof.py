"""What a canary's samples prove."""

from __future__ import annotations

import pytest

from chaos.experiment import CanarySpec
from chaos.proof import Proof, prove
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
