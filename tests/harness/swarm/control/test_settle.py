"""Which seats are swept."""

from __future__ import annotations

from harness.platform import FinalSeat
from harness.swarm.control.settle import SOLD_SAMPLE, SWEEP_SAMPLE, seats_to_sweep

SEATS = [FinalSeat(seat=f"101-A-{n}", state="sold" if n % 10 == 0 else "free") for n in range(1000)]


def test_every_seat_that_was_held_and_not_sold_is_swept() -> None:
    held = {"101-A-1", "101-A-10", "101-A-11", "nowhere"}
    swept = seats_to_sweep(SEATS, held, seed=1)
    assert {"101-A-1", "101-A-11"} <= set(swept)
    assert "nowhere" not in swept
    assert len(swept) == len(set(swept)) == 2 + SWEEP_SAMPLE + SOLD_SAMPLE


def test_a_few_sold_seats_are_asked_for_again() -> None:
    sold = {seat.seat for seat in SEATS if seat.state == "sold"}
    assert len(sold & set(seats_to_sweep(SEATS, (), seed=1))) == SOLD_SAMPLE
    assert not sold & set(seats_to_sweep([seat for seat in SEATS if seat.state == "free"], (), seed=1))


def test_the_sample_is_seeded() -> None:
    assert seats_to_sweep(SEATS, (), 1) == seats_to_sweep(SEATS, (), 1)
    assert seats_to_sweep(SEATS, (), 1) != seats_to_sweep(SEATS, (), 2)


def test_a_small_house_is_swept_whole() -> None:
    assert len(seats_to_sweep(SEATS[:20], (), 1)) == 20
