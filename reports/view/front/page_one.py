"""Page one beside the verdict: the business, what it rests on, the three findings to act on, capacity, what changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.judging.findings import objective_id
from harness.record.schema import RunDocument, SelfTestSummary, Struct
from harness.record.verdict import Examination, Figure, Status, Validity, Verdict
from harness.runs.change import change
from harness.runs.comparable import planted_bug
from harness.runs.past import Past
from harness.runs.predictions import predictions
from harness.runs.staircase import Answer
from reports import text
from reports.spark import spark
from reports.view import words
from reports.view.front.changes import ChangeRow, change_rows, in_brief
from reports.view.front.headline import Fact, FindingView
from reports.view.judged.limits import LimitsSection
from reports.view.words import State

_FINDINGS_MOST: Final = 3
_CHANGES_MOST: Final = 5
_SPARK_MOST: Final = 12
_ADMISSION: Final = "queue_admission_rate_per_s"
_GRAVITY: Final = (Status.VIOLATED, Status.UNKNOWN, Status.NOT_EXERCISED, Status.NOT_OBSERVABLE, Status.HELD)


class OpenInvariant(Struct, frozen=True):
    """An invariant that is not held, opened on page one."""

    title: str
    state: State
    why: str


class ChangeView(Struct, frozen=True):
    """What changed. `why_none`: why there is nothing to compare with. `spark`: scores in a 100 × 20 box."""

    lede: str
    rows: tuple[ChangeRow, ...]
    spark: str
    spark_label: str


class PageOne(Struct, frozen=True):
    """What a chair of the meeting reads beside the verdict.

    `top`: the findings to act on first, as (number in the list, finding). `banner`: "" when no bug was planted.
    """

    banner: str
    business: tuple[Fact, ...]
    trust: tuple[Fact, ...]
    invariants: str
    open_invariants: tuple[OpenInvariant, ...]
    top: tuple[tuple[int, FindingView], ...]
    capacity: tuple[Fact, ...]
    change: ChangeView


def page_one(
    run: RunDocument, verdict: Verdict, findings: tuple[FindingView, ...], limits: LimitsSection, past: Past
) -> PageOne:
    """From the verdict, the findings as shown, the headroom and the runs before."""
    return PageOne(
        banner=_banner(run),
        business=tuple(_business(verdict.examinations)),
        trust=tuple(_trust(run, verdict)),
        invariants=_invariants(verdict),
        open_invariants=tuple(_open(verdict)),
        top=tuple(enumerate(findings[:_FINDINGS_MOST], start=1)),
        capacity=(*_capacity(run, verdict, limits, past.capacity), _foretold(run, verdict, past)),
        change=_change(verdict, past),
    )


def _banner(run: RunDocument) -> str:
    bug = planted_bug(run)
    return (
        f"The bug {bug} was planted in the platform on purpose: this run tests the audit, not the sale." if bug else ""
    )


def _business(examinations: tuple[Examination, ...]) -> Iterator[Fact]:
    found = {figure.name: figure for exam in examinations if exam.name == "business" for figure in exam.figures}
    on_sale = found.get("on_sale")
    if (sold := found.get("sold")) and sold.value is not None:
        whole = None if on_sale is None else on_sale.value
        note = f"of {text.number(whole)} on sale, {text.share(sold.value, whole)}" if whole else "of those on sale"
        yield Fact(label="Tickets sold", value=text.number(sold.value), note=note)
    if revenue := found.get("revenue_cents"):
        yield Fact(label="Revenue", value=_amount(revenue), note=f"in {text.counted(revenue.samples, 'order')}")
    if out := found.get("sold_all_s"):
        value = "not sold out" if out.value is None else text.at(out.value)
        yield Fact(label="Sold out", value=value, note="" if out.value is not None else out.note)
    if empty := found.get("empty_handed"):
        yield Fact(
            label="Fans without a ticket",
            value=text.number(empty.value),
            note=f"of {text.counted(empty.samples, 'fan')} who wanted one",
        )
    yield from _budgets(examinations)


def _budgets(examinations: tuple[Examination, ...]) -> Iterator[Fact]:
    """The error budget that was gone first, or of which most was used."""
    figures = [figure for exam in examinations if exam.name == "budgets" for figure in exam.figures]
    gone = [one for one in figures if one.name.startswith("gone_s/") and one.value is not None]
    if gone:
        first = min(gone, key=lambda one: one.value or 0.0)
        note = f"of {first.name.partition('/')[2]}" + (f"; {text.count(len(gone))} are gone" if len(gone) > 1 else "")
        yield Fact(label="Error budget gone at", value=text.at(first.value), note=note, tone="warn")
    elif used := [one for one in figures if one.name.startswith("used/") and one.value is not None]:
        most = max(used, key=lambda one: one.value or 0.0)
        note = f"of {most.name.partition('/')[2]}, the most of {text.counted(len(used), 'SLO')}"
        yield Fact(label="Error budget used", value=text.quantity(most.value, "ratio"), note=note)


def _amount(figure: Figure) -> str:
    return text.ABSENT if figure.value is None else text.quantity(figure.value, figure.unit)


def _trust(run: RunDocument, verdict: Verdict) -> Iterator[Fact]:
    if verdict.generator is not None:
        state = words.state(verdict.generator.validity.value)
        added = max(
            (step.p99 for name, step in verdict.generator.overstatement_ms.items() if name != "settle"), default=None
        )
        skew = f"released within {text.milliseconds(verdict.generator.release_skew_ms.p99)} (p99)"
        adds = "" if added is None else f", added at most {text.milliseconds(added)} to a response time (p99)"
        sound = f"{skew}{adds}"
        is_valid = verdict.generator.validity is Validity.VALID
        note = sound if is_valid or not verdict.generator.reasons else verdict.generator.reasons[0]
        yield Fact(label="Load generator", value=f"{state.glyph} {state.word}", note=note, tone=state.tone)
    yield _selftest(run.selftest, run.t0)
    chances = sum(result.chances for result in verdict.invariants)
    tested = sum(result.chances > 0 for result in verdict.invariants)
    if verdict.invariants:
        yield Fact(
            label="Chances to catch a fault",
            value=text.count(chances),
            note=f"{text.count(tested)} of {text.counted(len(verdict.invariants), 'invariant')} put to the test",
        )
    if verdict.coverage:
        proven = sum(one.status == "proven" for one in verdict.coverage)
        yield Fact(
            label="Faults rehearsed",
            value=f"{text.count(proven)} of {text.count(len(verdict.coverage))}",
            note="experiments that this platform could be put to",
        )


def _selftest(last: SelfTestSummary | None, t0: str | None) -> Fact:
    label = "Self-test of the audit"
    if last is None:
        return Fact(label=label, value="not run", note="gatecrash selftest plants every known bug", tone="warn")
    age = _age(last.began, t0)
    value = f"{text.count(last.bugs_caught)} of {text.count(last.bugs_planted)} bugs caught"
    left = last.bugs_known - last.bugs_planted
    untried = f"; {text.count(left)} more were not planted" if left > 0 else ""
    note = f"{text.counted(last.false_alarms, 'false alarm')}{untried}; {age}"
    return Fact(label=label, value=value, note=note, tone="" if last.passed and last.whole else "warn")


def _age(began: str, t0: str | None) -> str:
    """How long before the run, in days."""
    if t0 is None:
        return began[:10]
    days = (text.day(t0) - text.day(began)).days
    return "on the day of the run" if days < 1 else f"{text.counted(days, 'day')} before the run"


def _invariants(verdict: Verdict) -> str:
    held = sum(result.status is Status.HELD for result in verdict.invariants)
    return f"{text.count(held)} of {text.count(len(verdict.invariants))} held" if verdict.invariants else ""


def _open(verdict: Verdict) -> Iterator[OpenInvariant]:
    """Those that were not held: what is wrong first, what cannot be seen last."""
    for result in sorted(verdict.invariants, key=lambda result: _GRAVITY.index(result.status)):
        if result.status is not Status.HELD:
            first = result.violations[0].summary if result.violations else result.note
            untested = f"it takes {result.chance}, and there were none" if result.chance else ""
            yield OpenInvariant(
                title=words.invariant(result.name), state=words.state(result.status.value), why=first or untested
            )


def _safe_rate(measured: Answer | None) -> Fact:
    label = "Safe admission rate"
    if measured is None:
        note = "one run shows one rate: gatecrash capacity climbs several"
        return Fact(label=label, value="not measured", note=note, tone="quiet")
    carried, failed = measured.staircase.carried, measured.staircase.failed
    day = f"measured on {measured.t0[:10]} with the scenario {measured.scenario}"
    beyond = f"{text.number(failed.rate_per_s)}/s was not carried" if failed else "its limit was not reached"
    if carried is None:
        return Fact(label=label, value="none", note=f"{beyond}; {day}", tone="warn")
    rate = text.quantity(carried.rate_per_s, "per_s")
    return Fact(label=label, value=rate, note=f"{beyond}; {day}", tone="")


def _foretold(run: RunDocument, verdict: Verdict, past: Past) -> Fact:
    """Did the last prediction hold?"""
    label, found = "Last predictions", predictions(past, run, verdict)
    if not found:
        note = "a comparable run before it, or gatecrash capacity, would have made some"
        return Fact(label=label, value="none to check", note=note, tone="quiet")
    missed = [one for one in found if not one.held]
    value = "held" if not missed else f"{text.count(len(found) - len(missed))} of {text.count(len(found))} held"
    note = "; ".join(f"{one.in_words} by {one.by}" for one in missed or found[:2])
    return Fact(label=label, value=value, note=note, tone="warn" if missed else "")


def _capacity(run: RunDocument, verdict: Verdict, limits: LimitsSection, capacity: Answer | None) -> Iterator[Fact]:
    rate = next((sli for sli in verdict.slis if sli.name == _ADMISSION and sli.value is not None), None)
    if rate is not None:
        sale = run.scenario.get("on_sale")
        asked = sale.get("admission_rate_per_s") if isinstance(sale, dict) else None
        slow = verdict.cause_of(objective_id(_ADMISSION))
        note = f"the scenario asks for {text.number(asked)}/s" if isinstance(asked, int | float) else ""
        yield Fact(
            label="Admitted",
            value=text.quantity(rate.value, rate.unit),
            note=note
            if slow is None or slow.outside is None
            else f"{text.quantity(slow.outside, rate.unit)} apart from faults",
        )
        yield _safe_rate(capacity)
    if top := next((signal for signal in limits.signals if signal.share != text.ABSENT), None):
        yield Fact(
            label="Nearest to its limit",
            value=top.share,
            note=f"{top.title}, {top.when}, under {top.during}",
            tone="warn" if top.near else "",
        )
    if verdict.load is not None:
        yield Fact(
            label="More users than these",
            value="not extrapolated",
            note=f"nothing is known beyond {text.counted(verdict.load.users_released, 'user')}",
            tone="quiet",
        )


def _change(verdict: Verdict, past: Past) -> ChangeView:
    last = past.last
    if last is None:
        return ChangeView(lede=f"Nothing to compare with: {past.why_none}.", rows=(), spark="", spark_label="")
    found = change(last.verdict, verdict)
    was, now = in_brief(last.verdict), in_brief(verdict)
    scores = [one.verdict.score for one in past.comparable[-_SPARK_MOST:]] + [verdict.score]
    known = [score for score in scores if score is not None]
    rows = tuple(change_rows(found))
    quiet = "" if rows else " Nothing changed by enough to matter."
    return ChangeView(
        lede=f"{last.run.run_id} was {was}; this run is {now}.{quiet}",
        rows=rows[:_CHANGES_MOST],
        spark=spark(known, top=100.0),
        spark_label=f"Scores of the last {len(known)} comparable runs: {', '.join(map(text.points, known))}.",
    )
