"""How much load a platform carries: runs at rising rates, and the rate at which they stop being good. Pure.

A rate is carried when its run met every objective, let fans in as fast as they came and broke nothing, and every lower
rate was carried too. The knee lies between the highest rate that is carried and the lowest that is not; nothing is said
about rates beyond the runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from harness.amounts import amount, amounts
from harness.record.schema import RunDocument, Struct
from harness.record.verdict import Decision, Figure, Status, Validity, Verdict

ANSWER_FILE: Final = "capacity.json"
ANSWER_SCHEMA: Final = "gatecrash.capacity/1"
KEEPS_UP: Final = 0.9
"""Fans are let in as fast as they come when at least this share of the rate is reached."""
SATURATED: Final = 0.85
"""A resource that was in use for this share of the busiest seconds is named as what limits."""
MOST: Final = 0.5
"""A hop in which a slow step spent this share of its time is named beside what is saturated."""
NEAR: Final = 1.1
"""Rates that are nearer to each other than this factor are not told apart by another run."""
_NOT_A_HOP: Final = "client and network"


class Used(Struct, frozen=True):
    """How much of a resource was in use in the busiest seconds, of the `whole`: connections, or cores it can use."""

    name: str
    title: str
    busy: float
    whole: float

    @property
    def is_full(self) -> bool:
        """Whether it limits."""
        return self.busy >= SATURATED * self.whole


class Buying(Struct, frozen=True):
    """How long fans needed a hold, in s from being granted it to the answer to their payment, and what was granted."""

    p99_s: float
    ttl_s: float
    paid: int
    holds: int

    @property
    def unpaid_ratio(self) -> float:
        """Holds that were never paid, by those that were."""
        return (self.holds - self.paid) / self.paid


class Step(Struct, frozen=True):
    """The run at one rate. `why_not`: why the rate is not carried; empty: it is.

    `doubt`: why the run says nothing about the platform; "" otherwise. `tickets_per_fan`: sold, by fans let in.
    `limits`: the resources at their limit, and the hops in which slow steps spent their time. `violated`: the
    invariants that the platform surely broke, whatever else is in doubt of the run. `buying`: null where nothing is
    kept for fans, or none of them paid.
    """

    rate_per_s: float
    run_id: str
    verdict: Decision
    let_in_per_s: float | None
    tickets_per_fan: float | None
    busiest: str
    why_not: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    doubt: str = ""
    violated: tuple[str, ...] = ()
    used: tuple[Used, ...] = ()
    buying: Buying | None = None

    @property
    def carried(self) -> bool:
        """Whether the platform carries this rate, as far as this run shows."""
        return not self.why_not and not self.doubt


class Staircase(Struct, frozen=True):
    """The steps in the order of their rates."""

    steps: tuple[Step, ...]

    def beside(self, step: Step) -> Staircase:
        """The staircase with one more step."""
        return Staircase(steps=tuple(sorted((*self.steps, step), key=lambda one: one.rate_per_s)))

    @property
    def carried(self) -> Step | None:
        """The highest rate that is carried, with all lower ones; null: not even the lowest is."""
        found = None
        for step in self.steps:
            if not step.carried:
                break
            found = step
        return found

    @property
    def failed(self) -> Step | None:
        """The lowest rate that is not carried; null: every run was good, or cannot be used."""
        return next((step for step in self.steps if step.why_not and not step.doubt), None)

    @property
    def doubtful(self) -> Step | None:
        """The lowest rate whose run says nothing about the platform."""
        return next((step for step in self.steps if step.doubt), None)

    @property
    def has_violations(self) -> bool:
        """Whether an invariant was violated in any of the runs."""
        return any(step.violated for step in self.steps)

    def sentences(self) -> Iterator[str]:
        """The answer, for people."""
        for step in self.steps:
            if step.violated:
                broken = f"{', '.join(step.violated)}, see the report of the run {step.run_id}"
                yield f"Violated at {rate_in_words(step)}: {broken}."
        carried, failed = self.carried, self.failed
        if failed is None:
            yield (
                "What it carries was not seen."
                if carried is None
                else (
                    f"The platform carries {rate_in_words(carried)}, the highest rate that could be tried; "
                    "where its limit lies was not seen."
                )
            )
        elif carried is None:
            tried = f"{rate_in_words(failed)}, the lowest rate that was tried"
            yield f"The platform does not carry {tried}: {failed.why_not[0]}."
        else:
            rates = f"carries {rate_in_words(carried)} and does not carry {rate_in_words(failed)}"
            yield f"The platform {rates}: {failed.why_not[0]}."
        if failed is not None:
            limits = "; ".join(failed.limits)
            yield f"At its limit then: {limits}." if limits else "What limits it is not in the record."
        if (doubtful := self.doubtful) is not None:
            yield f"The run at {rate_in_words(doubtful)} says nothing about the platform: {doubtful.doubt}."


class Forecast(Struct, frozen=True):
    """A sale at the rate that is carried. `sold_out_s`: null where more tickets are on sale than all fans would buy.

    `coming_back`: tickets that are held, come back and are sold in a second wave; null: the runs do not say.
    """

    rate_per_s: float
    tickets: int
    fans: int
    sold_out_s: float | None
    last_let_in_s: float
    coming_back: int | None = None

    def sentences(self) -> Iterator[str]:
        """The forecast, for people."""
        per_s = amount(self.rate_per_s, "per_s")
        if self.sold_out_s is None:
            yield f"At {per_s} all {self.fans:,} fans are in after {_long(self.last_let_in_s)}, and tickets are left."
            return
        yield f"At {per_s} {self.tickets:,} tickets are sold out after {_long(self.sold_out_s)}."
        without = round(self.fans - self.rate_per_s * self.sold_out_s)
        if without > 0:
            yield f"About {without:,} of {self.fans:,} fans are still in line then."
        if self.coming_back:
            yield f"About {self.coming_back:,} of the tickets come back first, as holds end: a second wave."
        else:
            yield "No ticket came back in these runs, so nothing is foretold of a second wave."


class Answer(Struct, frozen=True):
    """capacity.json: the staircase, and on what it was measured. `t0`: of its first run. `changes`: by --set.

    `forecast`: of the real sale, where its size was given.
    """

    schema: str
    scenario: str
    stack: str
    versions: dict[str, str]
    t0: str
    changes: tuple[str, ...]
    steps: tuple[Step, ...]
    said: tuple[str, ...]
    forecast: Forecast | None = None

    @classmethod
    def of(
        cls, found: Staircase, first: RunDocument, changes: Iterable[str] = (), told: Forecast | None = None
    ) -> Answer:
        """The answer so far. `first`: the first run. `told`: the forecast of the real sale."""
        return cls(
            schema=ANSWER_SCHEMA,
            scenario=first.scenario_name,
            stack=first.stack,
            versions=first.versions,
            t0=first.t0 or "",
            changes=tuple(changes),
            steps=found.steps,
            said=tuple(found.sentences()),
            forecast=told,
        )

    @property
    def staircase(self) -> Staircase:
        """The steps, to be asked."""
        return Staircase(steps=self.steps)


def step_of(rate_per_s: float, verdict: Verdict) -> Step:
    """What the run at that rate shows."""
    slis = {sli.name: sli for sli in verdict.slis}
    let_in = slis["queue_admission_rate_per_s"].value if "queue_admission_rate_per_s" in slis else None
    why_not = tuple(_why_not(rate_per_s, let_in, verdict))
    resources = _figures(verdict, "saturation")
    busiest = next((_resource(one) for one in resources if one.value is not None), "")
    return Step(
        rate_per_s=rate_per_s,
        run_id=verdict.run_id,
        verdict=verdict.verdict,
        let_in_per_s=let_in,
        tickets_per_fan=_tickets_per_fan(verdict),
        busiest=busiest,
        why_not=why_not,
        limits=tuple(_limits(verdict, resources)) if why_not else (),
        doubt=_doubt(verdict),
        violated=() if verdict.verdict is Decision.NO_VERDICT else tuple(_violated(verdict)),
        used=tuple(_used(resources)),
        buying=_buying(verdict),
    )


def next_rate(rates: Sequence[float], so_far: Staircase, refinements: int) -> float | None:
    """The rate of the next run; null: enough is known.

    The planned rates are climbed until one is not carried. Then the gap between the highest that is carried and the
    lowest that is not is halved, on a scale of factors, `refinements` times, or until the two are `NEAR`.
    """
    if so_far.doubtful is not None:
        return None
    tried = {step.rate_per_s for step in so_far.steps}
    carried, failed = so_far.carried, so_far.failed
    if failed is None:
        return next((rate for rate in sorted(rates) if rate not in tried), None)
    if len(tried - set(rates)) >= refinements:
        return None
    if carried is None:
        return _rounded(failed.rate_per_s / 2)
    between = _rounded(math.sqrt(carried.rate_per_s * failed.rate_per_s))
    apart = failed.rate_per_s / carried.rate_per_s
    return None if apart <= NEAR or between in tried else between


def forecast(step: Step, tickets: int, fans: int, at_most_per_s: float = math.inf) -> Forecast | None:
    """A sale of so many tickets to so many fans at this step's rate, or at a lower one at which they are let in.

    Null: the run does not say what fans buy.
    """
    rate_per_s = min(step.rate_per_s, step.let_in_per_s or step.rate_per_s, at_most_per_s)
    if not step.tickets_per_fan:
        return None
    wanted = fans * step.tickets_per_fan
    return Forecast(
        rate_per_s=rate_per_s,
        tickets=tickets,
        fans=fans,
        sold_out_s=tickets / (rate_per_s * step.tickets_per_fan) if wanted >= tickets else None,
        last_let_in_s=fans / rate_per_s,
        coming_back=None if step.buying is None else round(step.buying.unpaid_ratio * min(tickets, wanted)),
    )


def _why_not(rate_per_s: float, let_in_per_s: float | None, verdict: Verdict) -> Iterator[str]:
    """The reasons, the gravest first. A run that is NOT READY has one, whatever its figures are."""
    reasons = [f"{name} was violated" for name in _violated(verdict)]
    if let_in_per_s is not None and let_in_per_s < KEEPS_UP * rate_per_s:
        let_in, asked = amounts("per_s", let_in_per_s, rate_per_s)
        reasons.append(f"fans were let in at {let_in}, and came at {asked}")
    missed = [sli for sli in verdict.slis if sli.met is False and sli.value is not None and sli.objective is not None]
    for sli in sorted(missed, key=lambda one: one.score or 0.0):
        value, target = amounts(sli.unit, sli.value or 0.0, sli.objective or 0.0)
        reasons.append(f"{sli.title or sli.name} was {value}, its target {target}")
    if not reasons and verdict.verdict is Decision.NOT_READY:
        reasons.append(verdict.reason.rstrip("."))
    yield from reasons


def _violated(verdict: Verdict) -> Iterator[str]:
    return (one.name for one in verdict.invariants if one.status is Status.VIOLATED)


def _doubt(verdict: Verdict) -> str:
    generator = verdict.generator
    if generator is not None and generator.validity is Validity.INVALID:
        return f"the load generator was at its own limit: {generator.reasons[0]}"
    return verdict.reason.rstrip(".") if verdict.verdict is Decision.NO_VERDICT else ""


def _tickets_per_fan(verdict: Verdict) -> float | None:
    """Tickets sold, by fans who were let in; where nobody is let in, by fans who came."""
    business = {one.name: one for one in _figures(verdict, "business")}
    admitted = next((sli.samples for sli in verdict.slis if sli.name == "queue_admission_rate_per_s"), 0)
    fans = admitted or (business["empty_handed"].samples if "empty_handed" in business else 0)
    sold = business["sold"].value if "sold" in business else None
    return sold / fans if sold and fans else None


def _limits(verdict: Verdict, resources: Sequence[Figure]) -> Iterator[str]:
    """Saturated resources, then where the steps with a missed objective spent most of their time.

    Where no resource is saturated, the hop of the longest time is named even if it is less than `MOST` of it.
    """
    full = [one for one in resources if (one.value or 0.0) >= SATURATED]
    yield from map(_resource, full)
    slow = {
        sli.name.partition("_response_")[0] for sli in verdict.slis if sli.met is False and "_response_" in sli.name
    }
    for step in verdict.hops:
        hop = next((hop for hop in step.hops if hop.name != _NOT_A_HOP), None)
        if step.step in slow and hop is not None and (hop.share >= MOST or not full):
            yield f"{hop.name}, in which {step.step.replace('_', ' ')} spent {amount(hop.share, 'ratio')} of its time"


def _used(resources: Sequence[Figure]) -> Iterator[Used]:
    for one in resources:
        if one.value is not None and one.whole is not None:
            yield Used(name=one.name, title=one.title, busy=one.value * one.whole, whole=one.whole)


def _buying(verdict: Verdict) -> Buying | None:
    kept = {one.name: one for one in _figures(verdict, "kept")}
    p99, ttl = kept.get("to_pay_p99_s"), kept.get("ttl_s")
    if p99 is None or ttl is None or p99.value is None or ttl.value is None:
        return None
    return Buying(p99_s=p99.value, ttl_s=ttl.value, paid=p99.samples, holds=kept["never_paid"].samples)


def _figures(verdict: Verdict, name: str) -> tuple[Figure, ...]:
    return next((one.figures for one in verdict.examinations if one.name == name), ())


def _resource(one: Figure) -> str:
    return f"{one.title}: {amount(one.value or 0.0, 'ratio')}"


def rate_in_words(step: Step) -> str:
    """`40 fans per second`."""
    return f"{amount(step.rate_per_s, 'count')} {'fan' if step.rate_per_s == 1 else 'fans'} per second"


def _rounded(rate_per_s: float) -> float:
    """Two significant digits: runs are no more precise than that."""
    return float(f"{rate_per_s:.2g}")


def _long(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
