"""The expectations that an experiment file can state, and the checks for impossible ones.

`chaos.proof.expectations` judges them, from the record alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final, Literal, TypeAlias

import msgspec

from harness.record.collecting.scrape import PERIOD_S
from harness.record.schema import ERRORS, EVENT_KINDS, STEPS, Outcome
from harness.yaml_file import YamlFile


class _Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the expectations. The report prints `name`."""

    name: str


class MetricReaches(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="metric"):
    """A gauge reaches a value within a time of the fault being effective, or healed. A chance is a scrape in that time.

    `across`: whether `any` matching series must reach it, or `all` of them.
    """

    metric: str
    labels: dict[str, str] = {}
    compare: Literal["equals", "at_least", "at_most"] = "equals"
    value: float
    within_s: float
    of: Literal["effective", "heal"]
    across: Literal["any", "all"] = "any"


class CounterIncreases(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="increases"):
    """A counter, summed over its matching series, grows between effective and `grace_s` after the heal command.

    `needs_step`: the counter can grow only when a user takes this step; when no user does, nothing is judged.
    """

    metric: str
    labels: dict[str, str] = {}
    by_at_least: float = 1.0
    grace_s: float = 1.0
    needs_step: str = ""


class ResponseTime(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="response_time"):
    """A quantile of a step's response times, over the requests meant to be sent while the fault was effective."""

    step: str
    quantile: float
    at_most_ms: float
    samples_min: int = 10


class RequestShare(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="requests"):
    """The share of a step's requests, sent while the fault was effective, that end with one of these statuses, outcomes
    or errors. A request must match each list that is given.
    """

    step: str
    status: tuple[int, ...] = ()
    outcome: tuple[Outcome, ...] = ()
    error: tuple[str, ...] = ()
    at_least: float = 0.0
    at_most: float = 1.0
    samples_min: int = 5


class StreamEvents(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="events"):
    """At least this many events of a kind arrive on a stream between effective and `grace_s` after the heal command."""

    stream: Literal["positions", "feed"]
    event: str
    at_least: int = 1
    grace_s: float = 1.0


class Reconnects(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="reconnects"):
    """This share of the clients that a fault cut off a stream is connected again within a time. Each is a chance."""

    stream: Literal["positions", "feed", "any"]
    within_s: float
    share_at_least: float = 1.0


class NoGap(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="no_gap"):
    """From the fault until `grace_s` after the heal command, no feed client misses a sequence number without being
    told.
    """

    grace_s: float = 5.0


class Recovers(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="recovers"):
    """From `within_s` after the heal command on, a step is as it was before the fault: its share of ok requests at most
    `share_drop_at_most` lower, its median response time at most `slower_at_most` times as long (and `slack_ms`)."""

    step: str
    within_s: float
    share_drop_at_most: float = 0.05
    slower_at_most: float = 3.0
    slack_ms: float = 100.0
    samples_min: int = 5


class VerbsRecover(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="verbs_recover"):
    """From `within_s` after the heal command on, each verb's share of proper answers is as before the fault. Verbs that
    too few fans tried before or after are left out. `slower_at_most`: the median response time is compared too, and may
    be this many times as long (and `slack_ms`); null: it is not compared. In an on-sale the load before and after a
    fault differs, and so do response times without any fault: objectives judge those. A refusal such as "sold out" is a
    proper answer, see `ANSWERS`. Operations during another fault of the run do not count.
    """

    verbs: tuple[str, ...]
    within_s: float
    share_drop_at_most: float = 0.05
    slower_at_most: float | None = None
    slack_ms: float = 250.0
    samples_min: int = 5


class VerbsAnswered(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="verbs_answered"):
    """Outside the faults of the run (and `within_s` after each heal), at most this share of the fans' operations gets
    no proper answer.
    """

    unanswered_at_most: float
    within_s: float
    samples_min: int = 20


BUYING: Final = ("hold", "pay")
OTHER_VERBS: Final = ("join", "enter", "stock", "look", "choose", "release", "order")
VERBS: Final = (*BUYING, *OTHER_VERBS)
"""The operations that are a fan's own, by `harness.record.schema.Function`."""
ANSWERS: Final = ("conflict", "limit", "declined", "expired", "missing")
"""Errors of a failed operation with which the platform said no, as it may: it worked."""
_SELECTS: Final = ("status", "outcome", "error")

Expectation: TypeAlias = (
    MetricReaches
    | CounterIncreases
    | ResponseTime
    | RequestShare
    | StreamEvents
    | Reconnects
    | NoGap
    | Recovers
    | VerbsRecover
    | VerbsAnswered
)


def check_expectations(expectations: Sequence[Expectation], file: YamlFile) -> None:
    """Raises InputError for the first expectation that cannot be judged or repeats a name."""
    names: dict[str, int] = {}
    for at, expectation in enumerate(expectations):
        for message, key, hint in _problems(expectation):
            raise file.error(message, "expectations", at, key, hint=hint)
        first = names.setdefault(expectation.name, at)
        if first != at:
            hint = f"the one on line {file.line_of('expectations', first, 'name')} is called so too: rename one"
            raise file.error(
                f"a second expectation is called {expectation.name!r}", "expectations", at, "name", hint=hint
            )
    for (_, one), (at, other) in combinations(enumerate(expectations), 2):
        if isinstance(one, RequestShare) and isinstance(other, RequestShare) and _contradict(one, other):
            message, hint = f"cannot be met when {one.name!r} is", "take one of the two out"
            raise file.error(message, "expectations", at, "name", hint=hint)


def _contradict(one: RequestShare, other: RequestShare) -> bool:
    """Whether two request shares exclude each other: one too high and too low, or two whose sum exceeds 1."""
    if one.step != other.step:
        return False
    if all(set(getattr(one, key)) == set(getattr(other, key)) for key in _SELECTS):
        return max(one.at_least, other.at_least) > min(one.at_most, other.at_most)
    apart = any(
        getattr(one, key) and getattr(other, key) and set(getattr(one, key)).isdisjoint(getattr(other, key))
        for key in _SELECTS
    )
    return apart and one.at_least + other.at_least > 1


def _problems(expectation: Expectation) -> Iterator[tuple[str, str, str]]:
    """What is impossible about an expectation: message, key, hint."""
    yield from _windows_without_samples(expectation)
    match expectation:
        case CounterIncreases():
            if expectation.by_at_least <= 0:
                yield "expected a number above 0", "by_at_least", ""
            yield from _known(expectation.needs_step, ("", *STEPS), "needs_step")
        case ResponseTime():
            yield from _time_problems(expectation)
        case RequestShare():
            yield from _share_problems(expectation)
        case StreamEvents():
            yield from _known(expectation.event, EVENT_KINDS, "event")
            if expectation.at_least < 1:
                yield "none at all would do", "at_least", "1 or more"
        case Recovers():
            yield from _known(expectation.step, STEPS, "step")
            yield from _recovery_problems(expectation)
        case VerbsRecover():
            if not expectation.verbs:
                yield "expected one verb or more", "verbs", f"of {', '.join(VERBS)}"
            for verb in expectation.verbs:
                yield from _known(verb, VERBS, "verbs")
            yield from _recovery_problems(expectation)
        case VerbsAnswered() if not 0 <= expectation.unanswered_at_most < 1:
            yield "expected a share from 0 to below 1", "unanswered_at_most", ""
        case Reconnects() if not 0 < expectation.share_at_least <= 1:
            yield "expected a share above 0 and up to 1", "share_at_least", ""


def _recovery_problems(expectation: Recovers | VerbsRecover) -> Iterator[tuple[str, str, str]]:
    if not 0 <= expectation.share_drop_at_most < 1:
        yield "expected a share from 0 to below 1", "share_drop_at_most", ""
    if expectation.slower_at_most is not None and expectation.slower_at_most < 1:
        yield "expected a factor of 1 or more", "slower_at_most", ""


def _windows_without_samples(expectation: Expectation) -> Iterator[tuple[str, str, str]]:
    """Problems of times in which nothing can be observed, and of numbers of samples that judge nothing."""
    match expectation:
        case MetricReaches(within_s=within_s) if within_s < PERIOD_S:
            hint = f"metrics are read every {PERIOD_S:g} s: give it that time or longer"
            yield f"no scrape need fall into {within_s:g} s", "within_s", hint
        case (
            Reconnects(within_s=within_s)
            | Recovers(within_s=within_s)
            | VerbsRecover(within_s=within_s)
            | VerbsAnswered(within_s=within_s)
        ) if within_s <= 0:
            yield "expected a time above 0 s", "within_s", ""
        case CounterIncreases(grace_s=grace_s) | StreamEvents(grace_s=grace_s) | NoGap(grace_s=grace_s) if grace_s < 0:
            yield "must not be negative", "grace_s", ""
    if (
        isinstance(expectation, ResponseTime | RequestShare | Recovers | VerbsRecover | VerbsAnswered)
        and expectation.samples_min < 1
    ):
        yield "without a request there is nothing to judge", "samples_min", "1 or more"


def _time_problems(expectation: ResponseTime) -> Iterator[tuple[str, str, str]]:
    yield from _known(expectation.step, STEPS, "step")
    if not 0 < expectation.quantile < 1:
        yield "expected a quantile between 0 and 1", "quantile", "0.99 for the p99"
    if expectation.at_most_ms <= 0:
        yield "expected a time above 0 ms", "at_most_ms", ""


def _share_problems(expectation: RequestShare) -> Iterator[tuple[str, str, str]]:
    yield from _known(expectation.step, STEPS, "step")
    for error in expectation.error:
        yield from _known(error, ERRORS, "error")
    if expectation.outcome == (Outcome.OK,) and expectation.error:
        yield "no request ends ok with an error", "error", "take outcome or error out"
    if not 0 <= expectation.at_least <= expectation.at_most <= 1:
        yield "expected 0 ≤ at_least ≤ at_most ≤ 1", "at_least", ""
    if (expectation.at_least, expectation.at_most) == (0, 1):
        yield "every share would do", "name", "give at_least or at_most"


def _known(value: str, known: Sequence[str], key: str) -> Iterator[tuple[str, str, str]]:
    if value not in known:
        yield f"cannot be {value!r}", key, f"one of {', '.join(filter(None, known))}"
