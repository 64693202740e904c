"""The ledger of holds granted by one process."""

from __future__ import annotations

import time

from target.seats.promises import CLOCKS_S, HoldPromise, Memory, Promises, standing


def promise(hold_id: str, *, for_s: float = 60.0) -> HoldPromise:
    return HoldPromise(hold_id, "fan", "identity", (f"seat of {hold_id}",), time.time() + for_s)


def test_what_was_granted_is_remembered_until_it_ends() -> None:
    ledger, kept, given_back = Promises(remember_s=60), promise("a"), promise("b")
    ledger.grant(kept)
    ledger.grant(given_back)
    ledger.end("b")
    assert ledger.memory() == Memory((kept,), ("b",))


def test_what_is_over_is_forgotten_but_not_before_all_clocks_agree() -> None:
    ledger, just_over = Promises(remember_s=-2 * CLOCKS_S), promise("b", for_s=-CLOCKS_S / 2)
    ledger.grant(promise("a", for_s=-2 * CLOCKS_S))
    ledger.grant(just_over)
    ledger.end("c")
    assert ledger.memory() == Memory((just_over,), ())


def test_a_hold_that_one_process_granted_and_another_saw_end_does_not_stand() -> None:
    twice = promise("b")
    first, second = Memory((promise("a"), twice), ()), Memory((twice, promise("c")), ("a",))
    assert [one.hold_id for one in standing([first, second])] == ["b", "c"]
    assert standing([]) == []
