"""Whether what was foretold came true: by the last comparable run, and by the capacity that was measured before. Pure.

A run foretells that the next one like it shows the same, give or take the smallest effect that matters. A staircase of
runs foretells that a rate it carried is carried, and, for its own scenario, when everything is sold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from harness.amounts import amounts
from harness.judging.findings import objective_id
from harness.record.schema import RunDocument, Struct
from harness.record.verdict import Figure, Verdict
from harness.runs.change import USUAL
from harness.runs.past import Past
from harness.runs.staircase import KEEPS_UP, Answer, forecast

_ADMISSION: Final = "queue_admission_rate_per_s"
_DEVIATIONS: Final = 2.0
_OF_THE_SALE: Final = ("sold", "sold_all_s", "empty_handed")


class Prediction(Struct, frozen=True):
    """One figure that was foretold to lie from `low` to `high` (null: no bound), and what was `seen`.

    `seen`: null where it did not come to it, as in a sale that is not sold out. `by`: which run or measurement foretold
    it.
    """

    title: str
    unit: str
    low: float | None
    high: float | None
    seen: float | None
    by: str

    @property
    def held(self) -> bool:
        """Whether it came true."""
        if self.seen is None:
            return False
        return (self.low is None or self.seen >= self.low) and (self.high is None or self.seen <= self.high)

    @property
    def in_words(self) -> str:
        """`Sold 600 tickets: foretold 500 to 700`."""
        known = [value for value in (self.seen, self.low, self.high) if value is not None]
        told = list(amounts(self.unit, *known))
        seen = "never" if self.seen is None else told.pop(0)
        return f"{self.title} {seen}, foretold {' to '.join(told) if len(told) == 2 else f'at least {told[0]}'}"


def predictions(past: Past, run: RunDocument, verdict: Verdict) -> tuple[Prediction, ...]:
    """All that was foretold of this run, and that it shows."""
    found = [*_by_last(past, verdict)]
    answer = past.capacity
    if answer is not None and answer.t0 and run.t0 and answer.t0 < run.t0:
        found += _by_capacity(answer, run, verdict)
    return tuple(found)


def _by_last(past: Past, verdict: Verdict) -> Iterator[Prediction]:
    if past.last is None:
        return
    last, by = past.last.verdict, f"run {past.last.run.run_id}"
    before, now = _figures(last), _figures(verdict)
    for name in _OF_THE_SALE:
        if name in before and name in now:
            yield from _alike(before[name].title, before[name].unit, before[name].value, now[name].value, by)
    if (admitted := _admitted(verdict)) is not None:
        yield from _alike("Admission rate", "per_s", _admitted(last), admitted, by)


def _alike(title: str, unit: str, told: float | None, seen: float | None, by: str) -> Iterator[Prediction]:
    """The same figure again, give or take the smallest effect that matters; a count, too, the chance of counts."""
    if told is None:
        return
    chance = 0.0 if unit in ("s", "per_s") else _DEVIATIONS * math.sqrt(max(told, 1.0))
    low, high = min(told * (1 - USUAL.share), told - chance), max(told / (1 - USUAL.share), told + chance)
    yield Prediction(title=title, unit=unit, low=max(0.0, low), high=high, seen=seen, by=by)


def _by_capacity(answer: Answer, run: RunDocument, verdict: Verdict) -> Iterator[Prediction]:
    carried = answer.staircase.carried
    asked, by = _asked_per_s(run), f"gatecrash capacity on {answer.t0[:10]}"
    if carried is None or asked is None or asked > carried.rate_per_s:
        return
    admitted = _admitted(verdict)
    if admitted is not None:
        yield Prediction(title="Admission rate", unit="per_s", low=KEEPS_UP * asked, high=None, seen=admitted, by=by)
    figures = _figures(verdict)
    on_sale, fans, gone = figures.get("on_sale"), figures.get("empty_handed"), figures.get("sold_all_s")
    if answer.scenario != run.scenario_name or on_sale is None or not on_sale.value or fans is None or gone is None:
        return
    told = forecast(carried, round(on_sale.value), fans.samples, at_most_per_s=asked)
    if told is not None:
        yield from _alike(gone.title, gone.unit, told.sold_out_s, gone.value, by)


def _asked_per_s(run: RunDocument) -> float | None:
    """The rate at which the reference system was to let fans in; null for a platform of the user's own."""
    sale = run.scenario.get("on_sale")
    if "platform" in run.scenario and run.scenario["platform"] is not None:
        return None
    rate = sale.get("admission_rate_per_s") if isinstance(sale, dict) else None
    return float(rate) if isinstance(rate, int | float) else None


def _admitted(verdict: Verdict) -> float | None:
    """The admission rate apart from faults, where these slowed it, else over the whole run."""
    slow = verdict.cause_of(objective_id(_ADMISSION))
    if slow is not None and slow.outside is not None:
        return slow.outside
    return next((sli.value for sli in verdict.slis if sli.name == _ADMISSION), None)


def _figures(verdict: Verdict) -> dict[str, Figure]:
    return {one.name: one for exam in verdict.examinations if exam.name == "business" for one in exam.figures}
