"""queue_order where lots are drawn: against the draw as anybody can repeat it from what was published."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged

SEED = "5eed" * 16
OPENS_S = 10.0
FANS = 12
Drawn = dict[int, int]


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def name(fan: int) -> str:
    return f"fan-{fan:04d}"


def line(fans: list[int], seed: str = SEED) -> list[int]:
    """The fans as the seed draws them."""
    return sorted(fans, key=lambda fan: int(hashed(f"{seed}:{hashed(name(fan))}")[:13], 16))


def shuffled(builder: RunBuilder) -> RunBuilder:
    """The same on-sale, with lots drawn at the opening."""
    scenario = msgspec.to_builtins(builder.scenario())
    on_sale = {**scenario["on_sale"], "queue_policy": "shuffle", "pre_queue_s": OPENS_S}
    return builder.changed(scenario={**scenario, "on_sale": on_sale})


def opened_at() -> float:
    return datetime.fromisoformat("2026-11-23T10:15:00Z").timestamp() + OPENS_S


def look(
    builder: RunBuilder, t_s: float, *, commitment: str, seed: str | None, entries: list[int] | None = None
) -> None:
    value = {"commitment": commitment, "opens_at": opened_at(), "seed": seed}
    published = [hashed(name(fan)) for fan in entries or ()]
    builder.operation(0, "draw", "", value | ({"entries": published} if seed else {}), t_s, t_s + 0.1)


def sale(
    admitted: list[int],
    *,
    late: dict[int, float] | None = None,
    commitment: str = hashed(SEED),
    seed: str | None = SEED,
    entries: list[int] | None = None,
    early_seed: str | None = None,
) -> RunBuilder:
    """Fans 0 … 11 join a second apart before the opening, `late` ones when they say; admitted in that order."""
    builder = shuffled(empty())
    joined = {fan: 0.5 + 0.7 * fan for fan in range(FANS)} | (late or {})
    for fan, t_s in joined.items():
        builder.operation(fan, "join", name(fan), {"position": None, "epoch": "e1"}, t_s, t_s + 0.1)
    look(builder, 1.0, commitment=commitment, seed=early_seed)
    for number, fan in enumerate(admitted, start=1):
        t_s = OPENS_S + 10.0 + number
        builder.operation(fan, "enter", name(fan), {"admission_no": number}, t_s, t_s + 0.1)
    look(
        builder,
        60.0,
        commitment=hashed(SEED),
        seed=seed,
        entries=line(list(range(FANS))) if entries is None else entries,
    )
    return builder


def order(builder: RunBuilder) -> InvariantResult:
    return judged("queue_order", builder)


def test_the_line_that_the_seed_draws_is_in_order_and_late_comers_stand_behind_it() -> None:
    admitted = [*line(list(range(FANS))), 20, 21]
    result = order(sale(admitted, late={20: 11.0, 21: 12.0}))
    assert (result.status, result.violations_total) == (Status.HELD, 0)
    assert result.operations_checked == FANS + 2
    assert result.note == "12 of 14 were in the draw, which is recomputed from its seed"


@settings(max_examples=60, deadline=None)
@given(admitted=st.permutations(range(FANS)))
def test_every_fan_admitted_ahead_of_an_earlier_lot_is_counted(admitted: list[int]) -> None:
    place = {fan: at for at, fan in enumerate(admitted)}
    drawn = line(list(range(FANS)))
    overtook = [b for at, b in enumerate(drawn) if any(place[a] > place[b] for a in drawn[:at])]
    result = order(sale(admitted))
    assert result.violations_total == len(overtook)
    assert result.status is (Status.VIOLATED if overtook else Status.HELD)


def test_first_come_first_served_is_no_draw() -> None:
    result = order(sale(list(range(FANS))))
    assert result.status is Status.VIOLATED
    assert "who drew an earlier lot" in result.violations[0].summary
    assert "joined and drew" in result.violations[0].history[0].text


def test_late_comers_among_themselves_are_served_as_they_come() -> None:
    drawn = line(list(range(FANS)))
    result = order(sale([*drawn, 21, 20], late={20: 11.0, 21: 12.0}))
    assert [v.summary for v in result.violations] == [
        "fan-0021 was admitted 1 places ahead of fan-0020, who joined first"
    ]
    result = order(sale([20, *drawn], late={20: 11.0}))
    assert "fan-0020 was admitted 12 places ahead" in result.violations[0].summary
    assert result.violations[0].summary.endswith("who was in the draw")


DRAWN = line(list(range(FANS)))


@pytest.mark.parametrize(
    ("build", "summary"),
    [
        (lambda: sale(DRAWN, early_seed=SEED), "the seed of the draw was shown before the opening"),
        (lambda: sale(DRAWN, commitment=hashed("another")), "the commitment to the seed of the draw was changed"),
        (lambda: sale(line(list(range(FANS)), "other"), seed="other", entries=line(list(range(FANS)), "other")),
         "the seed of the draw is not the one that was committed to before the opening"),
        (lambda: sale(DRAWN, entries=DRAWN[1:]), f"{name(DRAWN[0])} was left out of the draw"),
        (lambda: sale(DRAWN, entries=DRAWN[::-1]), "the published line is not the drawn one: place 1 draws a later"),
        (lambda: sale([*line([*range(FANS), 20])], late={20: 11.0}, entries=line([*range(FANS), 20])),
         "fan-0020 got into the draw after the opening"),
    ],
)  # fmt: skip
def test_each_breach_of_the_draws_own_rules_is_found(build: Callable[[], RunBuilder], summary: str) -> None:
    result = order(build())
    assert result.status is Status.VIOLATED
    assert any(found.summary.startswith(summary) for found in result.violations)


def test_without_what_was_published_the_order_is_unknown() -> None:
    assert order(sale(DRAWN, seed=None)).note == "the seed of the draw was not published"
    builder = sale(DRAWN)
    builder.tables["operations"] = [op for op in builder.tables["operations"] if op["function"] != "draw"]
    result = order(builder)
    assert (result.status, result.note) == (Status.UNKNOWN, "nobody saw what is published of the draw")
    look(builder, 60.0, commitment=hashed(SEED), seed=SEED, entries=DRAWN)
    result = order(builder)
    assert (result.status, result.note) == (Status.UNKNOWN, "nobody saw the commitment before the opening")


def test_a_drawn_place_outlives_losses_in_the_order_of_the_lots() -> None:
    """Every fan opens the stream again after the opening: joined in their own order, they are owed the drawn one."""
    drawn = line(list(range(FANS)))
    for admitted, lost in ((drawn, 0), ([drawn[1], drawn[0], *drawn[2:]], 1)):
        builder = sale(admitted)
        builder.fans = FANS
        for fan in range(FANS):
            for t_s in (OPENS_S + 1.0, OPENS_S + 5.0):
                builder.event(fan, "positions", "connect", t_s)
        result = judged("place_kept", builder)
        assert (result.violations_total, result.chances) == (lost, FANS - 1)
    builder = sale(drawn, seed=None)
    assert judged("place_kept", builder).status is Status.UNKNOWN
