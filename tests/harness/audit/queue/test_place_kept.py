"""place_kept against its definition, fan by fan, and case by case."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit.queue.place_kept import KEPT_WITHIN_S
from harness.record.schema import FaultRun
from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged

ENTERS_S = 100.0


class Waiter(msgspec.Struct, frozen=True):
    """One fan: when they joined, when their stream was opened again, and as which number they were admitted."""

    invoke_s: float
    ack_s: float
    number: int | None
    reconnect_s: float | None = None
    epoch: str = "e1"

    @property
    def enter_s(self) -> float:
        return ENTERS_S + (self.number or 0) + (0.0 if self.epoch == "e1" else 1000.0)


def waited(*fans: Waiter) -> RunBuilder:
    """A line: each follows a stream from the join on."""
    builder = empty()
    builder.fans = len(fans)
    for user, fan in enumerate(fans):
        name = f"fan-{user:04d}"
        builder.operation(user, "join", name, {"position": user, "epoch": "e1.0"}, fan.invoke_s, fan.ack_s)
        builder.event(user, "positions", "connect", fan.ack_s + 0.001)
        if fan.reconnect_s is not None:
            builder.event(user, "positions", "connect", fan.reconnect_s, "e1.0", 1)
        if fan.number is not None:
            value = {"admission_no": fan.number, "epoch": fan.epoch}
            builder.event(user, "positions", "admitted", fan.enter_s - 0.1)
            builder.operation(user, "enter", name, value, fan.enter_s - 0.05, fan.enter_s)
    return builder


def kept(builder: RunBuilder) -> InvariantResult:
    return judged("place_kept", builder)


times = st.floats(0, 10, allow_nan=False)
reconnects = st.none() | st.integers(0, 25).map(lambda number: ENTERS_S + number + 0.5)
lines = st.lists(st.tuples(times, times, reconnects), min_size=1, max_size=20).flatmap(
    lambda fans: st.permutations(range(1, len(fans) + 1)).map(
        lambda numbers: [
            Waiter(min(a, b), max(a, b), n, back if back and back < ENTERS_S + n else None)
            for (a, b, back), n in zip(fans, numbers, strict=True)
        ]
    )
)


@settings(max_examples=150, deadline=None)
@given(fans=lines)
def test_it_counts_every_fan_who_was_overtaken_after_a_loss(fans: list[Waiter]) -> None:
    later = {
        a: [b for b in fans if b.invoke_s > a.ack_s and b.enter_s >= a.reconnect_s]
        for a in fans
        if a.reconnect_s is not None
    }
    overtaken = [a for a, others in later.items() if any(b.enter_s < a.enter_s for b in others)]
    chances = [a for a, others in later.items() if others]
    result = kept(waited(*fans))
    assert (result.violations_total, result.chances) == (len(overtaken), len(chances))
    exercised = Status.HELD if chances else Status.NOT_EXERCISED
    assert result.status is (Status.VIOLATED if overtaken else exercised)


@settings(max_examples=60, deadline=None)
@given(fans=lines, lost=st.integers(0, 20))
def test_a_line_that_is_put_together_again_in_its_order_is_never_flagged(fans: list[Waiter], lost: int) -> None:
    """In the order of some instant within each join; from the `lost`-th on the numbers begin again."""
    line = sorted(fans, key=lambda fan: fan.invoke_s + fan.ack_s)
    renumbered = [
        msgspec.structs.replace(fan, number=n + 1 if n < lost else n - lost + 1, epoch="e1" if n < lost else "e2")
        for n, fan in enumerate(line)
    ]
    shown = [
        fan
        if fan.reconnect_s is None or fan.reconnect_s < fan.enter_s
        else msgspec.structs.replace(fan, reconnect_s=None)
        for fan in renumbered
    ]
    assert kept(waited(*shown)).violations_total == 0


def test_the_history_shows_what_the_place_did_not_outlive() -> None:
    violation = kept(waited(Waiter(0.0, 0.1, 2, 50.0), Waiter(1.0, 1.1, 1))).violations[0]
    assert violation.summary == "fan-0000 lost the place: fan-0001, who joined later, was admitted ahead"
    assert [step.text for step in violation.history] == [
        "fan-0000 was told the queue has them",
        "fan-0001 joined after that",
        "fan-0000 opened the stream of positions again",
        "fan-0001 was admitted as no. 1",
        "fan-0000 was admitted as no. 2",
    ]


def test_who_was_overtaken_before_the_loss_did_not_lose_the_place_by_it() -> None:
    """Fan 1 is admitted at 101 s, and fan 0 opens the stream again at 101.5 s."""
    result = kept(waited(Waiter(0.0, 0.1, 2, 101.5), Waiter(1.0, 1.1, 1)))
    assert (result.status, result.chances) == (Status.NOT_EXERCISED, 0)


def test_without_a_loss_nothing_is_put_to_the_test() -> None:
    result = kept(waited(Waiter(0.0, 0.1, 1), Waiter(1.0, 1.1, 2)))
    assert (result.status, result.chances) == (Status.NOT_EXERCISED, 0)


@pytest.mark.parametrize(("numbers", "status"), [((1, 2), Status.HELD), ((2, 1), Status.VIOLATED)])
def test_a_parked_join_and_a_pause_are_losses_too(numbers: tuple[int, int], status: Status) -> None:
    parked = waited(Waiter(0.0, 0.1, numbers[0]), Waiter(1.0, 1.1, numbers[1]))
    parked.tables["operations"][0]["value"] = '{"position": null, "epoch": "", "parked": true}'
    assert (kept(parked).status, kept(parked).chances) == (status, 1)
    paused = waited(Waiter(0.0, 0.1, numbers[0]), Waiter(1.0, 1.1, numbers[1]))
    paused.event(0, "positions", "paused", 50.0)
    assert (kept(paused).status, kept(paused).chances) == (status, 1)


@pytest.mark.parametrize(("numbers", "status"), [((1, 2), Status.HELD), ((2, 1), Status.VIOLATED)])
def test_numbers_that_begin_again_are_a_loss_for_who_had_a_place_before(
    numbers: tuple[int, int], status: Status
) -> None:
    """Fan 0 enters as no. 1 of e1; fans 1 and 2, who had joined by then, as numbers of e2."""
    first = Waiter(0.0, 0.1, 1)
    waiting = [Waiter(1.0, 1.1, numbers[0], epoch="e2"), Waiter(2.0, 2.1, numbers[1], epoch="e2")]
    result = kept(waited(first, *waiting))
    assert (result.status, result.chances) == (status, 1)


def lost(waited_until_s: float, *, entered_s: float = 101.0) -> RunBuilder:
    """Fan 0 waits over a reconnect and is never admitted; fan 1, who joined later, enters at that time."""
    builder = waited(Waiter(0.0, 0.1, None, 50.0), Waiter(1.0, 1.1, 1))
    builder.event(0, "positions", "disconnect", waited_until_s)
    assert entered_s == 101.0
    return builder


def test_who_still_waits_long_after_a_later_fan_was_admitted_has_lost_the_place() -> None:
    violation = kept(lost(101.0 + KEPT_WITHIN_S)).violations[0]
    assert violation.summary.endswith("was admitted, and fan-0000 never was")
    assert violation.history[-1].text == "fan-0000 still waited"


def test_who_left_soon_or_was_called_in_has_lost_nothing() -> None:
    assert kept(lost(101.0 + KEPT_WITHIN_S - 0.1)).violations_total == 0
    called = lost(101.0 + KEPT_WITHIN_S)
    called.event(0, "positions", "admitted", 105.0)
    assert kept(called).violations_total == 0
    called.operation(0, "enter", "fan-0000", {}, 112.0, 112.1, "fail", "waiting")
    assert kept(called).violations_total == 1


@pytest.mark.parametrize(("healed_s", "lost_places"), [(105.0, 0), (102.0, 1), (None, 0)])
def test_a_fault_may_keep_fans_waiting(healed_s: float | None, lost_places: int) -> None:
    builder = lost(102.5 + KEPT_WITHIN_S)
    builder.faults = msgspec.structs.replace(builder.faults, faults=(fault(100.0, healed_s),))
    assert kept(builder).violations_total == lost_places


def fault(start_s: float, healed_s: float | None) -> FaultRun:
    template = RunBuilder(fans=1).faults.faults[0]
    return msgspec.structs.replace(
        template, t_requested_s=start_s, t_effective_s=start_s, t_heal_requested_s=healed_s, t_healed_s=healed_s
    )


def test_actors_of_one_user_number_are_not_mixed_up() -> None:
    """A bot's stream is opened again; the fan of the same number waited undisturbed."""
    builder = waited(Waiter(0.0, 0.1, 2), Waiter(1.0, 1.1, 1))
    for t_s in (2.0, 3.0):
        builder.event(0, "positions", "connect", t_s)["actor"] = "bot-000000"
    result = kept(builder)
    assert (result.violations_total, result.chances) == (0, 0)


def test_a_line_of_which_numbers_were_given_twice_is_not_decided() -> None:
    result = kept(waited(Waiter(0.0, 0.1, 1, 50.0), Waiter(1.0, 1.1, 1)))
    assert (result.status, result.note[:27]) == (Status.UNKNOWN, "admission numbers were give")


@pytest.mark.parametrize(("waits_s", "lost"), [(KEPT_WITHIN_S + 1.0, 1), (KEPT_WITHIN_S - 2.0, 0)])
def test_who_is_never_admitted_has_lost_the_place_though_nobody_saw_what_took_it(waits_s: float, lost: int) -> None:
    builder = waited(Waiter(0.0, 0.1, None), Waiter(1.0, 1.1, 1), Waiter(2.0, 2.1, 2))
    builder.event(0, "positions", "position", ENTERS_S + 2.0 + waits_s, "e1.0", 5, 1)
    assert kept(builder).violations_total == lost
    builder.event(0, "positions", "admitted", ENTERS_S + 90.0)
    assert kept(builder).violations_total == 0
