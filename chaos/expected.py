"""What an experiment file can expect: a small closed language, and what is impossible to expect.

`chaos.expectations` judges it, from the record alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from harness.record.schema import ERRORS, EVENT_KINDS, STEPS, Outcome
from harness.yaml_file import YamlFile


class _Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the expectations. `name` is what the report prints."""

    name: str


class MetricReaches(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="metric"):
    """A gauge reaches a value within a time of the fault being effective, or healed.

    `across`: it is enough that `any` matching series reaches it, or `all` must.
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

    `needs_step`: it can only grow when somebody takes this step meanwhile; when nobody does, nothing is judged.
    """

    metric: str
    labels: dict[str, str] = {}
    by_at_least: float = 1.0
    grace_s: float = 1.0
    needs_step: str = ""


class ResponseTime(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="response_time"):
    """A quantile of a step's response times, over what users meant to send while the fault was effective."""

    step: str
    quantile: float
    at_most_ms: float
    samples_min: int = 10


class RequestShare(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="requests"):
    """The share of a step's requests, sent while the fault was effective, that end with one of these statuses, outcomes
    or errors (those given must all match; an empty list matches any)."""

    step: str
    status: tuple[int, ...] = ()
    outcome: tuple[Outcome, ...] = ()
    error: tuple[str, ...] = ()
    at_least: float = 0.0
    at_most: float = 1.0
    samples_min: int = 5


class StreamEvents(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="events"):
    """So many events of a kind arrive on a stream between effective and `grace_s` after the heal command."""

    stream: Literal["positions", "feed"]
    event: str
    at_least: int = 1
    grace_s: float = 1.0


class Reconnects(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="reconnects"):
    """Of the clients that a fault cut off a stream, this share is connected again within a time."""

    stream: Literal["positions", "feed"]
    within_s: float
    share_at_least: float = 1.0


class NoGap(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="no_gap"):
    """From the fault until `grace_s` after the heal command, no feed client misses a sequence number unsaid."""

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


Expectation: TypeAlias = (
    MetricReaches | CounterIncreases | ResponseTime | RequestShare | StreamEvents | Reconnects | NoGap | Recovers
)


def check_expectation(expectation: Expectation, file: YamlFile, at: int) -> None:
    """`at`: its place in the file's `expectations`. Raises InputError."""
    for message, key, hint in _problems(expectation):
        raise file.error(message, "expectations", at, key, hint=hint)


def _problems(expectation: Expectation) -> Iterator[tuple[str, str, str]]:
    """What is impossible about an expectation: message, key, hint."""
    match expectation:
        case MetricReaches(within_s=within_s) | Reconnects(within_s=within_s) | Recovers(within_s=within_s) if (
            within_s <= 0
        ):
            yield "expected a time above 0 s", "within_s", ""
        case CounterIncreases():
            if expectation.by_at_least <= 0:
                yield "expected a number above 0", "by_at_least", ""
            yield from _known(expectation.needs_step, ("", *STEPS), "needs_step")
        case ResponseTime():
            yield from _known(expectation.step, STEPS, "step")
            if not 0 < expectation.quantile < 1:
                yield "expected a quantile between 0 and 1", "quantile", "0.99 for the p99"
        case RequestShare():
            yield from _share_problems(expectation)
        case StreamEvents():
            yield from _known(expectation.event, EVENT_KINDS, "event")
        case Recovers():
            yield from _known(expectation.step, STEPS, "step")
            if not 0 <= expectation.share_drop_at_most < 1:
                yield "expected a share from 0 to below 1", "share_drop_at_most", ""
            if expectation.slower_at_most < 1:
                yield "expected a factor of 1 or more", "slower_at_most", ""
        case Reconnects() if not 0 < expectation.share_at_least <= 1:
            yield "expected a share above 0 and up to 1", "share_at_least", ""


def _share_problems(expectation: RequestShare) -> Iterator[tuple[str, str, str]]:
    yield from _known(expectation.step, STEPS, "step")
    for error in expectation.error:
        yield from _known(error, ERRORS, "error")
    if not 0 <= expectation.at_least <= expectation.at_most <= 1:
        yield "expected 0 ≤ at_least ≤ at_most ≤ 1", "at_least", ""
    if (expectation.at_least, expectation.at_most) == (0, 1):
        yield "every share would do", "name", "give at_least or at_most"


def _known(value: str, known: Sequence[str], key: str) -> Iterator[tuple[str, str, str]]:
    if value not in known:
        yield f"cannot be {value!r}", key, f"one of {', '.join(filter(None, known))}"
