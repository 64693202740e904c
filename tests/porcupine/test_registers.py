"""Our checkers against porcupine, seat by seat, over made-up histories: right ones, and the same with one change.

`GATECRASH_REGISTERS` seats of each kind, some hundreds without it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported
from tests.porcupine import made_up
from tests.porcupine.registers import compare, has_go

SEATS = int(os.environ.get("GATECRASH_REGISTERS", "400"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not has_go():
        pytest.skip("porcupine is written in Go, which is not here")
    return tmp_path_factory.mktemp("registers")


def test_both_call_right_histories_right(folder: Path) -> None:
    compared = compare([made_up.clean(SEATS, seed=1).record()], folder)
    assert compared.seats > SEATS * 0.9
    assert (compared.broken, compared.disagreements) == (0, ())


@pytest.mark.parametrize("seed", [1, 2])
def test_both_call_the_same_corrupted_seats_wrong(folder: Path, seed: int) -> None:
    compared = compare([made_up.corrupted(SEATS, seed).record()], folder)
    assert compared.broken > SEATS * 0.03  # there was something to agree on
    assert compared.disagreements == ()


def test_both_call_an_on_sale_on_paper_right_and_each_breakage_of_its_seats_wrong(folder: Path) -> None:
    breakages = (RunBuilder.double_sell, RunBuilder.expire_early, RunBuilder.grant_sold)
    records = [RunBuilder(seed=3).record(), *(breakage(RunBuilder(seed=3)).record() for breakage in breakages)]
    compared = compare(records, folder)
    assert compared.disagreements == ()
    assert compared.broken >= len(breakages)


@pytest.mark.parametrize(
    ("case", "broken"),
    [("A27", 1), ("A28", 1), ("A30", 0)],
)
def test_the_cases_that_a_first_trial_with_porcupine_found(folder: Path, case: str, broken: int) -> None:
    compared = compare([_case(case).record()], folder)
    assert (compared.seats, compared.broken, compared.disagreements) == (1, broken, ())


def _case(name: str) -> RunBuilder:
    builder, seats = empty(), ["S-1"]
    paid = {"hold_id": "h-1", "seats": seats, "order_id": "o-1", "amount_cents": 5000, "state": "confirmed"}
    held = {"seats": seats, "ttl_s": 3.0}
    match name:
        case "A27":
            builder.operation(1, "hold", "h-1", held, 0.1, 0.2)
            builder.operation(1, "pay", "k-o-1", paid, 0.446, 0.496)
            builder.operation(2, "hold", "h-2", held, 4.496, 4.506)
            exported(builder, 1, "S-1", "o-1")
        case "A28":
            builder.operation(1, "hold", "h-1", held, 0.308, 0.318)
            builder.operation(2, "hold", "h-2", held, 3.8, 3.808)
            builder.operation(1, "pay", "k-o-1", paid, 3.3, 4.446)
            exported(builder, 1, "S-1", "o-1")
        case "A30":
            builder.operation(1, "hold", "h-1", held, 0.404, 0.414)
            unpaid = {"hold_id": "h-1", "seats": seats}
            builder.operation(1, "pay", "k-o-1", unpaid, 0.9, 0.916, "fail", "expired")
            exported(builder, 1, "S-1", "o-1", "expired")
            builder.operation(2, "hold", "h-2", held, 1.406, 1.416)
    return builder
